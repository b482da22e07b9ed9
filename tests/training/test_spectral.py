"""The spectral filter against its formula, and the singular vectors that it stands on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.training.chance import seeds_of
from recsvc.training.families import Spectral
from recsvc.training.families import singular as module
from recsvc.training.families.singular import leading_singular_vectors
from tests.training.examples import data_of


def taken(n_customers: int = 60, n_items: int = 45, seed: int = 4) -> np.ndarray:  # type: ignore[type-arg]
    """Customers of five tastes, with chance on top."""
    rng = np.random.default_rng(seed)
    tastes = rng.random((n_customers, 5)) @ rng.random((5, n_items)) ** 3
    strengths = np.where(
        rng.random(tastes.shape) < tastes / tastes.max(), rng.integers(1, 5, tastes.shape), 0
    )
    strengths[:, 0] = 1
    return strengths.astype(np.float32)


def by_formula(strengths: np.ndarray, one: Spectral) -> np.ndarray:  # type: ignore[type-arg]
    """The module's formula, written out over dense matrices in double precision."""
    customers, items = strengths.sum(axis=1), strengths.sum(axis=0)
    normalised = (
        np.diag(customers**-one.customer_exponent) @ strengths @ np.diag(items**-one.item_exponent)
    ).astype(np.float64)
    _, values, rows = np.linalg.svd(normalised, full_matrices=False)
    kept = rows[: one.n_components].T
    gain = np.diag((values[: one.n_components] / values[0]) ** one.filter_power)
    weighted = strengths @ np.diag(items**-one.history_exponent)
    return np.asarray(weighted @ kept @ gain @ kept.T @ np.diag(items**one.output_exponent))


@pytest.mark.parametrize(
    "settings",
    [
        Spectral(n_components=12),
        Spectral(n_components=5, filter_power=0.0),
        Spectral(0.4, 0.15, 0.15, -0.05, 2.0, n_components=40),
    ],
)
def test_scores_are_those_of_the_formula(settings: Spectral) -> None:
    strengths = taken()
    strengths = strengths[:, strengths.sum(axis=0) > 0]
    data = data_of(strengths)
    scale = np.float32(data.strength_scale)
    found = settings.fit(data, seed=1).score(data.strengths)
    expected = by_formula(strengths * scale, settings)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4 * float(np.abs(expected).max()))


def test_a_variation_is_the_fit_under_its_own_settings() -> None:
    data = data_of(taken())
    fitted = Spectral(n_components=32).fit(data, seed=1)
    variations = list(fitted.variations())
    assert {replace(one.family, n_components=32) != fitted.family for one in variations[:-1]} == {True}
    for varied in variations:
        again = varied.family.fit(data, seed=1).score(data.strengths)
        assert varied.score(data.strengths) == pytest.approx(again, rel=1e-3, abs=1e-4)
    assert all(one.family.filter_power >= 0 for one in variations)


def test_a_customers_vector_is_linear_in_the_history() -> None:
    data = data_of(taken())
    fitted = Spectral(n_components=8).fit(data, seed=1)
    one, other = data.strengths[3], data.strengths[7]
    together = fitted.score(csr_matrix(one + other))
    assert together == pytest.approx(fitted.score(one) + fitted.score(other), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("shape", [(300, 80), (80, 300)])
def test_a_basis_drawn_by_chance_finds_the_leading_vectors(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A falling spectrum under noise: values to a thousandth, the space of the vectors to a hundredth."""
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.standard_normal((n, 20)))[0] for n in shape)
    dense = (left * 2.0 ** -np.arange(20)) @ right.T + rng.standard_normal(shape) * 1e-5
    matrix = csr_matrix(dense.astype(np.float32))
    monkeypatch.setattr(module, "_MAX_EXACT", 0)
    monkeypatch.setattr(module, "_OVERSAMPLING", 10)
    found = leading_singular_vectors(matrix, 6, seeds_of(matrix), seed=1)
    assert found.n == 6 and found.values == pytest.approx(2.0 ** -np.arange(6), rel=1e-3)
    assert found.of_columns.T @ found.of_columns == pytest.approx(np.eye(6), abs=1e-4)
    assert np.abs(found.of_columns.T @ right[:, :6]) == pytest.approx(np.eye(6), abs=1e-2)


def test_what_is_rounding_is_no_vector() -> None:
    blocks = csr_matrix(np.kron(np.eye(3), np.ones((5, 4))).astype(np.float32))
    found = leading_singular_vectors(blocks, 10, seeds_of(blocks), seed=1)
    assert found.n == 3 and found.values == pytest.approx([np.sqrt(20)] * 3)
