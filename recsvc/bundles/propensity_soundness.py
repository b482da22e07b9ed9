"""Whether a bundle's propensity model can be asked. In: a bundle with arrays in shape. Out: a refusal.

Every tree is one: from its first node each other node is reached once, and every number that it compares is
one that this release makes.
"""

from __future__ import annotations

import math

import numpy as np

from recsvc.bundles.bundle import AnyArray, Bundle
from recsvc.bundles.layouts import PROPENSITY
from recsvc.bundles.propensity import MOST_LEAVES, PropensityModel
from recsvc.bundles.propensity_features import feature_names
from recsvc.errors import BundleCorruptError


def check_propensity(bundle: Bundle) -> None:
    """Refuse a model that is not whole. Raises BundleCorruptError."""
    model = bundle.manifest.propensity
    for name in sorted(
        PROPENSITY.keys() - bundle.arrays.keys() if model else PROPENSITY.keys() & bundle.arrays.keys()
    ):
        reason = "is missing" if model else "is there, but its manifest names no propensity model"
        raise BundleCorruptError(bundle.version, f"{name}.npy", reason)
    if model is None:
        return
    _check_facts(bundle, model)
    _check_nodes(bundle, len(model.features))
    _check_trees(bundle)
    slope = bundle.arrays["propensity_calibration"][0]
    _demand(bundle, "calibration", bool(slope > 0), "turns the order of what it calibrates round")


def _check_facts(bundle: Bundle, model: PropensityModel) -> None:
    if model.features != feature_names(model.plan):
        reason = "compares numbers that this release does not make"
        raise BundleCorruptError(bundle.version, "its propensity model", reason)
    counts = [record.counts for record in model.plan.offers.values()]
    holds = math.isfinite(model.baseline) and None not in (model.plan.since.tzinfo, model.plan.until.tzinfo)
    holds = holds and all(min(one.viewed, one.responded) >= 0 for one in counts)
    holds = holds and all(max(one.viewed, one.responded) <= one.sent for one in counts)
    if not holds:
        raise BundleCorruptError(bundle.version, "its propensity model", "counts what cannot be")


def _check_nodes(bundle: Bundle, n_features: int) -> None:
    """Leaves are leaves in every respect, and what is none compares a number that there is."""
    feature = bundle.arrays["propensity_feature"]
    is_leaf = feature == -1
    within = bool(((feature >= -1) & (feature < n_features)).all())
    _demand(bundle, "feature", within, "compares numbers that do not exist")
    for side in ("left", "right"):
        agrees = bool(((bundle.arrays[f"propensity_{side}"] == -1) == is_leaf).all())
        _demand(bundle, side, agrees, "does not end where the leaves are")
    is_flag = bool((bundle.arrays["propensity_missing_left"] <= 1).all())
    _demand(bundle, "missing_left", is_flag, "is neither yes nor no")


def _check_trees(bundle: Bundle) -> None:
    starts: AnyArray = bundle.arrays["propensity_trees"]
    n_nodes = len(bundle.arrays["propensity_feature"])
    divides = (
        len(starts) > 1 and starts[0] == 0 and starts[-1] == n_nodes and bool((np.diff(starts) > 0).all())
    )
    _demand(bundle, "trees", bool(divides), "does not divide the nodes into trees")
    sizes = np.diff(starts)
    _demand(
        bundle, "trees", bool((sizes < 2 * MOST_LEAVES).all()), f"has over {MOST_LEAVES} leaves in a tree"
    )
    parents = np.flatnonzero(bundle.arrays["propensity_feature"] != -1)
    tree_of = np.repeat(np.arange(len(sizes)), sizes)
    children = np.concatenate([bundle.arrays[f"propensity_{side}"][parents] for side in ("left", "right")])
    both = np.concatenate([parents, parents])
    # A child comes after its parent: no way leads round in a circle.
    holds = bool(((children > both) & (children < n_nodes)).all())
    holds = holds and bool((tree_of[children] == tree_of[both]).all())
    met = np.bincount(children, minlength=n_nodes) if holds else np.zeros(0)
    wanted = np.ones(n_nodes, dtype=np.int64)
    wanted[starts[:-1]] = 0
    _demand(bundle, "left", holds and bool((met == wanted).all()), "does not make trees with right")


def _demand(bundle: Bundle, name: str, holds: bool, otherwise: str) -> None:
    if not holds:
        raise BundleCorruptError(bundle.version, f"propensity_{name}.npy", otherwise)
