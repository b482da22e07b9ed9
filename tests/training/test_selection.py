"""Which model serves: the best on the hold-out, and the simplest where nothing can be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import BLEND
from recsvc.history.matrix import InteractionMatrix
from recsvc.training import selection as module
from recsvc.training.budget import Budget
from recsvc.training.evaluation import CUTOFFS
from recsvc.training.families import FAMILIES
from recsvc.training.families.base import Family, Fitted, FloatArray, TrainingData
from recsvc.training.holdout import Split, split
from recsvc.training.selection import Selection, select_model
from tests.training.examples import (
    POLICY,
    SILENT,
    Scripted,
    ScriptedFamily,
    blocks_with_one_withheld,
    busy_history,
    data_of,
    did,
    held_out_of,
    matrix_of,
    table_of,
)

NO_DATA = data_of(np.eye(2))


@dataclass(frozen=True)
class _Climbing(Scripted):
    """Its variations are made when they are asked for."""

    on_others: Callable[[], tuple[Fitted, ...]] = field(default=tuple)

    def variations(self) -> Iterator[Fitted]:
        return iter(self.on_others())


def nothing_to_tell(stage: str, share: float) -> None:
    """Progress that nobody watches."""


def no_categories(matrix: InteractionMatrix) -> None:
    """Items without categories."""


def chosen_from(parts: Split, *families: Family, budget: Budget | None = None) -> Selection:
    return select_model(
        families or FAMILIES,
        parts,
        item_categories=no_categories,
        seed=1,
        progress=nothing_to_tell,
        budget=budget or Budget(None, lambda: 0.0),
    )


def only_family(selection: Selection) -> Family:
    """The family of a choice that is no blend."""
    ((family, _),) = selection.chosen.parts
    return family


def knowing(*customers: int, weight: float = 1.0) -> Callable[[TrainingData], Scripted]:
    """Fits to a model that puts what these customers want first, and for all others last."""

    def score(histories: csr_matrix) -> FloatArray:
        scores = -weight * np.eye(*histories.shape, dtype=np.float32)
        scores[customers, customers] *= -1
        return scores

    return lambda data: Scripted(score)


def everybody_wants_one(n: int = 40) -> Split:
    """Customer n wants item n."""
    return Split(
        matrix_of(np.roll(np.eye(n, dtype=np.float32), 1, axis=1)),
        held_out_of([[row] for row in range(n)], n, [0] * n),
        cut=None,
    )


def checkerboard() -> Split:
    strengths, withheld = blocks_with_one_withheld()
    held_out = held_out_of([[item] for item in withheld], strengths.shape[1], [0] * len(withheld))
    return Split(matrix_of(strengths), held_out, cut=None)


def by_time() -> Split:
    parts = split(busy_history(n=6000), POLICY, seed=1)
    assert parts.is_by_time
    return parts


def test_a_personal_model_wins_where_tastes_differ() -> None:
    selection = chosen_from(checkerboard())
    scores = {one.name: one.evaluation.primary.value for one in selection.tried}
    assert selection.chosen.is_personal
    assert scores["als"] == scores["neighbours"] == scores["spectral"] == pytest.approx(1.0)
    assert scores["popularity"] < 0.5
    assert "1.0000" in selection.why and "popularity" in selection.why


def test_of_families_that_do_as_well_the_simpler_one_serves() -> None:
    first, second = (ScriptedFamily(lambda data: SILENT, name) for name in ("plain", "fancy"))
    assert only_family(chosen_from(checkerboard(), first, second)) is first


def test_without_a_holdout_the_simplest_family_serves_and_the_reason_is_said() -> None:
    table = table_of(*(did("view", f"i{one}", customer_id=f"c{one}") for one in range(5)))
    selection = chosen_from(split(table, POLICY, seed=1))
    assert only_family(selection) is FAMILIES[0] and selection.tried == ()
    assert "too few customers" in selection.why and selection.holdout == "none"


def test_every_family_that_can_learn_is_tried_and_a_blend_of_those_that_pay() -> None:
    """Half of the customers are understood by the one, half by the other: both together know them all."""
    left = ScriptedFamily(knowing(*range(20)), "left", is_personal=True)
    right = ScriptedFamily(knowing(*range(20, 40), weight=2.0), "right", is_personal=True)
    noise = ScriptedFamily(lambda data: SILENT, "noise")
    unfit = ScriptedFamily(knowing(*range(40)), "unfit", choices=())
    selection = chosen_from(everybody_wants_one(), left, right, noise, unfit)
    assert [one.name for one in selection.tried] == ["left", "right", "noise"]
    # The two cancel each other out: what the one puts first the other puts last. Nothing is gained, so none.
    assert selection.chosen.name in {"left", "right"}


def test_a_blend_is_chosen_where_it_beats_the_best_family_beyond_chance() -> None:
    def hinting(rows: range) -> Callable[[TrainingData], Scripted]:
        """Knows what these customers want, and nothing of the others."""

        def score(histories: csr_matrix) -> FloatArray:
            scores = np.zeros(histories.shape, dtype=np.float32)
            scores[rows, rows] = 1
            return scores

        return lambda data: Scripted(score)

    left = ScriptedFamily(hinting(range(20)), "left", is_personal=True)
    right = ScriptedFamily(hinting(range(20, 40)), "right", is_personal=True)
    selection = chosen_from(everybody_wants_one(), left, right)
    assert selection.chosen.name == BLEND and [one.name for one in selection.tried][-1] == BLEND
    assert {family.name for family, _ in selection.chosen.parts} == {"left", "right"}
    assert sum(weight for _, weight in selection.chosen.parts) == pytest.approx(1, abs=1e-3)
    assert selection.tried[-1].evaluation.primary.value == pytest.approx(1.0)
    assert "left 0." in selection.why and "right 0." in selection.why


def test_a_list_for_everybody_serves_only_where_it_is_better_beyond_doubt() -> None:
    for n_known, expected in ((39, "own"), (20, "all")):
        everybody = ScriptedFamily(knowing(*range(40)), "all")
        personal = ScriptedFamily(knowing(*range(n_known)), "own", is_personal=True)
        selection = chosen_from(everybody_wants_one(), everybody, personal)
        assert selection.chosen.name == expected, selection.why
    assert "the best" in selection.why


def test_of_many_settings_the_best_is_found_at_a_fraction_of_the_cost() -> None:
    """Nine settings of a family, of which the last knows most; only some are fitted in full."""
    fitted: list[str] = []

    @dataclass(frozen=True)
    class Graded(Family):
        n_known: int
        share: float = 1.0
        name: str = "graded"
        is_personal: bool = True

        def settings(self, data: TrainingData) -> tuple[Family, ...]:
            return tuple(Graded(n_known) for n_known in (5, 8, 11, 14, 17, 20, 23, 26, 29))

        def reduced(self) -> Family:
            return replace(self, share=self.share / 2)

        def fit(self, data: TrainingData, *, seed: int) -> Fitted:
            fitted.append(f"{self.n_known}/{self.share}")
            known = range(round(self.n_known * (0.6 + 0.4 * self.share)))
            return replace(knowing(*known)(data), family=self, facts={"n_known": self.n_known})

    selection = chosen_from(everybody_wants_one(), Graded(0))
    assert only_family(selection) == Graded(29)
    by_share = {share: [one for one in fitted if one.endswith(f"/{share}")] for share in (0.25, 0.5, 1.0)}
    assert [len(one) for one in by_share.values()] == [9, 3, 1]
    assert [one.parameters["n_known"] for one in selection.trials][-1] == 29
    assert len(selection.trials) == 13 and all(one.fit_seconds >= 0 for one in selection.trials)


def test_what_costs_no_new_fit_is_climbed_step_by_step() -> None:
    def step(n_known: int) -> Scripted:
        others = (lambda: (step(n_known + 5),)) if n_known < 30 else tuple
        family = ScriptedFamily(lambda data: step(n_known), f"known {n_known}", is_personal=True)
        return _Climbing(knowing(*range(n_known))(NO_DATA).rule, family, on_others=others)

    selection = chosen_from(everybody_wants_one(), ScriptedFamily(lambda data: step(10), "x"))
    assert selection.chosen.name == "known 30"


def test_a_spent_budget_settles_for_what_was_found() -> None:
    ticks = iter(range(1000))
    families = [ScriptedFamily(knowing(n), f"f{n}", is_personal=True) for n in range(10)]
    short = Budget(3.0, lambda: float(next(ticks)))
    names = [one.name for one in chosen_from(everybody_wants_one(), *families, budget=short).tried]
    assert names == ["f0", "f1", "f2"]
    spent = Budget(0.0, lambda: 0.0)
    assert [one.name for one in chosen_from(everybody_wants_one(), *families, budget=spent).tried] == ["f0"]


def test_every_candidate_is_reported_with_score_interval_and_cost() -> None:
    selection = chosen_from(by_time())
    assert all(one.name in selection.why for one in selection.tried)
    assert all(set(one.evaluation.accuracy) >= {f"ndcg@{k}" for k in CUTOFFS} for one in selection.tried)
    assert {one.family for one in selection.trials} == {family.name for family in FAMILIES}
    assert all(one.score.low <= one.score.value <= one.score.high for one in selection.trials)
    spent = [one.fit_seconds + one.judge_seconds for one in selection.trials]
    assert min(spent) >= 0 and selection.cpu_seconds > 0 and selection.als_fit_seconds


def test_the_same_seed_chooses_and_measures_the_same() -> None:
    first, second = chosen_from(by_time()), chosen_from(by_time())
    assert first.why == second.why and first.chosen == second.chosen
    assert [one.evaluation.accuracy for one in first.tried] == [
        one.evaluation.accuracy for one in second.tried
    ]


def test_a_large_bank_is_judged_by_some_of_its_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_JUDGED", 30)
    n_judged = {len(one.evaluation.per_customer["ndcg@20"]) for one in chosen_from(by_time()).tried}
    assert n_judged == {30}


def test_a_family_learns_from_the_training_part_alone() -> None:
    parts, seen = by_time(), []

    def remember(data: TrainingData) -> Scripted:
        seen.append(data)
        return SILENT

    chosen_from(parts, ScriptedFamily(remember))
    assert len(seen) == 1 and seen[0].strengths.nnz == parts.train.strengths.nnz
    assert seen[0].popularity.tobytes() == parts.train.popularity.tobytes()


def test_selection_says_which_family_it_fits_and_when_it_weighs_and_judges() -> None:
    stages: list[str] = []
    select_model(
        FAMILIES[:2],
        checkerboard(),
        item_categories=no_categories,
        seed=1,
        progress=lambda stage, share: stages.append(stage),
        budget=Budget(None, lambda: 0.0),
    )
    assert list(dict.fromkeys(stages)) == [
        "fit popularity",
        "fit neighbours",
        "weigh families",
        "judge models",
    ]
