"""The promotion gate's report for people. In: what the gate found. Out: sentences, and rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recsvc.bundles.gate_report import Compared, GateReport, GuardrailOutcome
from recsvc.cli.terminal import say

if TYPE_CHECKING:  # Whoever only looks at models must not wait until all that trains them is loaded.
    from recsvc.retraining.settling import Settled


def tell_settled(settled: Settled) -> None:
    """What became of a bundle, and why."""
    for reason in settled.gate.reasons:
        say(f"promotion gate, {reason.code}: {reason.text}")
    if settled.is_promoted:
        say("it is the champion now")
    elif settled.gate.promotes:
        say("not promoted; use recsvc models promote VERSION")
    else:
        say("held; look at recsvc models show challenger, or use recsvc models promote VERSION anyway")
    for version in settled.withdrawn:
        say(f"withdrew {version}: as many newer ones are kept as the policy says")


def gate_rows(report: GateReport | None) -> Iterator[tuple[str, str]]:
    """What the gate found, row by row."""
    if report is None:
        yield "promotion gate", "never judged"
        return
    against = f" against {report.champion}" if report.champion else ""
    yield "promotion gate", f"{report.decision}{against}"
    for reason in report.reasons:
        yield f"  {reason.code}", reason.text
    if report.primary is None:
        return
    yield "compared with", report.basis
    yield "compared on", f"{report.holdout}, {report.n_customers:,} customers"
    for one in report.guardrails:
        yield f"  {one.name}", _guardrail(one)
    for segment in report.segments:
        told = _compared(segment.compared) if segment.compared else "too few to be judged"
        yield f"  segment {segment.segment}", f"{segment.n_customers:,} customers: {told}"
    for persona in report.personas:
        if persona.candidate is None or persona.champion is None or persona.wanted is None:
            yield f"  {persona.name}", "not judged: the model knows nothing of its history"
        else:
            figures = f"{persona.candidate:.0%}, the champion {persona.champion:.0%}"
            yield f"  {persona.name}", f"{figures}, at least {persona.wanted:.0%}"


def _guardrail(one: GuardrailOutcome) -> str:
    if one.candidate is None or one.champion is None or one.limit is None:
        return one.note
    return f"{one.candidate:.3f}, the champion {one.champion:.3f}, at least {one.limit:.3f}"


def _compared(one: Compared) -> str:
    text = f"{one.candidate:.4f} against {one.champion:.4f}"
    return text if one.change is None else f"{text}, {one.change:+.1%} ({one.low:+.1%} to {one.high:+.1%})"
