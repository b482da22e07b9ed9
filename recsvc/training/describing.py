"""Describe every customer of a run. In: material. Out: profiles, portraits and segments, row for row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.profiles import ProfileArrays
from recsvc.domain.profiles import Population
from recsvc.policy import Policy
from recsvc.training.bundling import segment_popularity, segment_rows
from recsvc.training.goals import counted_for
from recsvc.training.material import Material
from recsvc.training.portraits import draw_portraits, segment_fields
from recsvc.training.profiles import CHANNELS, build_profiles


@dataclass(frozen=True, slots=True)
class Descriptions:
    """What is known of the customers. `arrays` are those of a bundle, what each segment likes among them."""

    arrays: Mapping[str, NDArray[Any]]
    population: Population | None


def describe(material: Material, policy: Policy) -> Descriptions:
    """Profiles and portraits first; then the segments, whose rules may ask for either."""
    customer_ids, until = material.matrix.customer_ids, material.window.until
    portraits = draw_portraits(material.table, customer_ids, policy, as_of=until)
    unsorted = build_profiles(
        material.table,
        customer_ids,
        category_of={item.item_id: item.category for item in material.source.items if item.category},
        categories=material.categories,
        segment_rows=np.zeros(len(customer_ids), dtype=np.int16),
        policy=policy,
        as_of=until,
    )
    known = ProfileArrays({**unsorted.arrays(), **portraits.arrays()}, material.categories, CHANNELS, until)
    fields = segment_fields(known, len(customer_ids), policy)
    segments = segment_rows(customer_ids, material.source.customers, policy, fields)
    counted = counted_for(material.kind, material.table, policy)
    popularity = segment_popularity(counted, material.matrix, segments, policy, until)
    return Descriptions(
        {
            **replace(unsorted, segment_rows=segments).arrays(),
            **portraits.arrays(),
            "segment_popularity": popularity,
        },
        portraits.population,
    )
