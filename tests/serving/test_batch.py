"""Many customers at once get what each would have got alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundles.bundle import Bundle
from recsvc.serving.scoring import best_of_many, make_scorer, make_shortlist, score_many
from recsvc.serving.scoring.parts import OpenRows

from .made_bundles import blend_of_many_items, history_of

N_ITEMS = 3_000
drawn_histories = st.lists(
    st.dictionaries(st.integers(0, N_ITEMS - 1), st.floats(0.25, 4, width=32), min_size=1, max_size=8),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def blend() -> Callable[[], Bundle]:
    """For tests of drawn histories, which would print whatever they are given."""
    bundle = blend_of_many_items(N_ITEMS, n_proposals=99)
    return lambda: bundle


def alone(bundle: Bundle, place: int) -> Bundle:
    return replace(bundle, manifest=replace(bundle.manifest, parts=(bundle.manifest.parts[place],)))


@settings(deadline=None, max_examples=25)
@given(drawn=drawn_histories, place=st.sampled_from([None, 0, 1, 2, 3]))
def test_scores_of_many_are_the_scores_of_each(
    blend: Callable[[], Bundle], drawn: list[dict[int, float]], place: int | None
) -> None:
    bundle = blend() if place is None else alone(blend(), place)
    scorer = make_scorer(bundle)
    histories = [history_of(one, N_ITEMS) for one in drawn]
    each = np.stack([scorer.score(history) for history in histories])
    np.testing.assert_allclose(score_many(scorer, histories), each, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(drawn=drawn_histories, is_shortlisted=st.booleans())
def test_the_best_of_many_are_the_best_of_each(
    blend: Callable[[], Bundle], drawn: list[dict[int, float]], is_shortlisted: bool
) -> None:
    scorer = make_scorer(blend())
    shortlist = make_shortlist(blend(), scorer) if is_shortlisted else None
    rows = np.arange(N_ITEMS, dtype=np.int32)
    histories = [history_of(one, N_ITEMS) for one in drawn]
    open_rows = [OpenRows(rows[::2], history.item_rows, N_ITEMS) for history in histories]
    together = best_of_many(scorer, shortlist, histories, open_rows, 20)
    for history, its, (found, scores) in zip(histories, open_rows, together, strict=True):
        ((expected, wanted),) = best_of_many(scorer, shortlist, [history], [its], 20)
        np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-4)
        of_all = scorer.score(history)
        np.testing.assert_allclose(of_all[found], scores, rtol=1e-4, atol=1e-4)
        assert len(found) == len(expected) and np.isin(found, its.all).all()
        clear = expected[wanted > wanted[-1] + 1e-3] if len(wanted) else expected
        assert np.isin(clear, found).all()
