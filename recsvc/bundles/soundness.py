"""Whether a bundle's arrays fit together. In: a bundle whose bytes are as written. Out: at most a refusal.

A checksum says that a file is what was written; this says that what was written can be served: every array
is there with the type and the shape that the counts ask for, and whatever points at a row points at one.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.id_table import IdTable
from recsvc.bundles.item_pages import N_COLUMNS, columns_of
from recsvc.bundles.layouts import (
    LIVE,
    LIVE_NEVER_NEGATIVE,
    LIVE_PARTS,
    OF_FAMILY,
    SIMILARITY_FAMILIES,
    layout_of,
    optional_layouts,
)
from recsvc.bundles.manifest import Manifest
from recsvc.bundles.profiles import ABSENT, JOURNEYS, LIFECYCLES
from recsvc.bundles.propensity_soundness import check_propensity
from recsvc.domain.rfm import N_SCORES
from recsvc.errors import BundleCorruptError

_AT_ONCE = 4_096  # Rows, so that no copy of a block of factors is made.


def check_soundness(bundle: Bundle) -> None:
    """Refuse arrays that are sound one by one but do not fit together. Raises BundleCorruptError."""
    _check_parts(bundle.manifest)
    _check_live_parts(bundle.manifest)
    _check_layout(bundle)
    for name in ("item_ids", "customer_ids"):
        _check_offsets(bundle, f"{name}_offsets", f"{name}_text")
        text = bundle.arrays[f"{name}_text"]
        _demand(bundle, f"{name}_text", bool((text < 0x80).all()), "holds bytes that no id has")
    _demand(bundle, "item_ids_offsets", bundle.items.is_in_order(), "is not in order")
    _demand(bundle, "customer_ids_offsets", bundle.customers.is_in_order(), "is not in order")
    for name in ("history", "refused"):
        _check_offsets(bundle, f"{name}_offsets", f"{name}_items")
        _check_rows(bundle, f"{name}_items", low=0, high=bundle.manifest.rows.items)
    _check_rows(bundle, "profile_segment", low=0, high=len(bundle.manifest.segments))
    _check_profiles(bundle)
    for name in ("proposal", *SIMILARITY_FAMILIES):
        if f"{name}_items" in bundle.arrays:
            _check_rows(bundle, f"{name}_items", low=-1, high=bundle.manifest.rows.items)
    if "scan_rows" in bundle.arrays:
        _check_scan(bundle)
    if "feature_names_offsets" in bundle.arrays:
        _check_offsets(bundle, "feature_names_offsets", "feature_names_text")
        names = IdTable(bundle.arrays["feature_names_text"], bundle.arrays["feature_names_offsets"])
        _demand(bundle, "feature_names_offsets", names.is_in_order(), "is not in order")
        _check_is_text(bundle, names)
    is_positive = bool((bundle.arrays["history_strengths"] > 0).all())
    _demand(bundle, "history_strengths", is_positive, "holds strengths that are not above 0")
    for name in ("popularity", "segment_popularity"):
        _demand(bundle, name, bool((bundle.arrays[name] >= 0).all()), "holds counts below 0")
    if bundle.manifest.live is not None:
        _check_live_arrays(bundle)
    _check_catalogue(bundle)
    check_propensity(bundle)


def _check_parts(manifest: Manifest) -> None:
    """What a model is made of is known, and can be added up."""
    families = [part.family for part in manifest.parts]
    for family in families:
        if family not in OF_FAMILY:
            raise BundleCorruptError(
                manifest.version, "its family", f"{family!r} is not one that this release knows"
            )
    holds = bool(families) and max(Counter(families).values()) == 1
    holds = holds and all(_is_positive(part.weight) for part in manifest.parts)
    if not holds:
        raise BundleCorruptError(
            manifest.version, "its parts", "are not families, each once, with weights above 0"
        )
    if not _is_positive(manifest.strength_scale):
        raise BundleCorruptError(manifest.version, "its strength scale", "is not above 0")


def _check_live_parts(manifest: Manifest) -> None:
    """What is live can be weighed, and its arrays are there if and only if it is."""
    live = manifest.live
    for name in sorted(
        LIVE.keys() - manifest.arrays.keys() if live else LIVE.keys() & manifest.arrays.keys()
    ):
        reason = "is missing" if live else "is there, but its manifest names no live parts"
        raise BundleCorruptError(manifest.version, f"{name}.npy", reason)
    if live is None:
        return
    lowered = [name for name in LIVE_PARTS if name in LIVE_NEVER_NEGATIVE and live.weights.get(name, 0.0) < 0]
    holds = {
        f"are not {', '.join(LIVE_PARTS)}": live.weights.keys() == set(LIVE_PARTS),
        "have half-lives that are not above 0": _is_positive(live.half_life_days)
        and _is_positive(live.long_half_life_days),
        "weigh the trained score below 0": live.trained_weight >= 0,
        f"weigh {', '.join(lowered)} below 0, which each meeting raises": not lowered,
    }
    for otherwise, is_so in holds.items():
        if not is_so:
            raise BundleCorruptError(manifest.version, "its live parts", otherwise)


def _is_positive(number: float) -> bool:
    return math.isfinite(number) and number > 0


def _check_layout(bundle: Bundle) -> None:
    manifest = bundle.manifest
    lengths = {
        "items": manifest.rows.items,
        "customers": manifest.rows.customers,
        "pairs": manifest.rows.pairs,
        "segments": len(manifest.segments),
        "categories": len(manifest.categories),
        "channels": len(manifest.channels),
        "purchase facts": 3,
        "item columns": N_COLUMNS,
        "live half-lives": 2,
        "calibration facts": 2,
    }
    families = [part.family for part in manifest.parts]
    groups = [group for group in optional_layouts(families) if group.keys() & bundle.arrays.keys()]
    for layout in (layout_of(families), *groups):
        for name, (dtype, dimensions) in layout.items():
            if name not in bundle.arrays:
                raise BundleCorruptError(manifest.version, f"{name}.npy", "is missing")
            array = bundle.arrays[name]
            fits = array.dtype.str == dtype and array.ndim == len(dimensions)
            fits = fits and all(
                _is_length(length, dimension, lengths)
                for dimension, length in zip(dimensions, array.shape, strict=True)
            )
            _demand(bundle, name, fits, f"is not {dtype} of ({', '.join(dimensions)})")


def _is_length(length: int, dimension: str, lengths: dict[str, int]) -> bool:
    """Whether a dimension has the length that it has elsewhere, which it now has if it had none."""
    base = dimension.removesuffix(" + 1")
    length -= base != dimension
    return length >= 0 and lengths.setdefault(base, length) == length


def _check_is_text(bundle: Bundle, names: IdTable) -> None:
    try:
        names.ids_of(range(len(names)))
    except UnicodeDecodeError as error:
        raise BundleCorruptError(bundle.version, "feature_names_text.npy", "is not UTF-8") from error


def _check_offsets(bundle: Bundle, name: str, of: str) -> None:
    offsets: NDArray[Any] = bundle.arrays[name]
    holds = offsets[0] == 0 and offsets[-1] == len(bundle.arrays[of]) and (np.diff(offsets) >= 0).all()
    _demand(bundle, name, bool(holds), f"does not divide {of}")


def _check_rows(bundle: Bundle, name: str, *, low: int, high: int) -> None:
    rows: NDArray[Any] = bundle.arrays[name]
    holds = not rows.size or (rows.min() >= low and rows.max() < high)
    _demand(bundle, name, bool(holds), "points at rows that do not exist")


def _check_scan(bundle: Bundle) -> None:
    """Every row stands once, with the factors that are its own."""
    rows: NDArray[Any] = bundle.arrays["scan_rows"]
    _demand(
        bundle,
        "scan_rows",
        bool((np.sort(rows) == np.arange(len(rows))).all()),
        "does not name each row once",
    )
    of_rows = bundle.arrays[f"{bundle.manifest.parts[0].family}_item_factors"]
    in_order = bundle.arrays["scan_factors"]
    parts = range(0, len(rows), _AT_ONCE)
    are_same = all(
        (in_order[first : first + _AT_ONCE] == of_rows[rows[first : first + _AT_ONCE]]).all()
        for first in parts
    )
    _demand(bundle, "scan_factors", are_same, "is not what scan_rows says")


def _check_profiles(bundle: Bundle) -> None:
    _check_rows(bundle, "profile_lifecycle", low=ABSENT, high=len(LIFECYCLES))
    _check_rows(bundle, "profile_journey", low=ABSENT, high=len(JOURNEYS))
    for figure in ("recency", "frequency", "monetary"):
        scores = bundle.arrays[f"profile_{figure}_score"]
        is_score = bool(((scores >= 0) & (scores <= N_SCORES)).all())
        _demand(bundle, f"profile_{figure}_score", is_score, "holds scores that are not 1 to 5")
    purchases = bundle.arrays["profile_purchases"]
    repeats, last, age = purchases.T
    holds = (purchases == ABSENT).all(axis=1) | ((repeats >= 0) & (last >= 0) & (last <= age))
    _demand(bundle, "profile_purchases", bool(holds.all()), "holds purchases after the end of the window")


def _check_live_arrays(bundle: Bundle) -> None:
    arrays, rows = bundle.arrays, bundle.manifest.rows
    _check_rows(bundle, "live_meeting_customers", low=0, high=rows.customers)
    _check_rows(bundle, "live_meeting_items", low=0, high=rows.items)
    is_in_order = bool((np.diff(arrays["live_meeting_seconds"]) >= 0).all())
    _demand(bundle, "live_meeting_seconds", is_in_order, "is not in the order of time")
    is_later = bool((arrays["live_lasts"] >= arrays["live_firsts"]).all())
    _demand(bundle, "live_lasts", is_later, "has an item that was met last before it was met first")
    _demand(bundle, "live_met", bool((arrays["live_met"] >= 0).all()), "holds counts below 0")


def _check_catalogue(bundle: Bundle) -> None:
    if "catalogue_offsets" in bundle.arrays:
        _check_offsets(bundle, "catalogue_offsets", "catalogue")
    try:
        items = [*bundle.catalogue]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleCorruptError(bundle.version, "catalogue.npy", f"cannot be parsed ({error})") from error
    ids = [item.item_id for item in items]
    n_items = len(bundle.items)
    in_step = tuple(ids[:n_items]) == bundle.items.ids_of(range(n_items))
    _demand(bundle, "catalogue", in_step, "does not begin with the items of item_ids, in their order")
    _demand(bundle, "catalogue", len(set(ids)) == len(ids), "names an item twice")
    is_so = np.array_equal(bundle.catalogue.columns, columns_of(items))
    _demand(bundle, "catalogue_columns", is_so, "does not say what the items say")


def _demand(bundle: Bundle, name: str, holds: bool, otherwise: str) -> None:
    if not holds:
        raise BundleCorruptError(bundle.version, f"{name}.npy", otherwise)
