"""What every store of surveys does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from recsvc.domain.customers import Customer
from recsvc.domain.experiments import Experiment, ExperimentVariant
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.domain.moments import to_micros
from recsvc.domain.surveys import Scope, StudiedExperiment
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database
from recsvc.stores.documents import encode_document
from recsvc.stores.events import SqlEvents
from recsvc.stores.memory import MemoryCustomers, MemoryEvents
from recsvc.stores.memory_satisfaction import MemorySatisfaction
from recsvc.stores.satisfaction import SqlSatisfaction
from recsvc.stores.tables import experiments, exposures, identities

Satisfaction = MemorySatisfaction | SqlSatisfaction

START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(days=10)
RATES = Experiment("rates", tuple(ExperimentVariant(key, "v1", 50) for key in "ba"), phase=2)
STUDIED = StudiedExperiment("rates", 2, ("b", "a"))

_ids = count(1)


def on_day(day: float) -> datetime:
    return START + timedelta(days=day)


def an_event(customer_id: str, day: float, kind: str = "view", **more: Any) -> Interaction:
    return Interaction(f"e{next(_ids):06}", kind, customer_id, None, on_day(day), **more)


def met(customer_id: str, variant: str, day: float, phase: int = 2) -> Exposure:
    return Exposure("rates", phase, customer_id, variant, on_day(day), Channel.WEB, "v1")


@dataclass
class Given:
    """What is in the store before it is asked."""

    events: Sequence[Interaction] = ()
    exposures: Sequence[Exposure] = ()
    customer_of: Mapping[str, str] = field(default_factory=dict)
    customers: Sequence[Customer] = ()


Store = Callable[[Given], Satisfaction]


@pytest.fixture
def store(
    database: Database | None, events: MemoryEvents | SqlEvents, customers: MemoryCustomers | SqlCustomers
) -> Store:
    def fill(given: Given) -> Satisfaction:
        if given.events:
            events.append(given.events, received_at=END)
        customers.put_many(given.customers, now=END)
        if database is None:
            assert isinstance(events, MemoryEvents) and isinstance(customers, MemoryCustomers)
            return MemorySatisfaction(
                events,
                customers,
                experiments=[RATES],
                exposures=given.exposures,
                customer_of=given.customer_of,
            )
        with database.writing() as connection:
            document = encode_document(RATES, "the experiment")
            connection.execute(experiments.insert().values(key="rates", document=document, updated_at=0))
            for one in given.exposures:
                row = {name: getattr(one, name) for name in Exposure.__slots__}
                row |= {"exposed_at": to_micros(one.exposed_at), "channel": one.channel.value}
                connection.execute(exposures.insert().values(row))
            for number, (identity, customer_id) in enumerate(given.customer_of.items()):
                linked = {"identity_id": identity, "customer_id": customer_id, "unit": identity}
                connection.execute(identities.insert().values(**linked, linked_at=0, sequence=number))
        return SqlSatisfaction(database)

    return fill


def test_an_experiment_is_known_with_its_phase_and_its_variants_in_order(store: Store) -> None:
    found = store(Given())
    assert (found.experiment("rates"), found.experiment("other")) == (STUDIED, None)


def test_answers_come_by_time_and_only_surveys_are_answers(store: Store) -> None:
    events = [
        an_event("c2", 5, "csat", score=4, scale=5, channel=Channel.EMAIL),
        an_event("c1", 3, "nps", score=9, scale=10, channel=Channel.WEB),
        an_event("c1", 4, "ces", score=7),
        an_event("c1", 4, "purchase"),
    ]
    answers = list(store(Given(events)).answers(Scope(START, END)))
    assert [(one.customer_id, one.survey, one.score, one.channel) for one in answers] == [
        ("c1", "nps", 9, Channel.WEB),
        ("c1", "ces", 7, None),
        ("c2", "csat", 4, Channel.EMAIL),
    ]
    assert [one.answered_at for one in answers] == [on_day(3), on_day(4), on_day(5)]


def test_the_window_begins_with_its_first_moment_and_ends_before_its_last(store: Store) -> None:
    found = store(Given([an_event(f"c{day}", day, "nps", score=9) for day in (-1, 0, 9, 10)]))
    assert [one.customer_id for one in found.answers(Scope(START, END))] == ["c0", "c9"]
    assert found.n_customers(Scope(START, END)) == 2


def test_many_answers_of_one_moment_all_come(store: Store) -> None:
    found = store(Given([an_event(f"c{n}", 1, "nps", score=9) for n in range(5_003)]))
    assert len({one.customer_id for one in found.answers(Scope(START, END))}) == 5_003


def test_an_answer_on_another_scale_has_no_score(store: Store) -> None:
    found = store(
        Given(
            [
                an_event("c1", 1, "csat", score=4, scale=10),
                an_event("c1", 2, "nps"),
                an_event("c1", 3, "ces", score=0, scale=7),
            ]
        )
    )
    assert [one.score for one in found.answers(Scope(START, END))] == [None, None, None]


def test_everybody_who_did_anything_counts_once_and_once_in_each_channel(store: Store) -> None:
    found = store(
        Given(
            [
                an_event("c1", 1, channel=Channel.WEB),
                an_event("c1", 2, channel=Channel.WEB),
                an_event("c1", 3, "impression", channel=Channel.MOBILE),
                an_event("c2", 3, channel=Channel.WEB),
                an_event("c3", 3),
            ]
        )
    )
    everywhere = Scope(START, END)
    assert found.n_customers(everywhere) == 3
    assert found.n_by_channel(everywhere) == {Channel.WEB: 2, Channel.MOBILE: 1, None: 1}
    on_web = Scope(START, END, Channel.WEB)
    assert (found.n_customers(on_web), found.n_by_channel(on_web)) == (2, {Channel.WEB: 2})


def test_a_linked_id_is_its_customer_everywhere(store: Store) -> None:
    given = Given(
        events=[an_event("anonymous", 3, "nps", score=9), an_event("c1", 4, "nps", score=2)],
        exposures=[met("anonymous", "a", 1)],
        customer_of={"anonymous": "c1"},
        customers=[Customer("c1", attributes={"age": 25})],
    )
    found = store(given)
    for scope in (Scope(START, END), Scope(START, END, experiment=STUDIED)):
        assert [one.customer_id for one in found.answers(scope)] == ["c1", "c1"]
        assert found.n_customers(scope) == 1
        assert dict(found.attributes(scope)) == {"c1": {"age": 25}}


def test_of_an_experiment_only_the_exposed_count_from_their_exposure_on(store: Store) -> None:
    given = Given(
        events=[
            an_event("c1", 1, "nps", score=1),
            an_event("c1", 2, "nps", score=9),
            an_event("c2", 5, "nps", score=8),
            an_event("c3", 5, "nps", score=7),
        ],
        exposures=[met("c1", "a", 2), met("c2", "b", 1), met("c3", "a", 1, phase=1)],
    )
    found, scope = store(given), Scope(START, END, experiment=STUDIED)
    answers = [(one.customer_id, one.variant, one.score) for one in found.answers(scope)]
    assert answers == [("c1", "a", 9), ("c2", "b", 8)]
    assert (found.n_customers(scope), found.n_by_variant(scope)) == (2, {"a": 1, "b": 1})


def test_who_met_two_variants_counts_for_the_first(store: Store) -> None:
    given = Given([an_event("c1", 5, "nps", score=9)], [met("c1", "a", 3), met("c1", "b", 2)])
    found, scope = store(given), Scope(START, END, experiment=STUDIED)
    assert [one.variant for one in found.answers(scope)] == ["b"]
    assert found.n_by_variant(scope) == {"b": 1}


def test_who_was_exposed_was_shown_something_even_where_no_event_tells(store: Store) -> None:
    found = store(Given(exposures=[met("c1", "a", 3), met("c2", "b", -1)]))
    scope = Scope(START, END, experiment=STUDIED)
    assert (found.n_customers(scope), found.n_by_variant(scope)) == (1, {"a": 1})
    assert found.n_by_channel(scope) == {Channel.WEB: 1}
    assert found.n_customers(Scope(START, END, Channel.EMAIL, STUDIED)) == 0
    assert dict(found.attributes(scope)) == {"c1": {}}
