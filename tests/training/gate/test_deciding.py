"""A worse model is held, with the reason; a better one, or one that is no worse, is promoted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundles.gate_report import Decision, GateReport
from recsvc.history.interactions import InteractionTable
from recsvc.policy import Policy
from recsvc.policy_training import PersonaPolicy
from recsvc.serving.verification import Model
from recsvc.training.blending import Recipe
from recsvc.training.families import Cooccurrence, Popularity
from recsvc.training.families.base import FloatArray, training_data
from recsvc.training.gate.deciding import Vacancy, decide
from recsvc.training.gate.footing import recipe_of
from recsvc.training.listing import Scores
from recsvc.training.material import Source

from ..examples import POLICY
from .conftest import GOOD, Bank


@dataclass(frozen=True)
class Shuffled:
    """A model whose items were mixed up: each gets the score of another."""

    model: Scores

    def score(self, histories: csr_matrix) -> FloatArray:
        scores = self.model.score(histories)
        return scores[:, np.random.default_rng(7).permutation(scores.shape[1])]


@dataclass(frozen=True)
class Starved:
    """A model that says the opposite of what it knows to customers with these histories."""

    model: Scores
    starved: frozenset[bytes]

    def score(self, histories: csr_matrix) -> FloatArray:
        scores = self.model.score(histories)
        for row, key in enumerate(keys_of(histories)):
            if key in self.starved:
                scores[row] *= -1
        return scores


def keys_of(histories: csr_matrix) -> list[bytes]:
    return [
        histories.indices[start:stop].tobytes()
        for start, stop in zip(histories.indptr[:-1], histories.indptr[1:], strict=True)
    ]


def codes(report: GateReport) -> set[str]:
    return {reason.code for reason in report.reasons}


def good(bank: Bank) -> Scores:
    return GOOD.fit(training_data(bank.parts.train), seed=1)


def with_personas(*personas: PersonaPolicy) -> Policy:
    return replace(POLICY, personas=personas)


def test_the_same_recipe_on_the_same_history_is_promoted(bank: Bank, champion: Model) -> None:
    recipe = recipe_of(champion.bundle.manifest)
    report = decide(bank.candidate(recipe=recipe), champion, POLICY, seed=1)
    assert report.decision is Decision.PROMOTE and codes(report) == {"no_worse"}
    assert report.primary is not None and report.primary.change == 0
    assert report.basis.startswith("the champion's recipe")


def test_a_candidate_whose_labels_were_shuffled_is_held_as_worse(bank: Bank, champion: Model) -> None:
    report = decide(bank.candidate(Shuffled(good(bank))), champion, POLICY, seed=1)
    assert report.decision is Decision.HOLD
    assert "primary_worse" in codes(report)
    assert report.primary is not None and report.primary.high is not None and report.primary.high < -0.02
    (text,) = (reason.text for reason in report.reasons if reason.code == "primary_worse")
    assert f"{report.primary.candidate:.4f} against {report.primary.champion:.4f}" in text


def test_a_candidate_that_collapsed_to_what_is_popular_is_held_for_what_it_shows(
    bank: Bank, champion: Model
) -> None:
    popular = Recipe(((Popularity(), 1.0),))
    report = decide(bank.candidate(recipe=popular), champion, POLICY, seed=1)
    assert report.decision is Decision.HOLD
    assert {"coverage", "evenness", "cold_customers"} <= codes(report)


def test_a_candidate_that_starves_one_segment_is_held_for_that_segment(bank: Bank, champion: Model) -> None:
    candidate = bank.candidate()
    train = bank.parts.train
    seniors = [row for row, one in enumerate(train.customer_ids) if 60 <= int(one[1:]) < 160]
    starved = frozenset(keys_of(training_data(train).strengths[seniors]))
    report = decide(replace(candidate, judged=Starved(good(bank), starved)), champion, POLICY, seed=1)
    assert report.decision is Decision.HOLD and "segment_loss" in codes(report)
    assert [one.segment for one in report.segments if one.holds is False] == ["senior"]
    assert any("segment senior" in reason.text for reason in report.reasons)
    assert all(one.holds for one in report.segments if one.segment == "everyone")


def test_a_better_candidate_is_promoted_as_better(bank: Bank, popular_champion: Model) -> None:
    report = decide(bank.candidate(), popular_champion, POLICY, seed=1)
    assert report.decision is Decision.PROMOTE and codes(report) == {"better"}
    assert report.primary is not None and report.primary.low is not None and report.primary.low > 0


def test_a_champion_that_has_not_seen_the_hold_out_is_judged_as_it_serves(
    bank: Bank, older_champion: Model
) -> None:
    report = decide(bank.candidate(), older_champion, POLICY, seed=1)
    assert report.basis.startswith("the champion as it serves")
    assert bank.parts.held_out is not None and report.holdout == bank.parts.held_out.description
    worse = decide(bank.candidate(Shuffled(good(bank))), older_champion, POLICY, seed=1)
    assert worse.decision is Decision.HOLD and "primary_worse" in codes(worse)


def test_where_enough_came_after_the_champion_both_know_the_same_history(bank: Bank) -> None:
    assert bank.parts.cut is not None
    champion = bank.champion(Cooccurrence(), bank.parts.cut + timedelta(days=1))
    recipe = recipe_of(champion.bundle.manifest)
    report = decide(bank.candidate(recipe=recipe), champion, POLICY, seed=1)
    assert report.basis.startswith("the champion as it serves")
    assert " after " in report.holdout
    # One recipe, one history: what is served scores as what is judged.
    assert report.primary is not None and report.primary.change == pytest.approx(0, abs=1e-6)


def test_without_a_champion_whatever_there_is_is_promoted(bank: Bank) -> None:
    report = decide(bank.candidate(Shuffled(good(bank))), Vacancy(), POLICY, seed=1)
    assert report.decision is Decision.PROMOTE and codes(report) == {"no_champion"}
    report = decide(bank.candidate(), Vacancy("v1", "its bytes are not what they were"), POLICY, seed=1)
    assert report.decision is Decision.PROMOTE and codes(report) == {"champion_unreadable"}
    assert "its bytes" in report.reasons[0].text


def test_where_nothing_could_be_held_out_the_champion_stays(bank: Bank, champion: Model) -> None:
    candidate = replace(bank.candidate(), parts=replace(bank.parts, held_out=None))
    report = decide(candidate, champion, POLICY, seed=1)
    assert report.decision is Decision.HOLD and codes(report) == {"nothing_to_judge_by"}


def test_a_segment_of_too_few_is_not_judged_and_the_report_says_so(bank: Bank, champion: Model) -> None:
    few = replace(bank.candidate(), segment_rows=np.zeros_like(bank.candidate().segment_rows))
    few.segment_rows[:20] = 1
    by_name = {one.segment: one for one in decide(few, champion, POLICY, seed=1).segments}
    assert by_name["senior"].compared is None and by_name["senior"].holds is None
    assert 0 < by_name["senior"].n_customers <= 20
    assert by_name["young"].holds is True


def test_a_persona_of_the_policy_must_find_its_categories(bank: Bank, champion: Model) -> None:
    recipe = recipe_of(champion.bundle.manifest)
    reads_even = ("i000", "i002", "i004")
    policy = with_personas(
        PersonaPolicy("even", reads_even, ("even",), 0.6),
        PersonaPolicy("contrary", reads_even, ("odd",), 0.6),
        PersonaPolicy("unknown", ("nothing",), ("odd",)),
    )
    report = decide(bank.candidate(recipe=recipe), champion, policy, seed=1)
    assert {one.name: one.holds for one in report.personas} == {
        "even": True,
        "contrary": False,
        "unknown": None,
    }
    assert report.decision is Decision.HOLD and codes(report) == {"persona"}
    assert report.reasons[0].text.startswith("contrary: ")


def test_personas_are_made_of_the_catalogue_where_none_are_named(bank: Bank, champion: Model) -> None:
    recipe = recipe_of(champion.bundle.manifest)
    report = decide(bank.candidate(recipe=recipe), champion, POLICY, seed=1)
    assert {one.name for one in report.personas} == {"a reader of even", "a reader of odd"}
    for one in report.personas:
        assert len(one.history) == 3 and one.holds is True
        assert one.candidate is not None and one.wanted is not None and one.candidate >= one.wanted
    opposite = decide(bank.candidate(Opposite(good(bank))), champion, POLICY, seed=1)
    assert "persona" in codes(opposite)


@dataclass(frozen=True)
class Opposite:
    """A model that puts last what belongs first."""

    model: Scores

    def score(self, histories: csr_matrix) -> FloatArray:
        return -self.model.score(histories)


def test_a_candidate_that_keeps_nothing_of_the_lists_is_held_for_that(bank: Bank, champion: Model) -> None:
    report = decide(bank.candidate(Opposite(good(bank))), champion, POLICY, seed=1)
    assert "overlap" in codes(report)


def test_the_same_seed_gives_the_same_report(bank: Bank, champion: Model) -> None:
    one, other = (decide(bank.candidate(), champion, POLICY, seed=4) for _ in range(2))
    assert one == other


def in_words(report: GateReport) -> Iterable[str]:
    return (reason.text for reason in report.reasons)


def test_every_reason_is_one_sentence_with_its_figures(bank: Bank, champion: Model) -> None:
    for text in in_words(decide(bank.candidate(Opposite(good(bank))), champion, POLICY, seed=1)):
        assert "\n" not in text and any(letter.isdigit() for letter in text)


def test_a_champion_of_another_catalogue_holds_nobody_back(bank: Bank) -> None:
    assert bank.parts.cut is not None
    compact = bank.source.table.compact
    other = ("x" + pl.col("item_id").cast(pl.String)).cast(compact.schema["item_id"]).alias("item_id")
    foreign = compact.with_columns(other)
    source = Source(InteractionTable(foreign), (), bank.source.customers)
    champion = replace(bank, source=source).champion(Cooccurrence(), bank.parts.cut - timedelta(days=7))
    report = decide(bank.candidate(), champion, POLICY, seed=1)
    assert report.decision is Decision.PROMOTE and codes(report) == {"other_catalogue"}
