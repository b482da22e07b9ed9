"""Who is in which variant. In: an allocation, a customer. Out: a variant or none, always the same.

A pure function of two salts and the customer: nothing is stored, so nothing can be lost. A layer gives each
of its experiments a range of its buckets; within the experiment a second, independent bucket picks the
variant. Each variant owns a range that begins where the weights before it end and is filled from its
beginning, so raising the coverage moves nobody who is in already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

N_BUCKETS = 10_000


def bucket_of(salt: str, unit: str) -> int:
    """The bucket of a unit, 0 to 9,999: the first eight bytes of SHA-256 over salt, dot and unit."""
    digest = hashlib.sha256(f"{salt}.{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % N_BUCKETS


def variant_ranges(shares: Sequence[float], coverage: float) -> tuple[tuple[float, float], ...]:
    """Of variants with these shares of 1, the part of 0 to 1 that each owns at a coverage of 0 to 1."""
    starts = accumulate(shares, initial=0.0)
    return tuple((start, start + coverage * share) for start, share in zip(starts, shares, strict=False))


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """The buckets of a layer, of 0 to 9,999, that an experiment has: from `low` on, before `high`."""

    salt: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the things that are compared. `weight` is in percent."""

    key: str
    weight: float


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a customer fell. `bucket` is None outside the experiment's place in its layer."""

    variant: str | None
    bucket: int | None
    layer_bucket: int | None


@dataclass(frozen=True, slots=True)
class Allocation:
    """How customers are dealt to variants. The weights sum to 100; `coverage` is 0 to 1."""

    salt: str
    variants: tuple[Variant, ...]
    coverage: float = 1.0
    layer: LayerPlace | None = None
    _bounds: tuple[tuple[float, float, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ranges = variant_ranges([one.weight / 100 for one in self.variants], self.coverage)
        # Rounded, so that a sum such as 0.1 + 0.2 leaves no bucket between two variants.
        bounds = tuple(
            (round(low * N_BUCKETS, 6), round(high * N_BUCKETS, 6), variant.key)
            for variant, (low, high) in zip(self.variants, ranges, strict=True)
        )
        object.__setattr__(self, "_bounds", bounds)  # Once, and not for every customer.

    def assign(self, unit: str) -> Assignment:
        """The variant of a unit, which is the canonical customer."""
        layer_bucket = None
        if self.layer is not None:
            layer_bucket = bucket_of(self.layer.salt, unit)
            if not self.layer.low <= layer_bucket < self.layer.high:
                return Assignment(None, None, layer_bucket)
        bucket = bucket_of(self.salt, unit)
        return Assignment(self._variant_at(bucket), bucket, layer_bucket)

    def _variant_at(self, bucket: int) -> str | None:
        for low, high, key in self._bounds:
            if low <= bucket < high:
                return key
        return None
