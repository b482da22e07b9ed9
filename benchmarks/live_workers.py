"""Eight workers, one live state: how soon all know of an event, and whether their lists are the same.

In: a service that runs. Out: a report. Each question goes over a new connection, so that any worker may take
it, and each list is asked for under a placement of its own, so that no cache has it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

WATCH_SECONDS = 1.5
MOST_SECONDS = 1.0
"""So long after its acknowledgement every worker knows an event."""
N_EVENTS = 20  # Sent at once, about one article, so that counts move.


@dataclass(frozen=True)
class Service:
    """A demo that is ready: where it listens, a key, customers, and its process."""

    port: int
    key: str
    customers: Sequence[str]
    pid: int

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request on a connection of its own; its JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
            connection.request(method, path, content, headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def live(self) -> Mapping[str, int]:
        """How far the worker that answers has followed the store."""
        found: Mapping[str, int] = self.ask("GET", "/readyz")["live"]
        return found

    def scores(self, customer_id: str) -> str:
        """The customer's list as the worker that answers makes it: items and scores."""
        placement = f"probe-{uuid.uuid4().hex}"
        path = f"/v1/customers/{customer_id}/recommendations/content?limit=20&placement={placement}"
        items = self.ask("GET", path)["items"]
        return json.dumps([(item["item_id"], item["score"]) for item in items])

    def happen(self, item_id: str, number: int) -> None:
        """Several customers read one article. Once this returns, it is acknowledged."""
        events = [
            {
                "event_id": uuid.uuid4().hex,
                "type": "view",
                "customer_id": f"stress-{number}-{reader}",
                "item_id": item_id,
                "occurred_at": datetime.now(UTC).isoformat(),
                "channel": "web",
            }
            for reader in range(N_EVENTS)
        ]
        taken = self.ask("POST", "/v1/events", {"events": events})
        assert taken.get("accepted") == N_EVENTS, taken


def watch(service: Service, head: int) -> tuple[int, float]:
    """Ask for some time who is behind: how many answers, and after how many seconds the last one was."""
    started, n_answers, behind_until = time.monotonic(), 0, 0.0
    while (asked := time.monotonic() - started) < WATCH_SECONDS:
        n_answers += 1
        if service.live()["sequence"] < head:
            behind_until = asked
    return n_answers, behind_until


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the rounds found. `slowest_seconds`: so long after an acknowledgement somebody was still behind.

    Lists are counted by customer and round: those of which not all answers were the same, and those that
    were other than in the round before. `n_other_without_redis` are customers whose list changed with it.
    """

    n_rounds: int
    n_watched: int
    slowest_seconds: float
    n_compared: int
    n_differing: int
    n_moved: int
    n_other_without_redis: int

    @property
    def is_kept(self) -> bool:
        """Whether the workers were of one mind in time, and Redis had no part in it."""
        return self.slowest_seconds <= MOST_SECONDS and not self.n_differing + self.n_other_without_redis


def run_rounds(service: Service, n_rounds: int, n_asked: int) -> Agreement:
    """Let something happen, watch the workers come to know it, and compare their lists; then lose Redis."""
    behind: list[float] = []
    n_watched = n_differing = n_moved = 0
    standing = {each: service.scores(each) for each in service.customers}
    article = json.loads(standing[service.customers[0]])[0][0]
    for number in range(n_rounds):
        found = service.live()
        head = found["sequence"] + found["behind"] + N_EVENTS
        service.happen(article, number)
        n_answers, until = watch(service, head)
        n_watched += n_answers
        behind.append(until)
        for customer_id in service.customers:
            lists = {service.scores(customer_id) for _ in range(n_asked)}
            n_differing += len(lists) > 1
            n_moved += standing[customer_id] not in lists
            standing[customer_id] = lists.pop()
    lose_redis(service.pid)
    without = {each: {service.scores(each) for _ in range(n_asked)} for each in service.customers}
    return Agreement(
        n_rounds=n_rounds,
        n_watched=n_watched,
        slowest_seconds=round(max(behind), 3),
        n_compared=n_rounds * len(service.customers) * n_asked,
        n_differing=n_differing,
        n_moved=n_moved,
        n_other_without_redis=sum(lists != {standing[each]} for each, lists in without.items()),
    )


def lose_redis(pid: int) -> None:
    """Kill the Redis that the service started."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    ours = {pid}
    for _ in rows:
        ours |= {int(row[0]) for row in rows if int(row[1]) in ours}
    servers = [int(row[0]) for row in rows if int(row[0]) in ours and "-server" in row[2].split()[0]]
    assert servers, "the service has no Redis of its own"
    for server in servers:
        os.kill(server, signal.SIGKILL)
