"""No list ever holds an offer that the rules forbid, nor lacks one that they allow where there is room."""

from __future__ import annotations

from .offers_at_random import judge_decisions

N_DECISIONS = 100_000


def test_every_decision_holds_what_the_rules_allow_and_nothing_else() -> None:
    tally = judge_decisions(1, N_DECISIONS)
    assert tally.wrong == ()
    assert tally.decisions == N_DECISIONS
    # The rules are met on both sides: a test that forbids or allows all would say nothing.
    assert tally.offers_shown > N_DECISIONS // 2
    assert tally.offers_forbidden > N_DECISIONS
