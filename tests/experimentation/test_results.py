"""What an experiment says, from exposures and events to one verdict for each arm."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from recsvc.domain.experiments import (
    LEAST_ALPHA,
    MOST_ALPHA,
    Analysis,
    Direction,
    ExperimentStatus,
    GuardrailMetric,
)
from recsvc.domain.items import Channel
from recsvc.experimentation.allocations import holdout_experiment
from recsvc.experimentation.differences import absolute_difference
from recsvc.experimentation.moments import of_proportion
from recsvc.experimentation.reports import ArmReport, Method
from recsvc.experimentation.sequences import absolute_sequence
from recsvc.experimentation.verdicts import GuardrailState, Verdict
from recsvc.policy_experiments import ExperimentsPolicy
from tests.experimentation.trials import AFTER, END, START, Trial, an_experiment

FIXED = {"analysis": Analysis.FIXED}


def clicked(trial: Trial, variant: str, n: int, n_clicked: int) -> list[str]:
    """So many customers of the variant, of whom so many click a day later."""
    names = trial.expose(variant, n)
    trial.happen("click", names[:n_clicked])
    return names


def only_arm(trial: Trial, **fields: object) -> ArmReport:
    (arm,) = trial.report(an_experiment(50, 50, **fields)).arms
    return arm


def test_a_fixed_test_is_judged_at_its_end_by_the_fixed_interval() -> None:
    trial = Trial()
    clicked(trial, "control", 1000, 100)
    clicked(trial, "arm1", 1000, 150)
    report = trial.report(an_experiment(50, 50, **FIXED))
    (arm,) = report.arms
    assert (report.method, report.has_ended, report.counted_until) == (Method.FIXED, True, END)
    assert arm.verdict is Verdict.WIN
    assert arm.primary.difference == absolute_difference(of_proportion(1000, 100), of_proportion(1000, 150))
    assert (arm.primary.control, arm.primary.treatment) is not None
    assert arm.primary.relative is not None and arm.primary.relative.estimate == pytest.approx(0.5)
    assert (arm.primary.level, arm.primary.variance_reduction) == (0.95, None)


def test_a_fixed_test_is_not_judged_before_its_end_and_shows_the_sequence() -> None:
    trial = Trial()
    clicked(trial, "control", 1000, 100)
    clicked(trial, "arm1", 1000, 300)
    report = trial.report(an_experiment(50, 50, **FIXED), START + timedelta(days=7))
    (arm,) = report.arms
    assert (report.method, report.has_ended) == (Method.SEQUENCE, False)
    assert arm.verdict is Verdict.INCONCLUSIVE and "2026-01-15 09:00 UTC" in arm.sentence
    assert arm.primary.difference == absolute_sequence(of_proportion(1000, 100), of_proportion(1000, 300))


def test_a_fixed_test_that_was_stopped_before_its_end_is_never_judged() -> None:
    trial = Trial()
    clicked(trial, "control", 1000, 100)
    clicked(trial, "arm1", 1000, 300)
    stopped = {"status": ExperimentStatus.STOPPED, "stopped_at": START + timedelta(days=3)}
    report = trial.report(an_experiment(50, 50, **FIXED, **stopped))
    assert (report.method, report.counted_until) == (Method.SEQUENCE, START + timedelta(days=3))
    assert report.arms[0].verdict is Verdict.INCONCLUSIVE
    assert "was stopped before" in report.arms[0].sentence


def test_harm_for_which_it_was_paused_does_not_thin_out_afterwards() -> None:
    trial = Trial()
    clicked(trial, "control", 1000, 100)
    names = clicked(trial, "arm1", 1000, 100)
    trial.happen("complaint", names[:300], days=2)
    trial.happen("click", names, days=6)
    guarded = {"guardrails": (GuardrailMetric("complaints", 0.01, Direction.LOWER),)}
    pause = {"status": ExperimentStatus.PAUSED, "paused_at": START + timedelta(days=4)}
    report = trial.report(an_experiment(50, 50, **guarded, **pause), START + timedelta(days=10))
    assert (report.counted_until, report.has_ended) == (START + timedelta(days=4), False)
    assert report.arms[0].verdict is Verdict.LOSS
    assert report.arms[0].primary.treatment == report.arms[0].primary.control
    fixed = trial.report(an_experiment(50, 50, **FIXED, **pause), END + timedelta(days=1))
    assert fixed.arms[0].verdict is Verdict.INCONCLUSIVE and "is paused since" in fixed.arms[0].sentence


def test_a_sequential_test_keeps_to_the_sequence_after_its_end_too() -> None:
    trial = Trial()
    clicked(trial, "control", 1000, 100)
    clicked(trial, "arm1", 1000, 140)
    before, after = (trial.report(an_experiment(50, 50), now) for now in (END - timedelta(days=1), AFTER))
    assert (before.method, after.method) == (Method.SEQUENCE, Method.SEQUENCE)
    assert before.arms[0].primary == after.arms[0].primary
    assert after.arms[0].verdict is Verdict.INCONCLUSIVE


def test_what_happens_after_the_end_does_not_count() -> None:
    trial = Trial()
    clicked(trial, "control", 100, 10)
    names = clicked(trial, "arm1", 100, 10)
    trial.happen("click", names[20:], days=14.5)
    assert only_arm(trial).primary.treatment == only_arm(trial).primary.control


def test_a_wrong_split_is_told_before_all_else() -> None:
    trial = Trial()
    clicked(trial, "control", 1000, 100)
    clicked(trial, "arm1", 800, 300)
    report = trial.report(an_experiment(50, 50))
    assert not report.checks.is_sound and report.checks.sample_ratio is not None
    assert report.arms[0].verdict is Verdict.INVALID
    assert [arm.n_customers for arm in report.checks.variants] == [1000, 800]


def test_a_split_is_held_against_its_weights() -> None:
    trial = Trial()
    for variant, n in (("control", 600), ("arm1", 300), ("arm2", 100)):
        clicked(trial, variant, n, 10)
    assert trial.report(an_experiment(60, 30, 10)).checks.is_sound
    assert not trial.report(an_experiment(30, 60, 10)).checks.is_sound
    assert trial.report(an_experiment(60, 40, 0)).checks.sample_ratio is not None


def test_customers_who_met_two_variants_spoil_it() -> None:
    trial = Trial()
    names = clicked(trial, "control", 1000, 100)
    clicked(trial, "arm1", 1000, 300)
    assert only_arm(trial).verdict is Verdict.WIN
    (met, *_) = trial.exposures.of_customer(names[0])
    later = replace(met, variant="arm1", exposed_at=START + timedelta(hours=1))
    trial.exposures.record([replace(later, customer_id=name) for name in names[:21]])
    report = trial.report(an_experiment(50, 50))
    assert report.arms[0].verdict is Verdict.INVALID and "1.1%" in report.arms[0].sentence
    assert [arm.n_crossed for arm in report.checks.variants] == [21, 0]


def test_answers_from_a_wrong_model_spoil_it_unless_they_are_one_in_a_thousand() -> None:
    trial = Trial()
    trial.expose("control", 500)
    trial.expose("arm1", 499)
    trial.expose("arm1", 1, n_mismatched=1)
    report = trial.report(an_experiment(50, 50))
    assert report.checks.is_sound and report.checks.n_mismatched == 1
    trial.expose("arm1", 1, n_mismatched=1)
    report = trial.report(an_experiment(50, 50))
    assert (report.checks.n_mismatched, report.arms[0].verdict) == (2, Verdict.INVALID)


def test_an_effect_that_does_not_matter_is_flat() -> None:
    trial = Trial()
    clicked(trial, "control", 2000, 200)
    clicked(trial, "arm1", 2000, 201)
    assert only_arm(trial, **FIXED).verdict is Verdict.INCONCLUSIVE
    assert only_arm(trial, **FIXED, minimum_effect=0.05).verdict is Verdict.FLAT


def test_less_of_what_nobody_wants_is_a_win() -> None:
    trial = Trial()
    for variant, n_complaints in (("control", 200), ("arm1", 100)):
        trial.happen("complaint", trial.expose(variant, 1000)[:n_complaints])
    assert only_arm(trial, **FIXED, primary_metric="complaints").verdict is Verdict.WIN


def test_several_arms_share_out_the_level_and_interval_and_decision_agree() -> None:
    trial = Trial()
    for variant, n_clicked in (("control", 100), ("arm1", 175), ("arm2", 130), ("arm3", 105)):
        clicked(trial, variant, 1000, n_clicked)
    report = trial.report(an_experiment(25, 25, 25, 25, **FIXED))
    assert [arm.primary.level for arm in report.arms] == pytest.approx(
        [1 - 0.05 / 3, 1 - 0.05 / 2, 1 - 0.05 / 2]
    )
    assert [arm.verdict for arm in report.arms] == [Verdict.WIN, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]
    for arm in report.arms:
        assert arm.primary.difference is not None and arm.primary.adjusted_p_value is not None
        excludes_nothing = arm.primary.difference.interval.low > 0
        assert excludes_nothing == (arm.primary.adjusted_p_value <= 0.05)


def test_what_was_known_before_narrows_the_interval() -> None:
    trial = Trial()
    for variant, n_clicked in (("control", 400), ("arm1", 450)):
        names = clicked(trial, variant, 1000, n_clicked)
        trial.happen("click", names[: n_clicked - 50], days=-2)
    adjusted = only_arm(trial, **FIXED).primary
    plain = absolute_difference(of_proportion(1000, 400), of_proportion(1000, 450))
    assert adjusted.difference is not None and plain is not None and adjusted.relative is not None
    assert adjusted.variance_reduction is not None and adjusted.variance_reduction > 0.5
    assert adjusted.difference.standard_error < 0.7 * plain.standard_error
    assert abs(adjusted.difference.estimate) < plain.estimate / 2  # They differed as much before.
    assert adjusted.control is not None and adjusted.control.mean == 0.4


GUARDED = {"guardrails": (GuardrailMetric("complaints", 0.02, Direction.LOWER),)}


@pytest.mark.parametrize(
    ("n_complaints", "state", "verdict"),
    [
        (50, GuardrailState.HOLDS, Verdict.WIN),
        (65, GuardrailState.NOT_SHOWN, Verdict.INCONCLUSIVE),
        (150, GuardrailState.BROKEN, Verdict.LOSS),
    ],
)
def test_a_guardrail_decides_beside_the_primary_metric(
    n_complaints: int, state: GuardrailState, verdict: Verdict
) -> None:
    trial = Trial()
    trial.happen("complaint", clicked(trial, "control", 1000, 100)[:50])
    trial.happen("complaint", clicked(trial, "arm1", 1000, 200)[:n_complaints])
    arm = only_arm(trial, **FIXED, **GUARDED)
    (guardrail,) = arm.guardrails
    assert (guardrail.state, arm.verdict) == (state, verdict)
    assert guardrail.bound is not None and (guardrail.bound < 0.02) == (state is GuardrailState.HOLDS)


def test_while_it_runs_a_guardrail_is_told_by_the_sequence() -> None:
    trial = Trial()
    trial.happen("complaint", clicked(trial, "control", 1000, 100)[:50])
    trial.happen("complaint", clicked(trial, "arm1", 1000, 100)[:97])
    fixed = only_arm(trial, **FIXED, **GUARDED).guardrails[0]
    running = only_arm(trial, **GUARDED).guardrails[0]
    assert (fixed.state, running.state) == (GuardrailState.BROKEN, GuardrailState.NOT_SHOWN)


def test_secondary_metrics_segments_and_channels_are_told_beside_it() -> None:
    trial = Trial()
    for variant in ("control", "arm1"):
        names = clicked(trial, variant, 100, 50)
        trial.record(names[:60], age=70)
        trial.happen("click", trial.expose(variant, 40, channel=Channel.MOBILE)[:4])
    arm = only_arm(trial, secondary=("click", "value", "unheard_of"))
    assert [told.metric for told in arm.secondary] == ["click", "value", "unheard_of"]
    assert arm.secondary[0].difference == arm.primary.difference
    assert arm.secondary[1].refusal == "no customer of either arm differs from another"
    assert arm.secondary[2].refusal == "the policy knows no metric and no interaction type unheard_of"
    sizes = {
        one.name: one.comparison.treatment.n_customers
        for one in (*arm.exploratory_segments, *arm.exploratory_channels)
        if one.comparison.treatment is not None
    }
    assert sizes == {"everyone": 80, "senior": 60, "mobile": 40, "web": 100}


def test_where_there_is_nothing_to_compare_the_reason_is_told() -> None:
    trial = Trial()
    nobody = trial.report(an_experiment(50, 50))
    assert (nobody.refusal, nobody.arms) == ("nobody has met a variant yet", ())
    assert nobody.checks.sample_ratio is None and nobody.checks.variants[0].share is None
    alone = trial.report(an_experiment(100))
    assert alone.refusal == "control is its only variant: there is nothing to compare it with"
    draft = trial.report(an_experiment(50, 50, status=ExperimentStatus.DRAFT))
    assert draft.refusal is not None and "draft" in draft.refusal


def test_too_few_customers_are_no_figure() -> None:
    trial = Trial()
    clicked(trial, "control", 100, 10)
    clicked(trial, "arm1", 29, 29)
    arm = only_arm(trial, **FIXED)
    assert arm.primary.difference is None
    assert arm.primary.refusal == "an arm has 29 customers who count, and it takes 30"
    windowed = only_arm(trial, primary_metric="nps")
    assert windowed.primary.control is None and windowed.verdict is not Verdict.WIN


@pytest.mark.parametrize("analysis", list(Analysis))
def test_a_small_arm_where_nobody_happened_to_do_what_is_rare_shows_nothing(analysis: Analysis) -> None:
    trial = Trial()
    clicked(trial, "control", 9_900, 99)
    clicked(trial, "arm1", 100, 0)
    guardrail = GuardrailMetric("clicks", 0.001)
    arm = trial.report(an_experiment(99, 1, analysis=analysis, guardrails=(guardrail,))).arms[0]
    assert (arm.verdict, arm.guardrails[0].state) == (Verdict.INCONCLUSIVE, GuardrailState.NOT_SHOWN)


@pytest.mark.parametrize("analysis", list(Analysis))
@pytest.mark.parametrize("alpha", [LEAST_ALPHA, MOST_ALPHA])
def test_every_level_that_may_be_registered_can_be_judged(analysis: Analysis, alpha: float) -> None:
    trial = Trial()
    clicked(trial, "control", 100, 50)
    clicked(trial, "arm1", 100, 50)
    guardrail = GuardrailMetric("clicks", 0.01)
    experiment = an_experiment(50, 50, analysis=analysis, alpha=alpha, guardrails=(guardrail,))
    assert trial.report(experiment).arms[0].verdict is Verdict.INCONCLUSIVE


def test_the_hold_out_is_read_like_any_experiment() -> None:
    trial = Trial()
    holdout = holdout_experiment(ExperimentsPolicy(holdout_percent=10))
    assert holdout is not None
    for variant, n in (("held_out", 100), ("in_experiments", 900)):
        for name in trial.expose(variant, n):
            (met,) = trial.exposures.of_customer(name)
            trial.exposures.record([replace(met, experiment="holdout", phase=10)])
    report = trial.report(holdout)
    assert (report.control, report.checks.n_customers, report.checks.is_sound) == ("held_out", 1000, True)
    assert report.arms[0].variant == "in_experiments"
