"""Give customers their true tastes. In: ages, who may drift. Out: shares over categories, and their drift.

A customer has two or three top categories that hold about 85 % of the interest. Tops are spread evenly over
the twelve categories, with a tilt by age, so that what is popular with everybody fits nobody in particular.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.sample_bank.timeline import BoolArray, FloatArray, IntArray, Window
from recsvc.sample_bank.words import CATEGORIES

_SHARES = {2: np.array([0.5, 0.35, 0.0]), 3: np.array([0.38, 0.28, 0.19])}
_DRIFTING_SHARE = 0.22
_DRIFT_FROM, _DRIFT_UNTIL = 0.15, 0.75  # of the window
_TILT = {
    "young": ("cards", "travel", "borrowing"),
    "middle": ("home", "family", "business"),
    "senior": ("retirement", "insurance", "saving"),
}
_TILT_STRENGTH = 1.5
# The customers of the demo: tastes that anybody can tell apart.
SHOW_TASTES = (
    ("saving", "home"),
    ("investing", "green"),
    ("travel", "cards"),
    ("retirement", "insurance"),
    ("business", "security"),
)


@dataclass(frozen=True, slots=True)
class Tastes:
    """Rows are customers, columns are categories; every row sums to 1."""

    at_start: FloatArray  # (n_customers, n_categories)
    at_end: FloatArray  # (n_customers, n_categories)
    n_top: IntArray  # (n_customers,), 2 or 3
    is_drifting: BoolArray  # (n_customers,)
    window: Window

    def at(self, customer_row: IntArray, at_ms: IntArray) -> FloatArray:
        """The tastes of these customers at these moments: (n, n_categories)."""
        done = (self.window.progress(at_ms) - _DRIFT_FROM) / (_DRIFT_UNTIL - _DRIFT_FROM)
        done = np.clip(done, 0.0, 1.0)[:, None]
        return (1 - done) * self.at_start[customer_row] + done * self.at_end[customer_row]

    def top_categories(self) -> list[tuple[str, ...]]:
        """Each customer's top categories at the end of the window, the strongest first."""
        order = np.argsort(-self.at_end, axis=1, kind="stable")
        return [
            tuple(CATEGORIES[column] for column in columns[:n_top])
            for columns, n_top in zip(order.tolist(), self.n_top.tolist(), strict=True)
        ]


def draw_tastes(age: IntArray, may_drift: BoolArray, window: Window, rng: np.random.Generator) -> Tastes:
    """Draw tastes for customers of these ages. The first five are the show customers."""
    n = len(age)
    order = np.argsort(-(np.log(_tilt_by_age(age)) + rng.gumbel(size=(n, len(CATEGORIES)))), axis=1)
    n_top = rng.integers(2, 4, n)
    is_drifting = may_drift & (rng.random(n) < _DRIFTING_SHARE)
    for row, names in enumerate(SHOW_TASTES[:n]):
        wanted = [CATEGORIES.index(name) for name in names]
        order[row] = wanted + [column for column in order[row].tolist() if column not in wanted]
        n_top[row], is_drifting[row] = 2, False
    at_start = _shares(order, n_top, rng)
    return Tastes(
        at_start=at_start,
        at_end=_drifted(at_start, order, n_top, is_drifting, rng),
        n_top=n_top,
        is_drifting=is_drifting,
        window=window,
    )


def _tilt_by_age(age: IntArray) -> FloatArray:
    group = np.where(age < 30, "young", np.where(age < 60, "middle", "senior"))
    tilt = np.ones((len(age), len(CATEGORIES)))
    for name, favourites in _TILT.items():
        for category in favourites:
            tilt[group == name, CATEGORIES.index(category)] = _TILT_STRENGTH
    return tilt


def _shares(order: IntArray, n_top: IntArray, rng: np.random.Generator) -> FloatArray:
    """Top shares to the first two or three of each customer's order, crumbs to all others."""
    n = len(order)
    ranked = rng.gamma(4.0, size=order.shape)
    ranked[:, :2] = 0
    ranked[n_top == 3, 2] = 0
    top_mass = rng.uniform(0.8, 0.9, (n, 1))
    ranked *= (1 - top_mass) / ranked.sum(axis=1, keepdims=True)
    top = np.where((n_top == 2)[:, None], _SHARES[2], _SHARES[3])
    ranked[:, :3] += top * top_mass / top.sum(axis=1, keepdims=True)
    shares = np.empty_like(ranked)
    np.put_along_axis(shares, order, ranked, axis=1)
    return shares


def _drifted(
    at_start: FloatArray,
    order: IntArray,
    n_top: IntArray,
    is_drifting: BoolArray,
    rng: np.random.Generator,
) -> FloatArray:
    """A drifting customer swaps one of the top categories for one that meant little before."""
    rows = np.flatnonzero(is_drifting)
    left = order[rows, rng.integers(0, n_top[rows])]
    joined = order[rows, rng.integers(3, order.shape[1], len(rows))]
    at_end = at_start.copy()
    at_end[rows, left], at_end[rows, joined] = at_start[rows, joined], at_start[rows, left]
    return at_end
