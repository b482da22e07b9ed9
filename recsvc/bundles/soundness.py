"""Whether a bundle's arrays fit together. In: a bundle whose bytes are as written. Out: at most a refusal.

A checksum says that a file is what was written; this says that what was written can be served: every array
is there with the type and the shape that the counts ask for, and whatever points at a row points at one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.profiles import ABSENT, JOURNEYS, LIFECYCLES
from recsvc.domain.rfm import N_SCORES
from recsvc.errors import BundleCorruptError

Layout = Mapping[str, tuple[str, tuple[str, ...]]]
"""By array: numpy dtype, and the name of each dimension. Dimensions of one name are of one length."""

COMMON: Layout = {
    "item_ids_text": ("|u1", ("item id bytes",)),
    "item_ids_offsets": ("<i8", ("items + 1",)),
    "customer_ids_text": ("|u1", ("customer id bytes",)),
    "customer_ids_offsets": ("<i8", ("customers + 1",)),
    "history_offsets": ("<i8", ("customers + 1",)),
    "history_items": ("<i4", ("pairs",)),
    "history_strengths": ("<f4", ("pairs",)),
    "refused_offsets": ("<i8", ("customers + 1",)),
    "refused_items": ("<i4", ("refused pairs",)),
    "popularity": ("<f4", ("items",)),
    "segment_popularity": ("<f4", ("segments", "items")),
    "profile_recency_days": ("<f4", ("customers",)),
    "profile_frequency": ("<i4", ("customers",)),
    "profile_monetary_value": ("<f8", ("customers",)),
    "profile_category_affinity": ("<f4", ("customers", "categories")),
    "profile_channel_share": ("<f4", ("customers", "channels")),
    "profile_segment": ("<i2", ("customers",)),
    "profile_lifecycle": ("|i1", ("customers",)),
    "profile_journey": ("|i1", ("customers",)),
    "profile_recency_score": ("|i1", ("customers",)),
    "profile_frequency_score": ("|i1", ("customers",)),
    "profile_monetary_score": ("|i1", ("customers",)),
    "profile_purchases": ("<i4", ("customers", "purchase facts")),
    "catalogue": ("|u1", ("catalogue bytes",)),
}
OF_FAMILY: Mapping[str, Layout] = {
    "als": {
        "als_item_factors": ("<f4", ("items", "factors")),
        "als_gram": ("<f4", ("factors", "factors")),
    },
    "neighbours": {
        "neighbour_items": ("<i4", ("items", "neighbours")),
        "neighbour_scores": ("<f4", ("items", "neighbours")),
    },
    "popularity": {},
}


def check_soundness(bundle: Bundle) -> None:
    """Refuse arrays that are sound one by one but do not fit together. Raises BundleCorruptError."""
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
    if "neighbour_items" in bundle.arrays:
        _check_rows(bundle, "neighbour_items", low=-1, high=bundle.manifest.rows.items)
    is_positive = bool((bundle.arrays["history_strengths"] > 0).all())
    _demand(bundle, "history_strengths", is_positive, "holds strengths that are not above 0")
    for name in ("popularity", "segment_popularity"):
        _demand(bundle, name, bool((bundle.arrays[name] >= 0).all()), "holds counts below 0")
    _check_catalogue(bundle)


def _check_layout(bundle: Bundle) -> None:
    manifest = bundle.manifest
    lengths = {
        "items": manifest.rows.items,
        "items + 1": manifest.rows.items + 1,
        "customers": manifest.rows.customers,
        "customers + 1": manifest.rows.customers + 1,
        "pairs": manifest.rows.pairs,
        "segments": len(manifest.segments),
        "categories": len(manifest.categories),
        "channels": len(manifest.channels),
        "purchase facts": 3,
    }
    for name, (dtype, dimensions) in {**COMMON, **OF_FAMILY.get(manifest.family, {})}.items():
        if name not in bundle.arrays:
            raise BundleCorruptError(manifest.version, f"{name}.npy", "is missing")
        array = bundle.arrays[name]
        fits = array.dtype.str == dtype and array.ndim == len(dimensions)
        fits = fits and all(
            lengths.setdefault(dimension, length) == length
            for dimension, length in zip(dimensions, array.shape, strict=True)
        )
        _demand(bundle, name, fits, f"is not {dtype} of ({', '.join(dimensions)})")


def _check_offsets(bundle: Bundle, name: str, of: str) -> None:
    offsets: NDArray[Any] = bundle.arrays[name]
    holds = offsets[0] == 0 and offsets[-1] == len(bundle.arrays[of]) and (np.diff(offsets) >= 0).all()
    _demand(bundle, name, bool(holds), f"does not divide {of}")


def _check_rows(bundle: Bundle, name: str, *, low: int, high: int) -> None:
    rows: NDArray[Any] = bundle.arrays[name]
    holds = not rows.size or (rows.min() >= low and rows.max() < high)
    _demand(bundle, name, bool(holds), "points at rows that do not exist")


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


def _check_catalogue(bundle: Bundle) -> None:
    try:
        ids = [item.item_id for item in bundle.catalogue()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleCorruptError(bundle.version, "catalogue.npy", f"cannot be parsed ({error})") from error
    n_items = len(bundle.items)
    in_step = tuple(ids[:n_items]) == bundle.items.ids_of(range(n_items))
    _demand(bundle, "catalogue", in_step, "does not begin with the items of item_ids, in their order")
    _demand(bundle, "catalogue", len(set(ids)) == len(ids), "names an item twice")


def _demand(bundle: Bundle, name: str, holds: bool, otherwise: str) -> None:
    if not holds:
        raise BundleCorruptError(bundle.version, f"{name}.npy", otherwise)
