"""A picture of what came of predicted propensities. In: a report. Out: one SVG, or rows of text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table

from recsvc.bundles.propensity import PropensityReport, ReliabilityBin

_SIDE, _MARGIN = 360, 48
_BAR_CELLS = 30


def reliability_table(report: PropensityReport) -> Table:
    """Ten groups of sendings by prediction: predicted and observed side by side, and drawn."""
    table = Table(
        title=f"Propensities of {report.judged_on}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("sendings", "predicted", "observed", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("─ interval   ● observed   │ predicted", no_wrap=True)
    for one in report.reliability:
        table.add_row(
            f"{one.sendings:,}",
            f"{one.predicted:.3f}",
            f"{one.observed:.3f}",
            f"{one.low:.3f} to {one.high:.3f}",
            _drawn(one),
        )
    return table


def _drawn(one: ReliabilityBin) -> str:
    """0 to 1 from left to right."""
    cells = [" "] * (_BAR_CELLS + 1)
    low, high, observed, predicted = (
        round(number * _BAR_CELLS) for number in (one.low, one.high, one.observed, one.predicted)
    )
    cells[low : high + 1] = "─" * (high + 1 - low)
    cells[predicted] = "│"
    cells[observed] = "●"
    return "".join(cells)


def reliability_svg(report: PropensityReport) -> str:
    """Observed against predicted, with intervals; on the diagonal every prediction comes true."""
    size = _SIDE + 2 * _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" role="img" '
            f'font-family="sans-serif" font-size="12" aria-label="Reliability of propensities">',
            f'<rect width="{size}" height="{size}" fill="#fff"/>',
            *_axes(),
            *(shape for one in report.reliability for shape in _mark(one)),
            f'<text x="{size / 2}" y="{size - 8}" text-anchor="middle">predicted</text>',
            f'<text x="14" y="{size / 2}" text-anchor="middle" transform="rotate(-90 14 {size / 2})">'
            "observed</text>",
            f'<text x="{_MARGIN}" y="24">{_figures(report)}</text>',
            "</svg>",
            "",
        ]
    )


def _figures(report: PropensityReport) -> str:
    figures = report.metrics
    return (
        f"{report.sendings:,} sendings: AUC {figures['auc'].value:.3f}, "
        f"log-loss {figures['log_loss'].value:.3f}, ECE {figures['ece'].value:.3f}"
    )


def _axes() -> Iterator[str]:
    for tenth in range(0, 11, 2):
        x, y = _place(tenth / 10, tenth / 10)
        low, high = _place(0, 0), _place(1, 1)
        yield f'<path d="M{x} {low[1]}V{high[1]}M{low[0]} {y}H{high[0]}" stroke="#ddd"/>'
        yield f'<text x="{x}" y="{low[1] + 16}" text-anchor="middle">{tenth / 10:g}</text>'
        yield f'<text x="{low[0] - 8}" y="{y + 4}" text-anchor="end">{tenth / 10:g}</text>'
    (x1, y1), (x2, y2) = _place(0, 0), _place(1, 1)
    yield f'<path d="M{x1} {y1}L{x2} {y2}" stroke="#888" stroke-dasharray="4 4"/>'


def _mark(one: ReliabilityBin) -> Iterator[str]:
    x, y = _place(one.predicted, one.observed)
    (_, low), (_, high) = _place(0, one.low), _place(0, one.high)
    yield f'<path d="M{x} {low}V{high}" stroke="#1f5fa8" stroke-width="2"/>'
    yield f'<circle cx="{x}" cy="{y}" r="4" fill="#1f5fa8"/>'


def _place(predicted: float, observed: float) -> tuple[float, float]:
    return round(_MARGIN + predicted * _SIDE, 1), round(_MARGIN + (1 - observed) * _SIDE, 1)
