"""Ask a service for offers from many clients at once. In: its port. Out: who was given one too many.

All clients ask for the same few customers, and tell of some lists that they were shown. Reservations end
after seconds, so that contacts are taken, come back and are taken again all the time. What is judged is what
the clients were answered: the store's own counts are not believed.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.contact_limits import (
    ALL_PACED,
    CALM,
    CAPPED,
    DAILY,
    FEW,
    FUNDED,
    LIMITS,
    PACED,
    SHARED,
    Contact,
    judge,
)
from recsvc.domain.contacts import paced
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.offer_terms import Budget, OfferTerms

N_CUSTOMERS = 40
_SLATE_SECONDS = 2
_HELD_SECONDS = 3
_SHOWN_SHARE = 0.05
_POLICY = Path(__file__).resolve().parents[1] / "recsvc" / "policy.toml"


def write_policy(path: Path) -> None:
    """A policy by which lists and reservations end after seconds, and a cap over all offers holds."""
    calm = f'[[offers.contact_caps]]\nname = "{CALM}"\nmost = {LIMITS[CALM]}\nhours = 24\n\n'
    changes = {
        "slate_ttl_seconds = 60": f"slate_ttl_seconds = {_SLATE_SECONDS}",
        "shown_within_minutes = 30": f"shown_within_minutes = {_HELD_SECONDS / 60}",
        "[offers.attributes]": f"{calm}[offers.attributes]",
    }
    text = _POLICY.read_text("utf-8")
    for old, new in changes.items():
        if text.count(old) != 1:
            raise RuntimeError(f"the policy has no line {old} to change")
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. `over` names every limit that was broken; `unused` those that were never reached.

    `returned` says whether all that was not shown could be had again when its time was over, `withheld` how
    many lists came without offers since the store was too slow, `others` the answers that were no lists.
    """

    calls: int
    contacts: int
    shown: int
    over: tuple[str, ...]
    unused: tuple[str, ...]
    returned: bool
    withheld: int
    others: Mapping[int, int]
    calls_per_second: float
    p50_ms: float
    p99_ms: float

    @property
    def holds(self) -> bool:
        """Whether no limit was broken, each was reached, and what was not shown came back."""
        return not (self.over or self.unused or self.others) and self.returned


@dataclass(slots=True)
class _Heard:
    """What a client was answered. `late` are shown contacts that were acknowledged after their end."""

    contacts: dict[tuple[str, str], Contact] = field(default_factory=dict)  # By slate and offer.
    late: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    withheld: int = 0
    seconds: list[float] = field(default_factory=list)


