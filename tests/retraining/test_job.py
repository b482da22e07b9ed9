"""One training from the store: what was asked for reaches the fit, and only a run that may settles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recsvc.bundles.opening import read_manifest
from recsvc.bundles.registry import Registry
from recsvc.domain.training_runs import FAMILY_SETTINGS, Outcome, RunState, TrainingRequest, TrainingRun
from recsvc.history.interactions import InteractionTable
from recsvc.policy import load_policy
from recsvc.retraining.job import Workplace, carry_out, families_for
from recsvc.sample_bank import make_sample_bank
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.database import open_database
from recsvc.stores.events import SqlEvents
from recsvc.training.families import FAMILIES, OPTIONAL_FAMILIES
from recsvc.training.families.pinned import FIELDS
from tests.small_bank import END

ALS = {"model": "als", "factors": 9, "iterations": 4, "regularization": 3.5, "alpha": 11.0}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with a tiny bank in it."""
    path = tmp_path_factory.mktemp("store") / "store.sqlite3"
    bank = make_sample_bank(end=END, n_customers=60, n_articles=30, n_offers=4, n_days=10, n_events=900)
    with closing(open_database(f"sqlite:///{path}")) as database:
        SqlCatalogue(database).put_many(bank.items)
        events = list(InteractionTable.from_frame(bank.events).interactions())
        SqlEvents(database).append(events, received_at=END)
    return path


@pytest.fixture
def workplace(stored: Path, tmp_path: Path) -> Iterator[Workplace]:
    with closing(open_database(f"sqlite:///{stored}")) as database:
        yield Workplace(database, load_policy(), Registry(tmp_path / "models"))


def a_run(**request: Any) -> TrainingRun:
    asked = TrainingRun("r1", TrainingRequest(**request), "somebody", END)
    return asked.claimed(END + timedelta(seconds=1))


def carried_out(workplace: Workplace, *, may_settle: bool = True, **request: Any) -> Outcome:
    noted: list[Outcome] = []

    def commit(outcome: Outcome) -> bool:
        noted.append(outcome)
        return may_settle

    outcome = carry_out(a_run(**request), workplace, progress=lambda stage, share: None, commit=commit)
    assert noted == [outcome] or not may_settle or outcome.state is RunState.FAILED
    return outcome


def test_settings_that_were_given_reach_the_fit_and_the_bundle_is_champion(workplace: Workplace) -> None:
    outcome = carried_out(workplace, **ALS, name="of mine")
    assert (outcome.state, outcome.promotes, outcome.error) == (RunState.SUCCEEDED, True, None)
    assert outcome.version is not None
    assert workplace.registry.aliases().champion == outcome.version
    manifest = read_manifest(workplace.registry.path_of(outcome.version))
    (part,) = manifest.parts
    learned = {name: part.parameters[name] for name in ("n_factors", "n_iterations", "regularization")}
    assert (part.family, learned) == ("als", {"n_factors": 9, "n_iterations": 4, "regularization": 3.5})
    assert part.parameters["confidence"] == 11.0
    assert (manifest.name, manifest.created_at) == ("of mine", END + timedelta(seconds=1))


def test_a_run_that_may_not_settle_any_more_moves_nothing_and_leaves_nothing(workplace: Workplace) -> None:
    outcome = carried_out(workplace, may_settle=False, **ALS)
    assert outcome.state is RunState.FAILED
    assert workplace.registry.versions() == ()
    assert workplace.registry.aliases().champion is None


def test_what_nobody_wanted_promoted_is_only_published(workplace: Workplace) -> None:
    outcome = carried_out(workplace, model="popularity", promote="never")
    assert (outcome.state, outcome.promotes) == (RunState.SUCCEEDED, False)
    assert outcome.version is not None
    assert workplace.registry.versions() == (outcome.version,)
    assert workplace.registry.aliases().champion is None


@pytest.mark.parametrize(
    ("window", "sentence"),
    [
        ({"until": END - timedelta(days=300)}, "no event lies between since and until"),
        ({"since": END - timedelta(seconds=1)}, "no event lies|too little to learn from"),
    ],
)
def test_too_little_data_is_a_sentence(workplace: Workplace, window: dict[str, Any], sentence: str) -> None:
    outcome = carried_out(workplace, **window)
    assert outcome.state is RunState.FAILED
    assert outcome.error is not None
    assert re.search(sentence, outcome.error)
    assert workplace.registry.versions() == ()


def test_a_window_is_what_is_learned_from(workplace: Workplace) -> None:
    since, until = END - timedelta(days=6), END - timedelta(days=2)
    outcome = carried_out(workplace, model="popularity", since=since, until=until)
    assert outcome.version is not None
    window = read_manifest(workplace.registry.path_of(outcome.version)).data_window
    assert window.since is not None and window.until is not None
    assert since <= window.since < window.until < until


def test_what_may_be_asked_of_a_family_is_what_the_family_has() -> None:
    families = {family.name: family for family in FAMILIES + OPTIONAL_FAMILIES}
    assert families.keys() == FAMILY_SETTINGS.keys()
    for name, taken in FAMILY_SETTINGS.items():
        assert set(FIELDS.get(name, {})) == set(taken)
        assert all(hasattr(families[name], field) for field in FIELDS.get(name, {}).values())


def test_auto_is_every_family_and_a_name_is_one() -> None:
    assert families_for(TrainingRequest()) == FAMILIES
    (family,) = families_for(TrainingRequest(model="bpr"))
    assert family == replace(OPTIONAL_FAMILIES[0])
