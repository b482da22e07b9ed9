"""Assignment is a pure function: the reference cases, and what raising the coverage may not do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.experimentation.assignment import Allocation, LayerPlace, Variant, bucket_of, variant_ranges
from recsvc.experimentation.sample_ratio import chi2_tail

Golden = Callable[[str], Mapping[str, Any]]
HALVES = (Variant("control", 50), Variant("treatment", 50))


def test_buckets_are_those_of_the_reference(golden: Golden) -> None:
    case = golden("hash_sha256_first8_be")
    assert [bucket_of(one["salt"], one["unit"]) for one in case["inputs"]] == case["expected"]


def test_ranges_are_those_of_the_reference(golden: Golden) -> None:
    case = golden("bucket_ranges_growthbook")
    for given_, expected in zip(case["inputs"], case["expected"], strict=True):
        shares = given_["weights"] or [1 / given_["n"]] * given_["n"]
        found = [list(one) for one in variant_ranges(shares, given_["coverage"])]
        assert found == [pytest.approx(one, abs=case["tolerance"]) for one in expected]


def test_assignments_are_those_of_the_reference(golden: Golden) -> None:
    case = golden("recsvc_assign_cov1.0")
    given_ = case["inputs"]
    allocation = Allocation(
        given_["exp_salt"],
        tuple(Variant(key, 100 * share) for key, share in given_["weights"]),
        given_["coverage"],
        LayerPlace(given_["layer_salt"], given_["lo"], given_["hi"]),
    )
    for unit, expected in zip(given_["units"], case["expected"], strict=True):
        found = allocation.assign(unit)
        assert (found.layer_bucket, found.bucket, found.variant) == (
            expected["layer_bucket"],
            expected["bucket"],
            expected["variant"],
        )


@given(
    st.integers(0, 100),
    st.integers(0, 100),
    st.lists(st.integers(1, 100), min_size=1, max_size=20),
    st.text(max_size=12),
)
def test_raising_the_coverage_moves_nobody(one: int, other: int, parts: list[int], unit: str) -> None:
    low, high = sorted((one, other))
    variants = tuple(Variant(f"v{n}", 100 * part / sum(parts)) for n, part in enumerate(parts))
    before = Allocation("salt", variants, low / 100).assign(unit).variant
    assert before in (None, Allocation("salt", variants, high / 100).assign(unit).variant)


def test_at_full_coverage_every_bucket_has_a_variant() -> None:
    variants = tuple(Variant(f"v{n}", 100 / 7) for n in range(7))
    found = Counter(Allocation("s", variants).assign(f"c{n}").variant for n in range(20_000))
    assert None not in found
    assert min(found.values()) > 20_000 / 7 * 0.9


def test_two_experiments_are_independent_of_each_other() -> None:
    one, other = Allocation("one", HALVES), Allocation("other", HALVES)
    pairs = Counter((one.assign(f"c{n}").variant, other.assign(f"c{n}").variant) for n in range(40_000))
    expected = 40_000 / 4
    chi2 = sum((found - expected) ** 2 / expected for found in pairs.values())
    assert len(pairs) == 4 and chi2_tail(chi2, 3) > 0.001


def test_two_experiments_of_one_layer_share_nobody() -> None:
    one = Allocation("one", HALVES, layer=LayerPlace("home", 0, 4_000))
    other = Allocation("other", HALVES, layer=LayerPlace("home", 4_000, 10_000))
    both = [(one.assign(f"c{n}").variant, other.assign(f"c{n}").variant) for n in range(2_000)]
    assert all((first is None) != (second is None) for first, second in both)
