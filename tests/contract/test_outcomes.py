"""What every store counts an experiment from: each customer once, and what they did before and since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isnan

import pytest
from sqlalchemy import insert

from recsvc.domain.customers import Customer
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.domain.outcomes import ExposedCustomers
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database
from recsvc.stores.events import SqlEvents
from recsvc.stores.exposures import SqlExposures
from recsvc.stores.memory import MemoryCustomers, MemoryEvents
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_outcomes import MemoryOutcomes
from recsvc.stores.outcomes import SqlOutcomes
from recsvc.stores.tables import identities

Outcomes = MemoryOutcomes | SqlOutcomes
Events = MemoryEvents | SqlEvents
Exposures = MemoryExposures | SqlExposures
Customers = MemoryCustomers | SqlCustomers
Linking = Callable[[str, str], None]

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
DAY = 86_400.0


@pytest.fixture
def owners() -> dict[str, str]:
    return {}


@pytest.fixture
def link(database: Database | None, owners: dict[str, str]) -> Linking:
    """Says that an id belongs to a customer."""

    def link(name: str, customer_id: str) -> None:
        owners[name] = customer_id
        if database:
            row = {"identity_id": name, "customer_id": customer_id, "unit": name}
            with database.writing() as connection:
                connection.execute(insert(identities).values(**row, linked_at=0, sequence=len(owners)))

    return link


@pytest.fixture
def outcomes(
    database: Database | None,
    exposures: Exposures,
    events: Events,
    customers: Customers,
    owners: dict[str, str],
) -> Outcomes:
    if database:
        return SqlOutcomes(database, at_once=2)  # So that every test reads several pages.
    assert isinstance(exposures, MemoryExposures)
    return MemoryOutcomes(exposures, events, customers, customer_of=lambda name: owners.get(name, name))


def met(
    customer_id: str,
    variant: str = "a",
    *,
    minutes: float = 0,
    channel: Channel = Channel.WEB,
    phase: int = 1,
) -> Exposure:
    """One answer, so many minutes after the experiment began."""
    moment = NOW + timedelta(minutes=minutes)
    return Exposure("e1", phase, customer_id, variant, moment, channel, "m1", 1, 0, 0, 500)


def click(customer_id: str, *, minutes: float, name: str = "click", **fields: object) -> Interaction:
    moment = NOW + timedelta(minutes=minutes)
    event_id = f"{customer_id}-{name}-{minutes}"
    return Interaction(event_id, name, customer_id, None, moment, **fields)  # type: ignore[arg-type]


def read(
    outcomes: Outcomes,
    exposed: ExposedCustomers,
    types: Sequence[str] = ("click",),
    *,
    before_seconds: float = DAY,
    until: datetime = NOW + timedelta(days=30),
) -> list[tuple[str, str, float, float, float, float, str]]:
    """Every event as a row, by customer and time."""
    rows = []
    for some in outcomes.events(exposed, types, before_seconds=before_seconds, until=until):
        columns = (some.seconds, some.values, some.scores, some.scales, some.currencies)
        for place, kind, *rest in zip(some.places, some.types, *columns, strict=True):
            rows.append((exposed.customer_ids[place], types[kind], *rest))
    return sorted(rows, key=lambda row: row[:3])


def seen(outcomes: Outcomes, until: datetime = NOW + timedelta(days=30)) -> ExposedCustomers:
    return outcomes.exposed("e1", 1, until=until)


def test_nobody_was_exposed_and_nothing_happened(outcomes: Outcomes) -> None:
    found = seen(outcomes)
    assert (found.n, read(outcomes, found), list(outcomes.attributes(found))) == (0, [], [])


def test_an_exposed_customer_stands_in_the_columns_once(outcomes: Outcomes, exposures: Exposures) -> None:
    exposures.record([met("c2", "b", channel=Channel.MOBILE), met("c1"), met("c1", minutes=5), met("c3")])
    exposures.record([met("c4", phase=2)])
    found = seen(outcomes)
    assert list(found.customer_ids) == ["c1", "c2", "c3"]
    assert list(found.variants) == ["a", "b", "a"]
    assert list(found.channels) == ["web", "mobile", "web"]
    assert list(found.n_answers) == [2, 1, 1]
    assert list(found.latency_micros) == [1000, 500, 500]
    assert list(found.crossed) == [0, 0, 0]


def test_who_met_two_variants_counts_for_the_first(outcomes: Outcomes, exposures: Exposures) -> None:
    exposures.record([met("c1", "a", minutes=9, channel=Channel.MOBILE), met("c1", "b", minutes=3)])
    found = seen(outcomes)
    assert (list(found.variants), list(found.crossed), list(found.channels)) == (["b"], [1], ["web"])
    assert list(found.n_answers) == [2]


def test_ids_of_one_customer_are_one_customer(
    outcomes: Outcomes, exposures: Exposures, events: Events, link: Linking
) -> None:
    link("phone", "c1")
    link("tablet", "c1")
    exposures.record([met("phone", minutes=1), met("c1", minutes=2), met("c0"), met("c2"), met("c3")])
    clicks = [click(name, minutes=minutes) for name, minutes in (("tablet", 5), ("c1", 4), ("phone", 3))]
    events.append(clicks, received_at=NOW)
    found = seen(outcomes)
    assert list(found.customer_ids) == ["c0", "c1", "c2", "c3"]
    assert list(found.n_answers) == [1, 2, 1, 1]
    assert [row[:3] for row in read(outcomes, found)] == [
        ("c1", "click", 120.0),
        ("c1", "click", 180.0),
        ("c1", "click", 240.0),
    ]


def test_whoever_is_exposed_later_is_not_among_them(outcomes: Outcomes, exposures: Exposures) -> None:
    exposures.record([met("c1"), met("c2", minutes=10)])
    assert list(seen(outcomes, NOW + timedelta(minutes=10)).customer_ids) == ["c1"]


def test_events_count_from_the_exposure(outcomes: Outcomes, exposures: Exposures, events: Events) -> None:
    exposures.record([met("c1", minutes=60), met("c2"), met("c3")])
    happened = [click("c1", minutes=minutes) for minutes in (-1500, -1000, 0, 60, 61, 500)]
    others = [click("c2", minutes=1, name="view"), click("c4", minutes=1)]
    events.append([*happened, *others], received_at=NOW)
    until = NOW + timedelta(minutes=500)
    found = [row[2] for row in read(outcomes, seen(outcomes), until=until)]
    assert found == [-63_600.0, -3_600.0, 0.0, 60.0]
    assert [row[1] for row in read(outcomes, seen(outcomes), ("view",))] == ["view"]
    assert read(outcomes, seen(outcomes), ()) == []


def test_what_is_measured_comes_along(outcomes: Outcomes, exposures: Exposures, events: Events) -> None:
    exposures.record([met("c1")])
    bought = click("c1", minutes=1, name="purchase", value=Decimal("12.50"), currency="EUR")
    asked = click("c1", minutes=2, name="nps", score=9.0, scale=10.0)
    events.append([bought, asked, click("c1", minutes=3)], received_at=NOW)
    clicked, answered, paid = read(outcomes, seen(outcomes), ("purchase", "nps", "click"))
    assert (paid[3], paid[6], isnan(paid[4])) == (12.5, "EUR", True)
    assert (answered[4:6], isnan(answered[3])) == ((9.0, 10.0), True)
    assert all(map(isnan, clicked[3:6])) and clicked[6] == ""


def test_who_came_counts_from_their_first_event(outcomes: Outcomes, events: Events, link: Linking) -> None:
    link("phone", "c1")
    came = (("c1", 9), ("phone", 5), ("c2", 8), ("c3", 60), ("c0", -1))
    events.append([click(name, minutes=minutes) for name, minutes in came], received_at=NOW)
    found = outcomes.visitors(NOW, NOW + timedelta(minutes=60))
    assert list(found.customer_ids) == ["c1", "c2"]
    assert [row[2] for row in read(outcomes, found)] == [0.0, 240.0, 0.0]


def test_attributes_are_those_on_record(
    outcomes: Outcomes, exposures: Exposures, customers: Customers
) -> None:
    exposures.record([met("c1"), met("c2"), met("c3")])
    recorded = [Customer("c3", {"age": 70}), Customer("c1", {"age": 20}), Customer("c9", {})]
    customers.put_many(recorded, now=NOW)
    assert dict(outcomes.attributes(seen(outcomes))) == {0: {"age": 20}, 2: {"age": 70}}
