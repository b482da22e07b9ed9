"""A bundle may have a propensity model: one that is not whole is refused, and none is no fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc.bundles.layouts import PROPENSITY as ARRAYS
from recsvc.bundles.opening import MANIFEST_FILE, open_bundle, read_manifest
from recsvc.bundles.propensity import SentCounts
from recsvc.errors import BundleCorruptError
from recsvc.serving.offers.propensity import open_propensities

from ..small_bank import Arrays, publish_changed
from .whole_bundle import PLAN, PROPENSITY, publish_whole

WITHOUT = Path(__file__).parent / "manifest_without_propensity.json"


@pytest.fixture
def whole(shelf: tuple[Path, Path]) -> Path:
    return publish_whole(shelf[0])


def set_to(name: str, *values: float) -> Callable[[Arrays], None]:
    """Write values over the first ones of an array."""

    def change(arrays: Arrays) -> None:
        arrays[f"propensity_{name}"] = arrays[f"propensity_{name}"].copy()
        arrays[f"propensity_{name}"][: len(values)] = values

    return change


def in_circles(arrays: Arrays) -> None:
    """A node below itself, while every node is met once."""
    set_to("left", 1, -1, 2)(arrays)


def many_leaves(arrays: Arrays) -> None:
    """A tree of 17 leaves, each other node a leaf."""
    n = 33
    is_leaf = np.arange(n) % 2 == 1
    is_leaf[-1] = True
    rows = np.arange(n)
    arrays |= {
        "propensity_trees": np.array([0, n]),
        "propensity_feature": np.where(is_leaf, -1, 1).astype(np.int32),
        "propensity_left": np.where(is_leaf, -1, rows + 1).astype(np.int32),
        "propensity_right": np.where(is_leaf, -1, rows + 2).astype(np.int32),
        "propensity_missing_left": np.zeros(n, dtype=np.uint8),
        "propensity_threshold": np.zeros(n),
        "propensity_value": np.zeros(n),
    }


def test_the_model_of_a_bundle_is_asked_for_chances(whole: Path) -> None:
    scorer = open_propensities(open_bundle(whole))
    assert scorer is not None and scorer.model == PROPENSITY
    offers = tuple(item for item in open_bundle(whole).catalogue if item.kind == "offer")
    facts = scorer.facts({}, (), offers, PLAN.until)
    # Nothing was bought, so the first tree goes left; the second has the one leaf.
    wanted = 1 / (1 + np.exp(-(-1.0 - 0.5 + 0.125 + 0.1)))
    assert scorer.propensities(facts, offers, None) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_to("feature", 500), "propensity_feature.npy compares numbers that do not exist"),
        (set_to("feature", -2), "propensity_feature.npy compares numbers that do not exist"),
        (set_to("feature", -1), "propensity_left.npy does not end where the leaves are"),
        (set_to("left", 3), "propensity_left.npy does not make trees"),
        (set_to("left", 99), "propensity_left.npy does not make trees"),
        (set_to("right", 5), "propensity_left.npy does not make trees"),
        (in_circles, "propensity_left.npy does not make trees"),
        (set_to("trees", 1), "propensity_trees.npy does not divide"),
        (set_to("trees", 0, 0), "propensity_trees.npy does not divide"),
        (many_leaves, "propensity_trees.npy has over 16 leaves"),
        (set_to("missing_left", 2), "propensity_missing_left.npy is neither"),
        (set_to("calibration", 0.0), "propensity_calibration.npy turns"),
        (set_to("calibration", -1.0), "propensity_calibration.npy turns"),
        (set_to("value", np.nan), "propensity_value.npy holds values that are not finite"),
        (lambda arrays: arrays.pop("propensity_value"), "propensity_value.npy is missing"),
    ],
)
def test_trees_that_are_none_are_refused_by_the_name_of_the_file(
    whole: Path, change: Callable[[Arrays], Any], says: str
) -> None:
    with pytest.raises(BundleCorruptError) as refused:
        open_bundle(publish_changed(whole, change))
    assert says.split(".npy ")[0] in str(refused.value)
    assert says.split(".npy ")[1] in str(refused.value)


@pytest.mark.parametrize(
    "model",
    [
        replace(PROPENSITY, features=PROPENSITY.features[1:]),
        replace(PROPENSITY, plan=replace(PLAN, since=PLAN.since.replace(tzinfo=None))),
        *(
            replace(
                PROPENSITY,
                plan=replace(PLAN, offers={"o1": replace(PLAN.offers["o1"], counts=counts)}),
            )
            for counts in (SentCounts(1, 2, 0), SentCounts(1, 0, 2), SentCounts(1, -1, 0))
        ),
    ],
    ids=["features", "since", "views", "responses", "below_0"],
)
def test_a_model_that_asks_or_counts_what_cannot_be_is_refused(whole: Path, model: object) -> None:
    with pytest.raises(BundleCorruptError, match="its propensity model"):
        open_bundle(publish_changed(whole, lambda arrays: None, {"propensity": model}))


def test_trees_that_no_manifest_names_are_refused(whole: Path) -> None:
    with pytest.raises(BundleCorruptError, match="names no propensity model"):
        open_bundle(publish_changed(whole, lambda arrays: None, {"propensity": None}))


def test_a_bundle_without_the_model_says_nothing_of_it_and_stays_the_version_that_it_was(
    shelf: tuple[Path, Path],
) -> None:
    bundle = shelf[0]
    assert read_manifest(bundle).propensity is None
    assert "propensity" not in json.loads((bundle / MANIFEST_FILE).read_bytes())
    assert not ARRAYS.keys() & open_bundle(bundle).arrays.keys()
    assert open_propensities(open_bundle(bundle)) is None


def test_a_manifest_from_before_there_were_propensities_is_read(tmp_path: Path) -> None:
    """The file is one that was published then, with nothing changed."""
    raw = WITHOUT.read_bytes()
    bundle = tmp_path / json.loads(raw)["version"]
    bundle.mkdir()
    (bundle / MANIFEST_FILE).write_bytes(raw)
    assert read_manifest(bundle).propensity is None
