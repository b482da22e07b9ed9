"""What was live at the end of the training is live when its bundle is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.layouts import LIVE
from recsvc.bundles.opening import open_bundle
from recsvc.live.scoring import PARTS, SHORTLIST_LENGTH, shortlist
from recsvc.live.state import SECONDS_A_DAY, Bounds
from recsvc.sample_bank import SampleBank
from recsvc.serving.live_snapshot import live_model_of, opened_state

from ..small_bank import Arrays, publish_changed

BOUNDS = Bounds(n_items=3, n_customers=400, n_readers=8, n_recent=20)
NONE = np.empty(0, np.int64)


@pytest.fixture
def bundle(published: tuple[Path, Path]) -> Bundle:
    return open_bundle(published[0])


def test_the_model_is_what_the_replay_chose(bundle: Bundle) -> None:
    live, model = bundle.manifest.live, live_model_of(bundle.manifest)
    assert live is not None and model is not None
    assert dict(zip(PARTS, model.weights, strict=True)) == live.weights
    assert (model.half_life_days, model.long_half_life_days) == (
        live.half_life_days,
        live.long_half_life_days,
    )


def test_the_state_counts_the_items_of_the_bundle_as_they_were(
    bundle: Bundle, bank_in_small: SampleBank
) -> None:
    state = opened_state(bundle, BOUNDS)
    assert tuple(state.item_ids) == bundle.items.ids_of(range(len(bundle.items)))
    at = state.latest
    for place, days in enumerate(state.half_lives_days):
        counts = bundle.arrays["live_log_counts"][:, place] - at / (days * SECONDS_A_DAY)
        assert state.log_counts(place, at) == pytest.approx(counts, abs=1e-9)
    last = bundle.manifest.data_window.until
    assert last is not None and 0 <= last.timestamp() - at < SECONDS_A_DAY
    assert state.n_customers == len(np.unique(bundle.arrays["live_meeting_customers"]))


def test_it_has_room_for_new_items_and_goes_on_from_there(bundle: Bundle) -> None:
    state = opened_state(bundle, BOUNDS)
    n_items, at = state.n_items, state.latest + 60.0
    for number in range(BOUNDS.n_items):
        for reader in range(9):
            state.record(f"reader-{reader}", f"new-{number}", at)
    assert state.n_items == n_items + BOUNDS.n_items
    rows = shortlist(state, NONE, 0, at)
    assert set(rows[:3].tolist()) == {n_items, n_items + 1, n_items + 2}
    assert len(rows) == SHORTLIST_LENGTH


def test_a_bundle_without_live_parts_has_neither(shelf: tuple[Path, Path]) -> None:
    def drop(arrays: Arrays) -> None:
        for name in LIVE:
            del arrays[name]

    bundle = open_bundle(publish_changed(shelf[0], drop, {"live": None}))
    assert live_model_of(bundle.manifest) is None
    with pytest.raises(ValueError, match="without live parts"):
        opened_state(bundle, BOUNDS)
