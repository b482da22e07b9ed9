"""What a list costs that very many ask for at once, when it ends. In: a service. Out: how often it was made.

Every list that is made has an id of its own, so that the ids in the answers tell how many were.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass

from benchmarks.demo_service import Service

N_CLIENTS = 4


@dataclass(frozen=True, slots=True)
class HotKey:
    """`n_lists` were made while the list ended `n_ends` times; `others` counts answers other than 200."""

    n_answers: int
    others: int
    n_ends: int
    n_lists: int

    def is_kept(self, workers: int) -> bool:
        """Whether no worker made a list twice in one life of it."""
        return not self.others and self.n_lists <= workers * (self.n_ends + 1)


def ask_for_one(service: Service, *, seconds: float, per_second: float, life_seconds: float) -> HotKey:
    """Ask for one customer's list at a fixed rate, over kept connections."""
    found: list[tuple[int, str]] = []
    clients = [
        threading.Thread(target=_ask, args=(service, found, number, seconds, per_second / N_CLIENTS))
        for number in range(N_CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    statuses = Counter(status for status, _ in found)
    lists = {slate_id for status, slate_id in found if status == 200}
    others = len(found) - statuses[200]
    return HotKey(len(found), others, int(seconds // life_seconds), len(lists))


def _ask(
    service: Service, found: list[tuple[int, str]], number: int, seconds: float, per_second: float
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    path = f"/v1/customers/{service.customers[0]}/recommendations/content"
    started = time.monotonic() + number / per_second / N_CLIENTS
    try:
        for n in range(int(seconds * per_second)):
            time.sleep(max(0.0, started + n / per_second - time.monotonic()))
            connection.request("GET", path, headers={"Authorization": f"Bearer {service.key}"})
            response = connection.getresponse()
            body = response.read()
            found.append((response.status, json.loads(body)["slate_id"] if response.status == 200 else ""))
    finally:
        connection.close()
