"""Results for people. In: a report. Out: values that a template only prints: texts, and places in a picture.

Every interval of one metric is drawn on one scale, so that arms can be compared by eye; zero, where nothing
differs, is a line through all of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from flask import Response, render_template

from recsvc.experimentation.reports import ArmReport, Comparison, ExperimentReport, GuardrailFinding

WIDTH = 560.0
_ROW, _TOP = 34.0, 14.0
_LEFT, _RIGHT = 12.0, WIDTH - 12.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One interval in the picture: its text, and where it stands from left to right."""

    label: str
    low: float
    middle: float
    high: float
    y: float
    told: str


@dataclass(frozen=True, slots=True)
class Plot:
    """All intervals of one metric. `zero` is where nothing differs; the ends say what they stand for."""

    title: str
    bars: tuple[Bar, ...]
    zero: float
    height: float
    first: str
    last: str
    refusals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageArm:
    """One arm's verdict, and its guardrails as sentences."""

    variant: str
    verdict: str
    sentence: str
    relative: str | None
    guardrails: tuple[str, ...]


def answer_page(report: ExperimentReport) -> Response:
    """The report as a page that needs no script, no other host and no further request."""
    style = _style()
    page = render_template(
        "results.html",
        report=report,
        arms=[_arm(arm) for arm in report.arms],
        plots=list(_plots(report)),
        exploratory=list(_exploratory(report)),
        width=WIDTH,
        style=style,
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
    }
    return Response(page, mimetype="text/html", headers=headers)


def _plots(report: ExperimentReport) -> Iterable[Plot]:
    """The primary metric, then the secondary ones, each with all arms."""
    yield _plot("primary", [(arm.variant, arm.primary) for arm in report.arms])
    for place in range(len(report.arms[0].secondary) if report.arms else 0):
        yield _plot("secondary", [(arm.variant, arm.secondary[place]) for arm in report.arms])


def _exploratory(report: ExperimentReport) -> Iterable[Plot]:
    for arm in report.arms:
        for kind, slices in (("segments", arm.exploratory_segments), ("channels", arm.exploratory_channels)):
            if slices:
                yield _plot(f"{arm.variant} by {kind}:", [(one.name, one.comparison) for one in slices])


def _plot(title: str, rows: Sequence[tuple[str, Comparison]]) -> Plot:
    drawn = [(label, found, found.difference) for label, found in rows if found.difference is not None]
    told_ends = [end for *_, told in drawn if told for end in (told.interval.low, told.interval.high)]
    low, high = min([0.0, *told_ends]), max([0.0, *told_ends])
    scale = (_RIGHT - _LEFT) / ((high - low) or 1.0)

    def place(value: float) -> float:
        return round(_LEFT + (value - low) * scale, 1)

    bars = tuple(
        Bar(
            label,
            place(told.interval.low),
            place(told.estimate),
            place(told.interval.high),
            _TOP + _ROW * number + 16,
            f"{told.estimate:+.4g}, between {told.interval.low:+.4g} and {told.interval.high:+.4g} "
            f"({100 * (found.level or 0):.4g} %)",
        )
        for number, (label, found, told) in enumerate(drawn)
        if told is not None
    )
    refusals = tuple(f"{label}: {found.refusal}" for label, found in rows if found.refusal is not None)
    name = rows[0][1].metric if rows else ""
    height, ends = _TOP + _ROW * len(bars) + 22, (f"{low:+.4g}", f"{high:+.4g}")
    return Plot(f"{title} {name}", bars, place(0.0), height, *ends, refusals)


def _arm(arm: ArmReport) -> PageArm:
    relative = arm.primary.relative
    told = None
    if relative is not None:
        told = (
            f"{relative.estimate:+.2%} of control's (between {relative.interval.low:+.2%} and "
            f"{relative.interval.high:+.2%}), which describes and decides nothing"
        )
    guardrails = tuple(_guardrail(one) for one in arm.guardrails)
    return PageArm(arm.variant, arm.verdict.value, arm.sentence, told, guardrails)


def _guardrail(found: GuardrailFinding) -> str:
    state = found.state.value.replace("_", " ")
    if found.refusal is not None:
        return f"{found.metric}: {state}, for {found.refusal}"
    return f"{found.metric}: {state}; at worst {found.bound:+.4g}, the margin is {found.margin:g}"


@cache
def _style() -> str:
    return files("recsvc.api").joinpath("templates/results.css").read_text("utf-8")