class Trial:
    """A service with one offer of each kind, whose customers many clients ask for."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._began = datetime.now(UTC)
        budget = Budget(Decimal(ALL_PACED), Decimal(1))
        self._paced = Item(
            PACED,
            ItemKind.OFFER,
            valid_from=self._began - timedelta(days=1),
            valid_to=self._began + timedelta(days=4),
            terms=OfferTerms(budget=budget),
        )

    def run(
        self,
        *,
        clients: int,
        seconds: float,
        fault: Callable[[], object] = lambda: None,
        mend: Callable[[], object] = lambda: None,
    ) -> Report:
        """Let so many clients ask; the fault is done after a third of the time, and mended after another."""
        self._put_offers()
        ends_at = time.monotonic() + seconds
        heard = [_Heard() for _ in range(clients)]
        threads = [
            threading.Thread(target=self._ask_until, args=(ends_at, number, one))
            for number, one in enumerate(heard)
        ]
        for one in threads:
            one.start()
        time.sleep(seconds / 3)
        fault()
        time.sleep(seconds / 3)
        mend()
        for one in threads:
            one.join()
        return self._report(heard, seconds)

    def _report(self, heard: Sequence[_Heard], seconds: float) -> Report:
        contacts = _together(heard)
        statuses = sum((one.statuses for one in heard), Counter[int]())
        latencies = [each for one in heard for each in one.seconds]
        cuts = quantiles(latencies, n=100)
        late = sum((one.late for one in heard), Counter[str]())
        over, unused = judge(contacts, self.due)
        return Report(
            calls=len(latencies),
            contacts=len(contacts),
            shown=sum(one.until is None for one in contacts),
            over=over,
            unused=unused,
            returned=self._come_back(contacts, late),
            withheld=sum(one.withheld for one in heard),
            others={status: n for status, n in statuses.items() if status not in (200, 202)},
            calls_per_second=round(len(latencies) / seconds, 1),
            p50_ms=round(1000 * cuts[49], 1),
            p99_ms=round(1000 * cuts[98], 1),
        )

    def due(self, at: datetime) -> int:
        """How many contacts of the paced offer may be paid for by a moment."""
        return paced(ALL_PACED, self._paced, at)

    def _ask_until(self, ends_at: float, number: int, heard: _Heard) -> None:
        rng = random.Random(number)
        with _connection(self._port) as connection:
            while time.monotonic() < ends_at:
                customer_id = f"c{rng.randrange(N_CUSTOMERS)}"
                for place, contact in self._ask(connection, customer_id, rng, heard):
                    heard.contacts.setdefault(place, contact)
                    if heard.contacts[place] is contact and rng.random() < _SHOWN_SHARE:
                        self._show(connection, place, contact, heard)

    def _ask(
        self, connection: http.client.HTTPConnection, customer_id: str, rng: random.Random, heard: _Heard
    ) -> Iterator[tuple[tuple[str, str], Contact]]:
        query = f"placement=p{rng.randrange(3)}&limit={rng.randrange(1, 4)}"
        before = time.monotonic()
        status, body = _send(connection, "GET", f"/v1/customers/{customer_id}/recommendations/offers?{query}")
        heard.seconds.append(time.monotonic() - before)
        heard.statuses[status] += 1
        if status != 200:
            return
        heard.withheld += "store" in body["degraded"]
        at = datetime.now(UTC)
        until = datetime.fromisoformat(body["expires_at"]) + timedelta(seconds=_HELD_SECONDS)
        for item in body["items"]:
            place = (body["slate_id"], item["item_id"])
            yield place, Contact(customer_id, item["item_id"], at, until)

    def _show(
        self,
        connection: http.client.HTTPConnection,
        place: tuple[str, str],
        contact: Contact,
        heard: _Heard,
    ) -> None:
        event = {
            "event_id": uuid.uuid4().hex,
            "type": "impression",
            "customer_id": contact.customer_id,
            "item_id": contact.offer_id,
            "occurred_at": datetime.now(UTC).isoformat(),
            "channel": "web",
            "slate_id": place[0],
        }
        status, _ = _send(connection, "POST", "/v1/events", {"events": [event]})
        heard.statuses[status] += 1
        if contact.until is not None and datetime.now(UTC) < contact.until and status == 202:
            heard.contacts[place] = Contact(contact.customer_id, contact.offer_id, contact.at, None)
        else:
            heard.late[contact.offer_id] += 1

    def _come_back(self, contacts: Sequence[Contact], late: Counter[str]) -> bool:
        """Whether, once all reservations have ended, only what was shown counts against what is shared."""
        time.sleep(_SLATE_SECONDS + _HELD_SECONDS + 0.5)
        shown = Counter(one.offer_id for one in contacts if one.until is None)
        had: Counter[str] = Counter()
        with _connection(self._port) as connection:
            number = n_none = 0
            while n_none < 3 and number < 10 * ALL_PACED:
                path = f"/v1/customers/new{number}/recommendations/offers?limit=10"
                _, body = _send(connection, "GET", path)
                found = [item["item_id"] for item in body["items"] if item["item_id"] in SHARED]
                had.update(found)
                number, n_none = number + 1, 0 if found else n_none + 1
        limits = {**LIMITS, PACED: self.due(datetime.now(UTC))}
        free = {name: limits[name] - shown[name] for name in SHARED}
        return all(free[name] - late[name] <= had[name] <= free[name] for name in SHARED)

    def _put_offers(self) -> None:
        """The offers, once every worker makes them."""
        each = {"unit_cost": "1"}
        terms: dict[str, dict[str, Any]] = {
            CAPPED: {"caps": [{"most": LIMITS[CAPPED], "hours": 24}]},
            FUNDED: {"budget": {"total": "25.50", **each}},
            DAILY: {"budget": {"total": "1000", "daily": "20.50", **each}},
            PACED: {"budget": {"total": str(ALL_PACED), **each}},
            FEW: {"inventory": LIMITS[FEW]},
        }
        assert self._paced.valid_from is not None and self._paced.valid_to is not None
        validity = {
            "valid_from": self._paced.valid_from.isoformat(),
            "valid_to": self._paced.valid_to.isoformat(),
        }
        items = [
            {
                "item_id": name,
                "kind": "offer",
                "title": {"en": name},
                "terms": said,
                **(validity if name == PACED else {}),
            }
            for name, said in terms.items()
        ]
        with _connection(self._port) as connection:
            status, body = _send(connection, "POST", "/v1/items", {"items": items})
            if status != 200:
                raise RuntimeError(f"the offers were not taken: {status} {body}")
        time.sleep(1.5)  # Every worker follows the catalogue within a second.


def _together(heard: Sequence[_Heard]) -> list[Contact]:
    """Every contact once: several clients get the same list from the cache, and one of them may show it."""
    found: dict[tuple[str, str], Contact] = {}
    for one in heard:
        for place, contact in one.contacts.items():
            other = found.get(place, contact)
            until = None if contact.until is None else other.until
            found[place] = replace(contact, at=min(contact.at, other.at), until=until)
    return list(found.values())


@contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def _send(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None
) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"null")
