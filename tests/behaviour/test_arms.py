"""What an arm of an experiment does to the lists of its customers, and to nobody else's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.decisions import Gate
from recsvc.domain.experiments import Experiment, ExperimentStatus, ExperimentVariant
from recsvc.domain.items import Channel, Item
from recsvc.domain.offer_terms import OfferTerms
from recsvc.domain.slates import Arm, Slate, SlateRequest, Source
from recsvc.experimentation.allocations import allocation_of
from recsvc.experimentation.exposed import ExposedEngine
from recsvc.experimentation.exposure_notes import ExposureNotes
from recsvc.experimentation.running import RunningExperiments
from recsvc.experimentation.units import Units
from recsvc.sample_bank import SampleBank
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.stores.memory_experiments import MemoryExperiments
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities

from ..small_bank import (
    CONTENT,
    END,
    OFFER,
    POLICY,
    Arrays,
    DownCache,
    World,
    flip,
    ids,
    publish_changed,
    who,
)
from .test_explanations import WILLING

LEVERS = {"calibration": 0.95, "most_of_a_category": 0.3}


class Trial:
    """A world in which the champion is tested against the newer bundle."""

    def __init__(self, world: World, shelf: tuple[Path, Path]) -> None:
        self.world = world
        self.old, self.new = (path.name for path in shelf)
        self.experiments, self.exposures = MemoryExperiments(), MemoryExposures()
        self.running = RunningExperiments(self.experiments, POLICY.lists, clock=lambda: world.now)
        self.notes = ExposureNotes(self.exposures)

    def begin(self, **fields: Any) -> Experiment:
        """Register the experiment anew, and let the world follow."""
        given: dict[str, Any] = {
            "variants": (ExperimentVariant("a", self.old, 50), ExperimentVariant("b", self.new, 50)),
            "status": ExperimentStatus.RUNNING,
            **fields,
        }
        expected = "*" if self.experiments.get("reading") else None
        written = self.experiments.put(Experiment("reading", **given), expected=expected, now=self.world.now)
        self.refresh()
        return written.experiment.value

    def refresh(self) -> None:
        self.running.refresh()
        self.world.wanted = set(self.running.wanted_versions())
        self.world.refresh()
        refused = [one.version for one in self.world.bundles.refused]
        self.running.open_for(self.world.catalogue.versions, refused)

    def ask(self, customer_id: str, **wanted: Any) -> ServedSlate:
        engine = ExposedEngine(
            self.world.cached,
            self.running,
            Units(MemoryIdentities(MemoryExposures())),
            self.notes,
            clock=lambda: self.world.now,
            monotonic=lambda: 0.0,
        )
        return engine.recommend(SlateRequest(CONTENT, customer_id, **wanted))


@pytest.fixture
def trial(bank_in_small: SampleBank, shelf: tuple[Path, Path]) -> Trial:
    Registry(shelf[0].parent).promote(shelf[0].name)
    world = World(shelf[0].parent, items=bank_in_small.items, customers=bank_in_small.customers)
    return Trial(world, shelf)


@pytest.fixture
def customers(bank_in_small: SampleBank) -> list[str]:
    return who(bank_in_small.customers)[:30]


def list_of(served: ServedSlate) -> list[str]:
    return [item["item_id"] for item in json.loads(served.body)["items"]]


def in_arm(world: World, arm: Arm | None, customer_id: str) -> Slate:
    return world.engine.recommend(SlateRequest(CONTENT, customer_id, arm=arm))


def test_every_customer_is_served_by_the_model_of_their_arm_whatever_is_kept(
    trial: Trial, customers: list[str]
) -> None:
    deals = allocation_of(trial.begin())
    for expected in (CacheStatus.MISS, CacheStatus.HIT):
        for customer_id in [*customers, "nobody-knows", "anonymous:1"]:
            variant = deals.assign(customer_id).variant
            served = trial.ask(customer_id)
            slate = json.loads(served.body)
            assert served.cache is expected
            assert slate["experiment"] == {"key": "reading", "variant": variant}
            assert served.model_version == slate["model_version"]
            assert served.model_version == {"a": trial.old, "b": trial.new}[variant or ""]
            assert slate["policy_version"] == POLICY.version
    trial.world.cached = trial.world.cached_over(DownCache())
    for customer_id in customers:
        assert trial.ask(customer_id).cache is CacheStatus.BYPASSED
    trial.notes.write()
    met = list(trial.exposures.of_phase("reading", 1))
    assert len(met) == len(customers) + 2
    assert {one.variant for one in met} == {"a", "b"}
    assert sum(one.n_mismatched for one in met) == 0
    assert sum(one.n_answers for one in met) == 3 * len(customers) + 4


def test_another_promotion_moves_nobody_out_of_their_arm(trial: Trial, customers: list[str]) -> None:
    trial.begin()
    before = {one: trial.ask(one).model_version for one in customers}
    assert set(before.values()) == {trial.old, trial.new}
    trial.world.registry.promote(trial.new)
    trial.refresh()
    assert {one: trial.ask(one, channel=Channel.MOBILE).model_version for one in customers} == before


def test_paused_everybody_gets_the_champion_and_resumed_everybody_is_where_they_were(
    trial: Trial, customers: list[str]
) -> None:
    trial.begin()
    before = {one: (trial.ask(one).model_version, list_of(trial.ask(one))) for one in customers}
    trial.begin(status=ExperimentStatus.PAUSED)
    for customer_id in customers:
        slate = json.loads(trial.ask(customer_id).body)
        assert (slate["model_version"], slate["experiment"]) == (trial.old, None)
    trial.begin()
    assert {one: (trial.ask(one).model_version, list_of(trial.ask(one))) for one in customers} == before


def test_levers_change_a_list_in_their_arm_and_no_other(trial: Trial, customers: list[str]) -> None:
    variants = (ExperimentVariant("a", trial.old, 50), ExperimentVariant("b", trial.old, 50, LEVERS))
    plain = {one: trial.ask(one) for one in customers}
    deals = allocation_of(trial.begin(variants=variants))
    changed = set()
    for customer_id in customers:
        slate = json.loads(trial.ask(customer_id).body)
        has_levers = deals.assign(customer_id).variant == "b"
        suffix = "+calibration=0.95,most_of_a_category=0.3" if has_levers else ""
        assert slate["policy_version"] == POLICY.version + suffix
        if list_of(trial.ask(customer_id)) != list_of(plain[customer_id]):
            changed.add(deals.assign(customer_id).variant)
    assert changed == {"b"}


def test_levers_are_what_a_policy_that_says_so_does(bank_in_small: SampleBank, trial: Trial) -> None:
    arm = Arm("reading", 1, "b", trial.old, tuple(sorted(LEVERS.items())))
    policy = replace(POLICY, lists=POLICY.lists.__class__(**LEVERS))
    other = World(
        trial.world.registry.path_of(trial.old).parent,
        items=bank_in_small.items,
        customers=bank_in_small.customers,
        policy=policy,
    )
    for customer_id in who(bank_in_small.customers)[:20]:
        assert ids(in_arm(trial.world, arm, customer_id)) == ids(in_arm(other, None, customer_id))


def test_levers_of_what_was_shown_lately_count_too(trial: Trial, customers: list[str]) -> None:
    world, customer_id = trial.world, customers[0]
    arm = Arm("reading", 1, "b", trial.old, (("rotation_hours", 0.0),))
    best = ids(in_arm(world, None, customer_id))[:3]
    for _ in range(3):
        world.did(customer_id, "impression", *best)
    world.now = END.replace(hour=END.hour + 1)
    assert ids(in_arm(world, None, customer_id))[:3] != best
    assert set(ids(in_arm(world, arm, customer_id))[:3]) >= set(best[:1])


def test_a_refused_model_leaves_its_customers_with_the_champion_and_is_counted(
    trial: Trial, customers: list[str]
) -> None:
    file = trial.world.registry.path_of(trial.new) / "popularity.npy"
    flip(file, 200)
    variants = (ExperimentVariant("a", trial.old, 50), ExperimentVariant("b", trial.new, 50, LEVERS))
    plain = {one: list_of(trial.ask(one)) for one in customers}
    deals = allocation_of(trial.begin(variants=variants))
    assert [one.version for one in trial.world.health.report().refused_bundles] == [trial.new]
    for _ in range(2):
        for customer_id in customers:
            served = trial.ask(customer_id)
            slate = json.loads(served.body)
            assert list_of(served) == plain[customer_id]
            assert served.source is Source.PERSONALISED
            assert (slate["model_version"], slate["policy_version"]) == (trial.old, POLICY.version)
    trial.notes.write()
    for met in trial.exposures.of_phase("reading", 1):
        assert met.n_mismatched == (2 if met.variant == "b" else 0)
    in_b = [one for one in customers if deals.assign(one).variant == "b"]
    flip(file, 200)
    trial.refresh()
    assert {trial.ask(one).model_version for one in in_b} == {trial.new}


def test_one_whose_model_was_touched_gets_the_champion_and_nothing_is_kept_of_it(
    trial: Trial, customers: list[str]
) -> None:
    deals = allocation_of(trial.begin())
    in_b = next(one for one in customers if deals.assign(one).variant == "b")
    file = trial.world.registry.path_of(trial.new) / "popularity.npy"
    raw = file.read_bytes()
    with file.open("r+b") as stream:
        stream.truncate(100)
    assert trial.ask(in_b).model_version == trial.old
    file.write_bytes(raw)
    trial.refresh()
    served = trial.ask(in_b)
    assert (served.model_version, served.cache) == (trial.new, CacheStatus.MISS)


def test_a_list_in_an_arm_knows_what_is_live(trial: Trial, customers: list[str]) -> None:
    deals = allocation_of(trial.begin())
    in_b = next(one for one in customers if deals.assign(one).variant == "b")
    assert json.loads(trial.ask(in_b).body)["degraded"] == []
    top = list_of(trial.ask(in_b))[0]
    trial.world.did(in_b, "dismiss", top)
    trial.world.cache.move_epoch(in_b)
    after = trial.ask(in_b)
    assert after.model_version == trial.new
    assert top not in list_of(after)


def test_what_offers_ask_of_a_portrait_is_asked_of_the_champions_in_every_arm(
    bank_in_small: SampleBank, shelf: tuple[Path, Path]
) -> None:
    def met_more(arrays: Arrays) -> None:
        arrays["profile_frequency"] = arrays["profile_frequency"] + 1_000

    other = publish_changed(shelf[0], met_more).name
    Registry(shelf[0].parent).promote(shelf[0].name)
    seldom = {"field": "profile.frequency", "op": "at_most", "value": 999}
    offer = Item("o", OFFER, terms=OfferTerms(eligibility=seldom))
    world = World(
        shelf[0].parent, items=[*bank_in_small.items, offer], customers=[Customer("c0001", consents=WILLING)]
    )
    world.wanted = {other}
    world.refresh()

    def is_eligible(arm: Arm | None) -> bool:
        found = world.engine.explain_offer(SlateRequest(OFFER, "c0001", arm=arm), "o").findings
        return next(one.passed for one in found if one.gate is Gate.ELIGIBILITY)

    arms = [
        None,
        Arm("reading", 1, "a"),
        Arm("reading", 1, "b", shelf[0].name),
        Arm("reading", 1, "c", other),
    ]
    assert [is_eligible(arm) for arm in arms] == [True] * 4
    Registry(shelf[0].parent).promote(other)
    world.refresh()
    assert [is_eligible(arm) for arm in (arms[0], arms[1], arms[3])] == [False] * 3
