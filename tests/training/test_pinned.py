"""Settings that somebody fixed are never moved by the search; the others are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.training.families import families_named
from recsvc.training.families.base import Family, TrainingData
from recsvc.training.families.pinned import FIELDS, Pinned, pinned

GIVEN: dict[str, Any] = {"factors": 20, "iterations": 7, "regularization": 5.0, "alpha": 9.0}


@pytest.fixture
def data() -> TrainingData:
    rng = np.random.default_rng(1)
    strengths = csr_matrix((rng.random((90, 60)) < 0.2).astype(np.float32))
    return TrainingData(
        strengths, 1.0, np.ones(60, dtype=np.float32), np.bincount(strengths.indices, minlength=60)
    )


def values(family: Family) -> dict[str, Any]:
    assert isinstance(family, Pinned)
    return {name: getattr(family.family, name) for name, _ in family.fields}


@pytest.mark.parametrize("name", FIELDS)
def test_whatever_the_search_tries_keeps_what_was_fixed(name: str, data: TrainingData) -> None:
    (family,) = families_named((name,))
    given = {setting: GIVEN[setting] for setting in FIELDS[name]}
    fixed = pinned(family, given)
    assert fixed.name == name
    tried = [fixed, *fixed.settings(data)]
    tried += [one.reduced() for one in tried]
    assert {tuple(values(one).values()) for one in tried} == {tuple(given.values())}


def test_what_was_not_fixed_is_searched(data: TrainingData) -> None:
    (als,) = families_named(("als",))
    free = pinned(als, {"factors": 20}).settings(data)
    assert len(free) > 3
    assert len(pinned(als, GIVEN).settings(data)) == 1


def test_a_fit_varies_only_in_what_was_not_fixed(data: TrainingData) -> None:
    (spectral,) = families_named(("spectral",))
    fitted = pinned(spectral, {"factors": 32}).fit(data, seed=1)
    varied = list(fitted.variations())
    assert len(varied) > 3
    assert {one.parameters["n_components"] for one in varied} == {fitted.parameters["n_components"]}
    unfixed = {one.parameters["n_components"] for one in spectral.fit(data, seed=1).variations()}
    assert len(unfixed) > 1


def test_a_fit_says_what_another_fit_would_give_again(data: TrainingData) -> None:
    (als,) = families_named(("als",))
    fitted = pinned(als, GIVEN).fit(data, seed=1)
    again = fitted.family.fit(data, seed=1)
    assert fitted.parameters == again.parameters
    assert fitted.parameters["n_factors"] == 20
    np.testing.assert_array_equal(fitted.score(data.strengths[:3]), again.score(data.strengths[:3]))


def test_ease_takes_its_ridge_as_it_is_given(data: TrainingData) -> None:
    (ease,) = families_named(("ease",))
    assert pinned(ease, {"regularization": 5.0}).fit(data, seed=1).parameters["regularization"] == 5.0


def test_nothing_fixed_is_the_family_itself() -> None:
    (als,) = families_named(("als",))
    assert pinned(als, {}) is als
