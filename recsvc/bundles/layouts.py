"""Which arrays a bundle is made of. In: the families that it names. Out: type and dimensions of every array.

What is in every bundle, what each family adds, and what may be there or not, as tables: whoever adds an
array adds a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recsvc.bundles.features import array_of

Layout = Mapping[str, tuple[str, tuple[str, ...]]]
"""By array: numpy dtype, and the name of each dimension. Dimensions of one name are of one length, and
`X + 1` is one longer than `X`."""

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

CATALOGUE: Layout = {
    "catalogue_offsets": ("<i8", ("catalogue items + 1",)),
    "catalogue_columns": ("<i8", ("catalogue items", "item columns")),
}
"""What leads into the catalogue. Format 2 has none of it: there the catalogue is one list."""


def _folded_in_by_ridge(family: str) -> Layout:
    return {
        f"{family}_item_factors": ("<f4", ("items", f"{family} factors")),
        f"{family}_gram": ("<f4", (f"{family} factors", f"{family} factors")),
    }


def _proposing(name: str) -> Layout:
    return {
        f"{name}_items": ("<i4", ("items", f"{name} proposals")),
        f"{name}_scores": ("<f4", ("items", f"{name} proposals")),
    }


RIDGE_FAMILIES = ("als", "bpr", "lmf")
SIMILARITY_FAMILIES = ("neighbours", "cooccurrence")
FACTOR_FAMILIES = (*RIDGE_FAMILIES, "spectral")

OF_FAMILY: Mapping[str, Layout] = {
    **{family: _folded_in_by_ridge(family) for family in RIDGE_FAMILIES},
    **{family: _proposing(family) for family in SIMILARITY_FAMILIES},
    "spectral": {
        "spectral_item_factors": ("<f4", ("items", "spectral factors")),
        "spectral_fold_in": ("<f4", ("items",)),
        "spectral_gram": ("<f4", ("spectral factors", "spectral factors")),
    },
    "ease": {"ease_weights": ("<f4", ("items", "items"))},
    "popularity": {},
}

PROPOSALS = _proposing("proposal")


def _scanned(family: str) -> Layout:
    """The rows by falling norm of their factors, and these once more in that order."""
    return {"scan_rows": ("<i4", ("items",)), "scan_factors": ("<f4", ("items", f"{family} factors"))}


FEATURES: Layout = {
    "feature_names_text": ("|u1", ("feature name bytes",)),
    "feature_names_offsets": ("<i8", ("features + 1",)),
}

LIVE: Layout = {
    "live_log_counts": ("<f8", ("items", "live half-lives")),
    "live_firsts": ("<f8", ("items",)),
    "live_lasts": ("<f8", ("items",)),
    "live_met": ("<i8", ("items",)),
    "live_meeting_customers": ("<i4", ("live meetings",)),
    "live_meeting_items": ("<i4", ("live meetings",)),
    "live_meeting_seconds": ("<f8", ("live meetings",)),
}
"""What `recsvc.live` calls a snapshot, by the bundle's rows."""
LIVE_PARTS = (
    "popularity",
    "long_popularity",
    "newness",
    "recency",
    "neighbours",
    "passed_over",
    "depth",
    "taste",
)
"""The live parts that this release can weigh."""
LIVE_NEVER_NEGATIVE = frozenset({"popularity", "long_popularity", "recency", "neighbours", "taste"})
"""Those that a meeting raises: weighed below 0 they would lower an item for being met."""


PROPENSITY: Layout = {
    "propensity_trees": ("<i8", ("propensity trees + 1",)),
    "propensity_feature": ("<i4", ("propensity nodes",)),
    "propensity_threshold": ("<f8", ("propensity nodes",)),
    "propensity_left": ("<i4", ("propensity nodes",)),
    "propensity_right": ("<i4", ("propensity nodes",)),
    "propensity_missing_left": ("|u1", ("propensity nodes",)),
    "propensity_value": ("<f8", ("propensity nodes",)),
    "propensity_calibration": ("<f8", ("calibration facts",)),
}
"""Boosted trees. `propensity_trees` divides the nodes; `left` and `right` count within all nodes, and a leaf
has -1 for both and for its feature. A number goes left if it is no more than the threshold, a missing one as
`missing_left` says. The calibration is a slope and an intercept for the sum of values."""


def layout_of(families: Sequence[str]) -> Layout:
    """The arrays that a model of these families must have. Raises KeyError for an unknown family."""
    return {**COMMON, **{name: facts for one in families for name, facts in OF_FAMILY[one].items()}}


def optional_layouts(families: Sequence[str]) -> tuple[Layout, ...]:
    """Groups of arrays that a model of these families may have: of each group all, or none."""
    of_factors = {
        array_of(one): ("<f4", ("features", f"{one} factors")) for one in families if one in FACTOR_FAMILIES
    }
    return (
        CATALOGUE,
        PROPOSALS,
        *([_scanned(families[0])] if len(families) == 1 and families[0] in FACTOR_FAMILIES else []),
        {**FEATURES, **of_factors},
        LIVE,
        PROPENSITY,
    )
