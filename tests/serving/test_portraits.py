"""Portraits as they are asked for: from the store where it knows the customer, else from the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, ItemStatus
from recsvc.domain.profiles import Portrait
from recsvc.history.interactions import InteractionTable
from recsvc.policy import SegmentRule
from recsvc.sample_bank import SampleBank
from recsvc.serving.customers import SubjectReader
from recsvc.serving.portraits import Portraits

from ..small_bank import END, POLICY, World, who

DAY = timedelta(days=1)


def drawer(world: World) -> Portraits:
    return Portraits(world.customers, world.events, world.catalogue, world.policy, clock=lambda: world.now)


def portrait_of(world: World, customer_id: str) -> Portrait:
    found = drawer(world).portrait(customer_id)
    assert found is not None
    return found


def history_of(bank: SampleBank, customer_id: str) -> Sequence[Interaction]:
    table = InteractionTable.from_frame(bank.events).of_customers([customer_id])
    return list(table.interactions())


@pytest.fixture
def customer_id(bank_in_small: SampleBank) -> str:
    """A customer of the bundle who agreed to personalisation."""
    return who(bank_in_small.customers)[0]


def test_one_of_whom_nothing_is_known_has_no_portrait(world: World) -> None:
    assert drawer(world).portrait("unheard-of") is None


def test_a_customer_of_the_bundle_without_stored_events_is_drawn_from_the_bundle(
    world: World, customer_id: str
) -> None:
    portrait, model = portrait_of(world, customer_id), world.bundles.model
    assert model is not None
    row = model.bundle.customers.row_of(customer_id)
    assert row is not None
    kept = model.bundle.profile_of(row)
    assert (portrait.source, portrait.model_version) == ("bundle", model.version)
    assert portrait.as_of == model.bundle.manifest.data_window.until
    assert portrait.frequency.value == kept.frequency
    assert portrait.lifecycle.value == kept.lifecycle
    assert portrait.tag_affinity.value is None
    assert portrait.tag_affinity.reason == "only the summary that training kept is known of this customer"


def test_with_the_whole_history_in_the_store_the_portrait_is_the_one_of_training(
    world: World, bank_in_small: SampleBank, customer_id: str
) -> None:
    from_bundle, model = portrait_of(world, customer_id), world.bundles.model
    assert model is not None and model.bundle.manifest.data_window.until is not None
    world.events.append(history_of(bank_in_small, customer_id), received_at=world.now)
    world.now = model.bundle.manifest.data_window.until
    from_events = portrait_of(world, customer_id)
    assert (from_events.source, from_bundle.source) == ("events", "bundle")
    for name in ("frequency", "lifecycle", "journey", "recency_score", "frequency_score", "monetary_score"):
        assert getattr(from_events, name) == getattr(from_bundle, name), name
    for name in ("recency_days", "monetary_value", "p_alive", "expected_purchases", "category_affinity"):
        assert getattr(from_events, name).value == pytest.approx(getattr(from_bundle, name).value, abs=2e-4)
    assert from_events.segments == from_bundle.segments
    assert from_events.hours.value and from_events.tag_affinity.value


def test_an_event_is_in_the_next_portrait(world: World, bank_in_small: SampleBank, customer_id: str) -> None:
    world.events.append(history_of(bank_in_small, customer_id), received_at=world.now)
    before = portrait_of(world, customer_id)
    item = bank_in_small.items[0]
    world.did(customer_id, "view", *[item.item_id] * 3)
    world.now += timedelta(minutes=1)
    after = portrait_of(world, customer_id)
    assert int(str(after.frequency.value)) == int(str(before.frequency.value)) + 3
    assert after.recency_days.value == pytest.approx(60 / 86_400, rel=0.01)
    affinity = after.category_affinity.value
    assert isinstance(affinity, dict) and affinity[item.category] > 0


def test_silence_ages_a_portrait(world: World, bank_in_small: SampleBank, customer_id: str) -> None:
    world.events.append(history_of(bank_in_small, customer_id), received_at=world.now)
    world.now += 300 * DAY
    portrait = portrait_of(world, customer_id)
    assert portrait.lifecycle.value == "churned"
    assert portrait.recency_score.value == 1
    assert "lifecycle:churned" in portrait.segments
    assert portrait.as_of == world.now


def test_a_customer_whom_the_model_never_met_is_measured_by_its_population(world: World) -> None:
    world.did("fresh-1", "view", "a1", after=-DAY)
    portrait = portrait_of(world, "fresh-1")
    assert (portrait.source, portrait.lifecycle.value, portrait.recency_score.value) == ("events", "new", 5)
    assert (portrait.p_alive.value, portrait.frequency.value) == (None, 1)


def test_a_customer_with_a_record_and_no_history_has_segments_and_no_figures(world: World) -> None:
    world.record(Customer("fresh-1", attributes={"age": 20}))
    portrait = portrait_of(world, "fresh-1")
    assert (portrait.source, portrait.segment, portrait.segments) == (
        "nothing",
        "young",
        ("young", "everyone"),
    )
    assert portrait.frequency.value is None
    assert portrait.frequency.reason == "nothing that the customer did is known"


def test_an_erased_customer_looks_like_one_who_never_was(
    world: World, bank_in_small: SampleBank, customer_id: str
) -> None:
    world.events.append(history_of(bank_in_small, customer_id), received_at=world.now)
    assert drawer(world).portrait(customer_id) is not None
    world.customers.erase(customer_id, world.now)
    assert drawer(world).portrait(customer_id) is None  # The events are still being deleted.
    world.events.delete_customer(customer_id)
    assert drawer(world).portrait(customer_id) is None


def test_an_erased_customer_who_comes_again_begins_anew(
    world: World, bank_in_small: SampleBank, customer_id: str
) -> None:
    world.events.append(history_of(bank_in_small, customer_id), received_at=world.now)
    world.customers.erase(customer_id, world.now)
    world.now += DAY
    world.did(customer_id, "view", "a1", after=-timedelta(minutes=1))
    portrait = portrait_of(world, customer_id)
    assert (portrait.frequency.value, portrait.lifecycle.value) == (1, "new")


def test_what_was_read_counts_though_the_item_was_retired(
    world: World, bank_in_small: SampleBank, customer_id: str
) -> None:
    item = bank_in_small.items[0]
    world.did("fresh-1", "view", item.item_id, after=-DAY)
    world.put(replace(item, status=ItemStatus.RETIRED))
    assert portrait_of(world, "fresh-1").category_affinity.value == {item.category: 1.0}


def test_without_a_model_a_portrait_says_what_it_lacks(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.did("c1", "view", "a1", after=-DAY)
    portrait = portrait_of(world, "c1")
    assert (portrait.model_version, portrait.frequency.value) == (None, 1)
    assert portrait.lifecycle.value is None
    assert portrait.lifecycle.reason == "no model is in service to measure the customer by"


def test_a_portrait_can_be_written_as_json_and_read_back(world: World, customer_id: str) -> None:
    portrait = portrait_of(world, customer_id)
    assert msgspec.json.decode(msgspec.json.encode(portrait), type=Portrait) == portrait


def test_a_slate_falls_back_to_the_segment_that_training_counted_the_customer_in(
    bank_in_small: SampleBank, tmp_path: Path
) -> None:
    from recsvc.training.families import FAMILIES
    from recsvc.training.material import Source
    from recsvc.training.pipeline import train

    rules = (
        SegmentRule(name="best", profile="monetary_score", at_least=5),
        SegmentRule(name="young", attribute="age", below=30),
        SegmentRule(name="away", profile="lifecycle", equals="dormant"),
        POLICY.segments[-1],
    )
    policy = replace(POLICY, segments=rules)
    source = Source(
        InteractionTable.from_frame(bank_in_small.events), bank_in_small.items, bank_in_small.customers
    )
    families = [family for family in FAMILIES if family.name == "popularity"]
    report = train(source, policy, Registry(tmp_path), families=families, seed=1, created_at=END)
    Registry(tmp_path).promote(report.manifest.version)
    world = World(tmp_path, items=bank_in_small.items, customers=bank_in_small.customers, policy=policy)
    bundle, reader = (
        open_bundle(tmp_path / report.manifest.version),
        SubjectReader(world.customers, world.events, policy),
    )
    found = set()
    for row in range(len(bundle.customers)):
        customer_id, counted_in = bundle.customers.id_of(row), bundle.profile_of(row).segment
        subject = reader.read(
            customer_id, channel=Channel.WEB, model=world.bundles.model, items={}, now=world.now
        )
        found.add(subject.segment)
        assert subject.segment == (None if counted_in == "everyone" else counted_in)
        assert portrait_of(world, customer_id).segment == counted_in
    assert {"best", "young", None} <= found
