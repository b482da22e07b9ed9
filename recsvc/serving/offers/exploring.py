"""Let survivors that are known little have a chance.

In: propensities, a seed. Out: a draw, and its exact chances.

Thompson sampling: each offer's propensity is drawn from what is believed of it, and the draws are ranked.
What is believed is normal in the logit (the approximation of Chapelle and Li 2011), and taken at `N_POINTS`
equally likely points: the draw is from exactly these, and so the chance of each offer to be first can be
counted without any approximation. With a chance that gives every survivor its least share, one of all is
put first instead.

The seed is of the customer and the day (UTC), and what an offer draws hangs on the seed and its id alone: a
reload shows the same list, and whoever else survives changes nobody's draw.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from recsvc.serving.offers.arbitration import Floats

N_POINTS = 8
# The normal quantiles at (k + ½) / 8.
_NORMAL = np.array(
    [
        -1.534120544,
        -0.887146559,
        -0.488776411,
        -0.157310685,
        0.157310685,
        0.488776411,
        0.887146559,
        1.534120544,
    ]
)
LEAST_EVIDENCE = 20.0
"""Of so many contacts an offer is believed to be known at least: less would make every draw a coin."""
_LEAST_RATE = 1e-4

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Draw:
    """What was drawn for each survivor: (n,) each. `first` is the row that was put first by chance, if any.

    `share` is the exact chance, over seeds, that the offer comes first.
    """

    propensity: Floats
    first: int | None
    share: Floats


def seed_of(customer_id: str, now: datetime) -> int:
    """The seed of a customer's day: 64 bits."""
    day = now.astimezone(UTC).date().isoformat()
    return int.from_bytes(hashlib.blake2b(f"{day} {customer_id}".encode(), digest_size=8).digest(), "big")


def draw(
    propensity: Floats, evidence: Floats, worth: Floats, keys: Keys, seed: int, *, least_share: float
) -> Draw:
    """Draw for each survivor.

    Args:
        propensity: what is believed in the mean, 0 to 1.
        evidence: of how many contacts that is known.
        worth: what the propensity is multiplied with for the order.
        keys: 64 bits that are an offer's own.
    """
    n = len(propensity)
    points = _points(propensity, evidence)
    places = (_uniforms(keys, seed) * N_POINTS).astype(np.int64)
    ours = points[np.arange(n), places]
    least = min(least_share, 1 / max(n, 1))
    chance, pick = _uniforms(np.array([1, 2], dtype=np.uint64), seed)
    first = int(pick * n) if chance < n * least else None
    share = least + (1 - n * least) * first_shares(points * worth[:, None])
    return Draw(ours, first, share)


def first_shares(points: Floats) -> Floats:
    """The exact chance of each row to draw the highest, where each draws one of its points: (n,).

    `points` is (n, n_points), each equally likely. Of equal ones the later row is taken to be lower.
    """
    n, n_points = points.shape
    rows = np.repeat(np.arange(n), n_points)
    order = np.lexsort((-rows, points.ravel()))
    owners = rows[order]
    # How many points of its own each has up to here, in the order of all.
    by_owner = np.argsort(owners, kind="stable")
    own = np.empty(n * n_points, dtype=np.int64)
    own[by_owner] = np.tile(np.arange(1, n_points + 1), n)
    # The chance that all draw at or below a point is the product over rows of the share of points that they
    # have up to there: kept as a logarithm of those that have any, and the number of those that have none.
    steps = np.log(own) - np.log(np.maximum(own - 1, 1))
    below = np.cumsum(steps) - n * np.log(n_points)
    n_without = n - np.cumsum(own == 1)
    others = np.where(n_without == 0, np.exp(below - np.log(own / n_points)), 0.0)
    shares = np.bincount(owners, weights=others / n_points, minlength=n)
    return np.asarray(shares / shares.sum())


def _points(propensity: Floats, evidence: Floats) -> Floats:
    """The equally likely points of each belief: (n, N_POINTS)."""
    mean = np.clip(propensity, _LEAST_RATE, 1 - _LEAST_RATE)
    known = np.maximum(evidence, LEAST_EVIDENCE)
    spread = 1 / np.sqrt(known * mean * (1 - mean) + 1)
    logits = np.log(mean / (1 - mean))[:, None] + spread[:, None] * _NORMAL
    return np.asarray(1 / (1 + np.exp(-logits)))


def _uniforms(keys: Keys, seed: int) -> Floats:
    """Numbers of 0 to below 1 of the seed and each key: splitmix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        mixed = (keys ^ np.uint64(seed)) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53)
