"""How it is told what a propensity model is worth. In: what a training chose. Out: rows, JSON, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsvc.bundles.manifest import Manifest, Measured
from recsvc.bundles.propensity import PropensityModel, PropensityReport
from recsvc.cli.reliability_plot import reliability_svg, reliability_table
from recsvc.cli.reports import tell_table
from recsvc.cli.terminal import say

if TYPE_CHECKING:  # Whoever only looks at models must not wait until all that trains them is loaded.
    from recsvc.training.propensity.fitting import PropensityChoice


def propensity_json(choice: PropensityChoice) -> Mapping[str, object]:
    """Why, and how good the model is: null where there is none."""
    return {"why": choice.why, "report": choice.model and report_json(choice.model.report)}


def report_json(report: PropensityReport) -> Mapping[str, object]:
    """Metrics with intervals, and the reliability of each group."""
    return {
        "judged_on": report.judged_on,
        "sendings": report.sendings,
        "responses": report.responses,
        **{name: round(one.value, 6) for name, one in report.metrics.items()},
        "intervals": {name: (round(one.low, 6), round(one.high, 6)) for name, one in report.metrics.items()},
        "reliability": report.reliability,
    }


def tell_propensity(choice: PropensityChoice) -> None:
    """Say it to a person, on standard error."""
    say(choice.why)
    if choice.model is not None:
        tell_table(reliability_table(choice.model.report))


def propensity_rows(model: PropensityModel | None) -> Sequence[tuple[str, str]]:
    """What a sheet of a model says of its propensities: a name and a text a row."""
    if model is None:
        return (("propensities", "none: too few offers were sent, or too few had a response"),)
    report = model.report
    return (
        ("propensities", f"of {len(model.plan.offers):,} offers; judged on {report.sendings:,} sendings"),
        *((f"{name} of propensities", _interval(one)) for name, one in report.metrics.items()),
    )


def write_plot(manifest: Manifest, file: Path) -> None:
    """Draw the reliability of a bundle's propensities. Raises click.ClickException."""
    if manifest.propensity is None:
        raise click.ClickException(f"{manifest.version} has no propensity model, so there is nothing to draw")
    try:
        file.write_text(reliability_svg(manifest.propensity.report), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error


def _interval(one: Measured) -> str:
    return f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})"
