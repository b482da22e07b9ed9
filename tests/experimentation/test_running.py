"""Which experiment decides on a customer, and from when on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from recsvc.domain.experiments import Experiment, ExperimentStatus, ExperimentVariant
from recsvc.domain.slates import Arm
from recsvc.errors import StoreError
from recsvc.experimentation.allocations import allocation_of, holdout_experiment
from recsvc.experimentation.running import RunningExperiments
from recsvc.policy_experiments import ExperimentsPolicy
from recsvc.policy_lists import ListsPolicy

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
CUSTOMERS = [f"c{number}" for number in range(2_000)]


class Registered:
    """Experiments as they are registered, with a revision that moves with every change."""

    def __init__(self, *experiments: Experiment) -> None:
        self.kept: dict[str, Experiment] = {}
        self.n_changes = 0
        self.is_down = False
        for one in experiments:
            self.put(one)

    def put(self, experiment: Experiment) -> None:
        self.kept[experiment.key] = experiment
        self.n_changes += 1

    def revision(self) -> int:
        if self.is_down:
            raise StoreError("the store is away")
        return self.n_changes

    def experiments(self) -> tuple[Experiment, ...]:
        return tuple(one for _, one in sorted(self.kept.items()))


class Process:
    """A process that follows what is registered, with a clock that is moved by hand."""

    def __init__(self, registered: Registered, *, holdout_percent: int = 0) -> None:
        self.now = NOW
        self.registered = registered
        policy = ExperimentsPolicy(holdout_percent=holdout_percent)
        self.running = RunningExperiments(
            registered, ListsPolicy(), holdout=holdout_experiment(policy), clock=lambda: self.now
        )
        self.refresh()

    def refresh(self, served: tuple[str, ...] = ("v1", "v2"), refused: tuple[str, ...] = ()) -> None:
        self.running.refresh()
        self.running.open_for(served, refused)

    def arms(self) -> Mapping[str, Arm | None]:
        """The arm that decides on each customer."""
        dealing = self.running.dealing
        return {one: dealing.arms_of(one, self.now)[1] if dealing else None for one in CUSTOMERS}

    def shares(self) -> Counter[str | None]:
        """How many customers are in which variant."""
        return Counter(arm.variant if arm else None for arm in self.arms().values())


def a_test(key: str = "reading", **fields: object) -> Experiment:
    """One that runs, of two versions, half and half."""
    given: dict[str, object] = {
        "variants": (ExperimentVariant("a", "v1", 50), ExperimentVariant("b", "v2", 50)),
        "status": ExperimentStatus.RUNNING,
        "phase": 1,
        "begun_at": NOW - HOUR,
        **fields,
    }
    return Experiment(key, **given)  # type: ignore[arg-type]


def test_without_experiments_nothing_deals_and_no_model_is_wanted() -> None:
    process = Process(Registered())
    assert process.running.dealing is None
    assert process.running.wanted_versions() == frozenset()


def test_an_experiment_that_runs_deals_by_its_salt() -> None:
    process = Process(Registered(a_test()))
    expected = {one: allocation_of(a_test()).assign(one).variant for one in CUSTOMERS}
    assert {one: arm.variant for one, arm in process.arms().items() if arm} == expected
    assert set(process.arms().values()) == {
        Arm("reading", 1, "a", "v1"),
        Arm("reading", 1, "b", "v2"),
    }


def test_nobody_is_dealt_before_every_model_serves_here_or_was_refused() -> None:
    process = Process(Registered())
    process.registered.put(a_test())
    process.running.refresh()
    assert process.running.wanted_versions() == {"v1", "v2"}
    for served, refused, is_open in ((("v1",), (), False), (("v1",), ("v2",), True)):
        process.running.open_for(served, refused)
        assert (process.running.dealing is not None) is is_open


def test_once_open_it_stays_so_whatever_becomes_of_its_models() -> None:
    process = Process(Registered(a_test()))
    before = process.arms()
    process.refresh(served=("v1",))
    assert process.arms() == before


def test_paused_nobody_is_dealt_and_resumed_everybody_is_where_they_were() -> None:
    process = Process(Registered(a_test()))
    before = process.arms()
    process.registered.put(replace(a_test(), status=ExperimentStatus.PAUSED))
    process.running.refresh()
    assert process.running.dealing is None
    assert process.running.wanted_versions() == {"v1", "v2"}
    process.registered.put(a_test())
    process.running.refresh()
    assert process.arms() == before


def test_stopped_or_ended_it_deals_nobody_and_wants_no_model() -> None:
    for last in (a_test(status=ExperimentStatus.STOPPED), a_test(end=NOW)):
        process = Process(Registered(a_test()))
        process.registered.put(last)
        process.running.refresh()
        assert process.running.dealing is None
        assert process.running.wanted_versions() == frozenset()


def test_it_ends_at_its_end_though_nobody_looks() -> None:
    process = Process(Registered(a_test(end=NOW + HOUR)))
    process.now += HOUR - timedelta(microseconds=1)
    assert None not in process.shares()
    process.now = NOW + HOUR
    assert process.shares() == {None: len(CUSTOMERS)}


def test_one_that_starts_later_has_its_models_ready_and_deals_nobody() -> None:
    process = Process(Registered(a_test(start=NOW + HOUR)))
    assert (process.running.dealing, process.running.wanted_versions()) == (None, {"v1", "v2"})
    process.now += HOUR
    process.running.refresh()
    assert process.running.dealing is not None


def test_of_several_that_a_customer_falls_in_the_one_begun_first_decides() -> None:
    older = a_test("z-older", coverage=0.5, begun_at=NOW - 2 * HOUR)
    process = Process(Registered(a_test(), older))
    arms = process.arms()
    first = allocation_of(older)
    for customer_id, arm in arms.items():
        assert arm is not None
        assert arm.experiment == ("z-older" if first.assign(customer_id).variant else "reading")
    assert {arm.experiment for arm in arms.values() if arm} == {"z-older", "reading"}


def test_whoever_is_held_out_is_in_no_experiment() -> None:
    process = Process(Registered(a_test()), holdout_percent=20)
    dealing = process.running.dealing
    assert dealing is not None
    held = {one: dealing.arms_of(one, NOW) for one in CUSTOMERS}
    kinds = Counter((first.variant if first else None, arm is not None) for first, arm in held.values())
    assert set(kinds) == {("held_out", False), ("in_experiments", True)}
    assert 320 < kinds["held_out", False] < 480


def test_while_the_store_is_away_what_is_known_goes_on() -> None:
    process = Process(Registered(a_test(end=NOW + HOUR)))
    before = process.arms()
    process.registered.is_down = True
    process.refresh()
    assert process.arms() == before
    process.now += HOUR
    process.refresh()
    assert process.running.dealing is None


def test_a_process_that_starts_anew_deals_alike() -> None:
    registered = Registered(a_test(coverage=0.5))
    assert Process(registered).arms() == Process(registered).arms()
    assert set(Process(registered).shares()) == {None, "a", "b"}


def test_an_experiment_with_levers_that_are_not_known_deals_nobody_and_is_told_of_once() -> None:
    odd = ExperimentVariant("b", "v2", 50, {"no_such_lever": 1.0})
    variants = (ExperimentVariant("a", "v1", 50), odd)
    with structlog.testing.capture_logs() as logged:
        process = Process(Registered(a_test(variants=variants)))
        for _ in range(3):
            process.running.refresh()
    assert process.running.dealing is None
    assert [one["event"] for one in logged] == ["experiment_unusable"]


def test_a_new_phase_deals_by_another_salt() -> None:
    registered = Registered(a_test())
    before = Process(registered).arms()
    registered.put(a_test(phase=2))
    after = Process(registered).arms()
    moved = [one for one in CUSTOMERS if before[one].variant != after[one].variant]  # type: ignore[union-attr]
    assert 800 < len(moved) < 1_200
