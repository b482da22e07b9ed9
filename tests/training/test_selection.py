"""Which model serves: the best on the hold-out, and the simplest where nothing can be judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.history.matrix import InteractionMatrix
from recsvc.training import selection as module
from recsvc.training.evaluation import CUTOFFS
from recsvc.training.families import FAMILIES
from recsvc.training.families.base import TrainingData
from recsvc.training.holdout import Split, split
from recsvc.training.selection import Judge, Selection, select_model
from tests.training.examples import (
    POLICY,
    Scripted,
    ScriptedFamily,
    blocks_with_one_withheld,
    busy_history,
    did,
    held_out_of,
    matrix_of,
    table_of,
    without_times,
)


def nothing_to_tell(stage: str, share: float) -> None:
    """Progress that nobody watches."""


def no_categories(matrix: InteractionMatrix) -> None:
    """Items without categories."""


def chosen_from(parts: Split, *families: object) -> Selection:
    return select_model(
        families or FAMILIES,  # type: ignore[arg-type]
        parts,
        item_categories=no_categories,
        seed=1,
        progress=nothing_to_tell,
    )


def checkerboard() -> Split:
    strengths, withheld = blocks_with_one_withheld()
    held_out = held_out_of([[item] for item in withheld], strengths.shape[1], [0] * len(withheld))
    return Split(matrix_of(strengths), held_out, is_by_time=False)


def by_time() -> Split:
    parts = split(busy_history(n=6000), POLICY, np.random.default_rng(1))
    assert parts.is_by_time
    return parts


def test_a_personal_family_wins_where_tastes_differ() -> None:
    selection = chosen_from(checkerboard())
    scores = {one.name: one.evaluation.primary.value for one in selection.tried}
    assert selection.chosen.family.is_personal
    assert scores["als"] == scores["neighbours"] == pytest.approx(1.0) and scores["popularity"] < 0.5
    assert "1.0000" in selection.why and "popularity" in selection.why


def test_of_families_that_do_as_well_the_simpler_one_serves() -> None:
    def everything_alike(data: TrainingData) -> Scripted:
        return Scripted(lambda histories: np.zeros(histories.shape, dtype=np.float32))

    first, second = (ScriptedFamily(everything_alike, name) for name in ("plain", "fancy"))
    assert chosen_from(checkerboard(), first, second).chosen.family is first


def test_without_a_holdout_the_simplest_family_serves_and_the_reason_is_said() -> None:
    table = table_of(*(did("view", f"i{one}", customer_id=f"c{one}") for one in range(5)))
    selection = chosen_from(split(table, POLICY, np.random.default_rng(1)))
    assert selection.chosen.family is FAMILIES[0] and selection.tried == ()
    assert "too few customers" in selection.why and selection.holdout == "none"


def test_with_times_each_personal_family_is_also_tried_beside_popularity() -> None:
    names = [one.name for one in chosen_from(by_time()).tried]
    assert names == ["popularity", "neighbours", "neighbours+popularity", "als", "als+popularity"]


def test_without_times_there_is_no_now_to_be_popular_in() -> None:
    parts = split(without_times(busy_history()), POLICY, np.random.default_rng(1))
    assert [one.name for one in chosen_from(parts).tried] == ["popularity", "neighbours", "als"]


def test_a_list_for_everybody_serves_only_where_it_is_better_beyond_doubt() -> None:
    """Customer n wants item n. One family always knows; the other knows for the first customers only."""

    def knows_first(n_customers: int) -> Callable[[TrainingData], Scripted]:
        def score(histories: csr_matrix) -> NDArray[np.float32]:
            scores = np.eye(*histories.shape, dtype=np.float32)
            scores[n_customers:] *= -1
            return scores

        return lambda data: Scripted(score)

    n = 40
    parts = Split(
        matrix_of(np.roll(np.eye(n, dtype=np.float32), 1, axis=1)),
        held_out_of([[row] for row in range(n)], n, [0] * n),
        is_by_time=False,
    )
    for known, expected in ((n - 1, "own"), (n // 2, "all")):
        everybody = ScriptedFamily(knows_first(n), "all")
        personal = ScriptedFamily(knows_first(known), "own", is_personal=True)
        selection = chosen_from(parts, everybody, personal)
        assert selection.chosen.name == expected, selection.why
    assert "the best" in selection.why


def test_the_best_on_the_holdout_is_chosen_and_every_candidate_reported() -> None:
    selection = chosen_from(by_time())
    personal = [one for one in selection.tried if one.candidate.family.is_personal]
    best = max(personal, key=lambda one: one.evaluation.primary.value)
    assert selection.chosen == best.candidate
    assert all(one.name in selection.why for one in selection.tried)
    assert all(set(one.evaluation.accuracy) >= {f"ndcg@{k}" for k in CUTOFFS} for one in selection.tried)
    assert all(one.seconds >= 0 for one in selection.tried)


def test_the_same_seed_chooses_and_measures_the_same() -> None:
    first, second = chosen_from(by_time()), chosen_from(by_time())
    assert first.why == second.why
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
        return Scripted(lambda histories: np.zeros(histories.shape, dtype=np.float32))

    chosen_from(parts, ScriptedFamily(remember))
    assert len(seen) == 1 and seen[0].strengths.nnz == parts.train.strengths.nnz
    assert seen[0].popularity.tobytes() == parts.train.popularity.tobytes()


def test_a_judge_says_which_family_it_fits_and_which_candidate_it_judges() -> None:
    stages: list[str] = []
    parts = checkerboard()
    assert parts.held_out
    judge = Judge(
        parts.train,
        parts.held_out,
        item_categories=None,
        seed=1,
        progress=lambda stage, share: stages.append(stage),
    )
    for _ in judge.judge(FAMILIES[1], (0.0, 1.0)):
        pass
    expected = ["fit neighbours", "judge neighbours", "judge neighbours+popularity"]
    assert list(dict.fromkeys(stages)) == expected
