"""The whole run: what is published, who is left out, and that failure leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Consents, Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.errors import RegistryError, TrainingError
from recsvc.history.matrix import build_matrix
from recsvc.policy import ConsentDefault, Policy
from recsvc.serving.verification import load_model
from recsvc.training.blending import Recipe
from recsvc.training.families import (
    FAMILIES,
    OPTIONAL_FAMILIES,
    Als,
    Cooccurrence,
    Ease,
    Neighbours,
    Popularity,
    Spectral,
)
from recsvc.training.families.base import Family, FloatArray, TrainingData, training_data
from recsvc.training.material import Source
from recsvc.training.pipeline import TrainingReport, train
from recsvc.training.profiles import CHANNELS
from recsvc.training.selection import Selection
from tests.training.examples import (
    AS_OF,
    POLICY,
    Scripted,
    ScriptedFamily,
    busy_history,
    did,
    shuffled,
    table_of,
    without_times,
)

CREATED_AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
ITEMS = tuple(
    Item(f"i{row:03}", ItemKind.CONTENT, category=("saving", "cards")[row % 2]) for row in range(0, 39)
)
AGREED, REFUSED = Consents(personalisation=True), Consents(personalisation=False)
CUSTOMERS = (
    Customer("c000", attributes={"age": 25}, consents=AGREED),
    Customer("c001", attributes={"age": 70}),
    Customer("c002", consents=REFUSED),
)


def run(
    folder: Path,
    source: Source | None = None,
    *,
    policy: Policy = POLICY,
    families: Sequence[Family] = FAMILIES,
    progress: Callable[[str, float], None] = lambda stage, share: None,
) -> TrainingReport:
    source = source or Source(busy_history(n=6000), ITEMS, CUSTOMERS)
    return train(
        source,
        policy,
        Registry(folder),
        families=families,
        seed=1,
        created_at=CREATED_AT,
        name="a run",
        progress=progress,
    )


def published(folder: Path, report: TrainingReport) -> Bundle:
    return open_bundle(folder / report.manifest.version)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def report(folder: Path) -> TrainingReport:
    return run(folder)


@pytest.fixture(scope="module")
def bundle(folder: Path, report: TrainingReport) -> Bundle:
    return published(folder, report)


def customer_ids(bundle: Bundle) -> set[str]:
    return set(bundle.customers.ids_of(range(len(bundle.customers))))


def test_the_manifest_says_what_the_run_was(bundle: Bundle, report: TrainingReport) -> None:
    facts, table = bundle.manifest, busy_history(n=6000).without_customers(["c002"])
    matrix = build_matrix(table, POLICY, as_of=None)
    times = table.frame["occurred_at"]
    assert (facts.data_window.since, facts.data_window.until) == (times.min(), times.max())
    assert facts.rows.interactions == len(table) and facts.rows.pairs == matrix.strengths.nnz
    assert (facts.rows.customers, facts.rows.items) == matrix.strengths.shape
    assert facts.version == f"20261123T090000Z-{report.selection.chosen.name}-{facts.version[-6:]}"
    assert (facts.seed, facts.name, facts.created_at) == (1, "a run", CREATED_AT)
    assert facts.policy_version == POLICY.version and facts.channels == CHANNELS
    assert facts.categories == ("cards", "saving") and facts.segments == ("young", "senior", "everyone")
    assert facts.holdout == report.selection.holdout and "first-time interactions from" in facts.holdout
    assert facts.metrics == {one.name: one.evaluation.accuracy for one in report.selection.tried}
    of_lists = {"coverage@20", "gini@20", "novelty@20", "intra_list_diversity@20"}
    assert all(of_lists <= facts.lists[name].keys() for name in facts.metrics)
    assert set(facts.libraries) == {"recsvc", "implicit", "scikit-learn", "numpy", "scipy", "polars"}
    scale = training_data(matrix).strength_scale
    assert facts.strength_scale == pytest.approx(scale)


def test_the_catalogue_holds_bare_items_and_items_that_nobody_took(folder: Path) -> None:
    unseen = Item("zz-unseen", ItemKind.CONTENT, category="loans")
    source = Source(busy_history(n=6000), (*ITEMS, unseen), (), ItemKind.OFFER)
    found = published(folder, run(folder, source, families=[Popularity()]))
    catalogue = [*found.catalogue]
    assert [item.item_id for item in catalogue[:-1]] == list(found.items.ids_of(range(len(found.items))))
    assert catalogue[-1] == unseen and "loans" in found.manifest.categories
    assert catalogue[39] == Item("i039", ItemKind.OFFER)


def test_a_customer_without_consent_is_in_no_part_of_the_bundle(folder: Path, bundle: Bundle) -> None:
    assert bundle.customers.row_of("c002") is None and bundle.customers.row_of("c001") is not None
    source = Source(busy_history(n=6000).without_customers(["c002"]), ITEMS, CUSTOMERS[:2])
    without = published(folder, run(folder, source))
    assert without.version == bundle.version  # As if they had never been there.


def test_where_the_policy_wants_a_recorded_consent_nobody_else_is_trained_on(tmp_path: Path) -> None:
    asking = replace(POLICY, consent_without_record=ConsentDefault(personalisation=False, marketing=()))
    customers = [Customer(f"c{row:03}", consents=AGREED) for row in range(50)]
    customers += [Customer("c050", consents=REFUSED), Customer("c051")]
    source = Source(busy_history(n=6000), ITEMS, customers)
    found = published(tmp_path, run(tmp_path, source, policy=asking, families=[Popularity()]))
    assert customer_ids(found) == {f"c{row:03}" for row in range(50)}
    assert found.popularity.sum() < build_matrix(source.table, POLICY, as_of=None).popularity.sum() / 3


def test_the_portraits_in_the_bundle_are_those_of_its_customers(bundle: Bundle) -> None:
    row = bundle.customers.row_of("c001")
    assert row is not None
    profile, table = bundle.profile_of(row), busy_history(n=6000).of_customers(["c001"]).frame
    done = table.filter(table["type"].is_in(["view", "click", "like", "purchase"]))
    assert profile.segment == "senior" and profile.frequency == len(done)
    assert profile.monetary_value == pytest.approx(12.10 * (done["type"] == "purchase").sum())
    assert profile.category_affinity["cards"] > 0.8 > profile.category_affinity["saving"]
    assert sum(profile.channel_share.values()) == pytest.approx(1.0)


def bytes_of(folder: Path, version: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / version).iterdir()}


def test_shuffled_input_gives_the_same_bytes(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    source = Source(shuffled(busy_history(n=6000)), ITEMS[::-1], CUSTOMERS[::-1])
    again = run(tmp_path, source)
    assert again.manifest.version == bundle.version
    assert bytes_of(tmp_path, bundle.version) == bytes_of(folder, bundle.version)


def test_shuffled_input_without_times_gives_the_same_version(tmp_path: Path) -> None:
    table = without_times(busy_history())
    first, second = (run(tmp_path, Source(one)) for one in (table, shuffled(table)))
    assert first.manifest.version == second.manifest.version
    assert first.manifest.data_window.since is None and "20%" in first.manifest.holdout


RECIPES = [
    *(Recipe(((family, 1.0),)) for family in (*FAMILIES, *OPTIONAL_FAMILIES)),
    Recipe(((Spectral(), 0.5), (Als(), 0.3), (Popularity(), 0.2))),
    Recipe(((Ease(), 0.4), (Cooccurrence(), 0.4), (Neighbours(), 0.2))),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "+".join(one.name for one, _ in recipe.parts))
def test_serving_answers_as_training_scored(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = Selection(recipe, (), (), "by hand", "none", 0.0)
    monkeypatch.setattr("recsvc.training.pipeline.select_model", lambda *_, **__: by_hand)
    table = busy_history(n=2000)
    version = run(tmp_path, Source(table)).manifest.version
    model = load_model(tmp_path / version)
    data = training_data(build_matrix(table, POLICY, as_of=None))
    expected = recipe.fit(data, seed=1).score(data.strengths)
    for row in range(0, len(expected), 20):
        history = model.bundle.history_of(row)
        assert isinstance(history, History) and len(history)
        assert model.scorer.score(history) == pytest.approx(expected[row], rel=1e-3, abs=2e-3)


def test_progress_tells_of_every_stage_from_0_to_1(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    report = run(tmp_path, progress=lambda stage, share: told.append((stage, share)))
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert [stage for stage in stages if " " not in stage] == list(report.seconds)
    assert list(report.seconds) == ["prepare", "select", "live", "fit", "profiles", "propensity", "publish"]
    for stage in ("fit popularity", "fit als", "weigh families", "judge models"):
        assert stage in stages
    for stage in report.seconds:
        assert [share for name, share in told if name == stage] == [0.0, 1.0]
    assert all(0 <= share <= 1 for _, share in told)
    assert all(seconds >= 0 for seconds in report.seconds.values())


@pytest.mark.parametrize(
    "interactions",
    [
        [did("view", f"i{row}") for row in range(5)],
        [did("view", customer_id=f"c{row}") for row in range(5)],
        [did("impression", f"i{row}", customer_id=f"c{row}") for row in range(5)],
        [did("transaction", None, customer_id=f"c{row}") for row in range(5)],
        [did("dismiss", f"i{row}", customer_id=f"c{row}") for row in range(5)],
        [],
    ],
    ids=["one customer", "one item", "only impressions", "no items", "only refusals", "nothing"],
)
def test_too_little_to_learn_from_is_said_in_one_sentence(interactions: list[object], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^there is too little to learn from: .* give more events"):
        run(tmp_path, Source(table_of(*interactions)))  # type: ignore[arg-type]
    assert left_in(tmp_path) == []


def test_when_everybody_refuses_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    customers = [Customer(f"c{row:03}", consents=REFUSED) for row in range(200)]
    with pytest.raises(TrainingError, match="0 customers"):
        run(tmp_path, Source(busy_history(), ITEMS, customers))


def test_two_customers_and_two_items_are_enough(tmp_path: Path) -> None:
    table = table_of(did("view", "i1"), did("view", "i2", customer_id="c2"))
    report = run(tmp_path, Source(table))
    assert report.manifest.family == "popularity" and report.manifest.metrics == {}
    load_model(tmp_path / report.manifest.version)


@pytest.mark.parametrize("family", [Neighbours(), Als()], ids=["neighbours", "als"])
def test_the_smallest_histories_give_bundles_that_serve(family: Family, tmp_path: Path) -> None:
    table = table_of(did("view", "i1"), did("view", "i2"), did("purchase", "i2", customer_id="c2"))
    load_model(tmp_path / run(tmp_path, Source(table), families=[family]).manifest.version)


def left_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.name != ".lock"]


def no_scores(histories: csr_matrix) -> FloatArray:
    raise RuntimeError("broken on purpose")


def zeros(histories: csr_matrix) -> FloatArray:
    return np.zeros(histories.shape, dtype=np.float32)


def breaks_at_fit(number: int) -> ScriptedFamily:
    """A family whose fit of that number fails: the first is for selection, the second for service."""
    fits: list[TrainingData] = []

    def fit(data: TrainingData) -> Scripted:
        fits.append(data)
        return Scripted(no_scores if len(fits) == number else zeros)

    return ScriptedFamily(fit)


@pytest.mark.parametrize("number", [1, 2], ids=["when judged", "when published"])
def test_a_family_that_breaks_leaves_nothing_behind(number: int, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken on purpose"):
        run(tmp_path, families=[breaks_at_fit(number)])
    assert left_in(tmp_path) == []


def test_arrays_that_break_leave_nothing_behind(tmp_path: Path) -> None:
    def breaks() -> None:
        raise RuntimeError("broken on purpose")

    family = ScriptedFamily(lambda data: Scripted(zeros, on_arrays=breaks))
    with pytest.raises(RuntimeError, match="broken on purpose"):
        run(tmp_path, families=[family])
    assert left_in(tmp_path) == []


def test_a_models_folder_that_cannot_be_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be", "utf-8")
    fits: list[TrainingData] = []
    family = ScriptedFamily(lambda data: fits.append(data) or Scripted(zeros))
    with pytest.raises(RegistryError, match="cannot be written to"):
        run(tmp_path / "models", families=[family])
    assert fits == []


def test_a_models_folder_that_is_lost_on_the_way_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "models"

    def lose_the_folder() -> None:
        shutil.rmtree(folder)
        folder.write_text("a file now", "utf-8")

    family = ScriptedFamily(lambda data: Scripted(zeros, on_arrays=lose_the_folder))
    with pytest.raises(RegistryError, match="cannot be written to"):
        run(folder, families=[family])
    assert [entry.name for entry in tmp_path.iterdir()] == ["models"] and folder.is_file()


def test_popularity_in_the_bundle_halves_in_a_half_life(tmp_path: Path) -> None:
    half_life = POLICY.decay.popularity_half_life_days
    table = table_of(
        *(did("view", "new", customer_id=f"c{row}") for row in range(3)),
        *(did("view", "old", customer_id=f"c{row}", days_ago=2 * half_life) for row in range(4)),
    )
    found = published(tmp_path, run(tmp_path, Source(table)))
    assert found.popularity.tolist() == [3.0, 1.0] and found.items.id_of(1) == "old"
    assert found.manifest.data_window.until == AS_OF
