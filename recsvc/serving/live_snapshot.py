"""What a bundle knows of what was live when it was trained. In: a bundle. Out: a live model, a live state."""

from __future__ import annotations

from dataclasses import replace

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.manifest import Manifest
from recsvc.live.scoring import PARTS, LiveModel
from recsvc.live.state import Bounds, LiveState, Snapshot


def live_model_of(manifest: Manifest) -> LiveModel | None:
    """The half-lives and weights that a replay chose; None where it chose that nothing live counts."""
    live = manifest.live
    if live is None:
        return None
    weights = tuple(live.weights[name] for name in PARTS)
    return LiveModel(live.half_life_days, live.long_half_life_days, weights)


def opened_state(bundle: Bundle, bounds: Bounds) -> LiveState:
    """The live state as it was at the end of the training, for a bundle that has a live model.

    Its half-lives stand as `HalfLives(0, 1)`. It has room for the items of the bundle and `bounds.n_items`
    more, and for no more customers than `bounds` says. Takes 25 ms of CPU with 3,000 items, 45 with 100,000,
    where 10,000 customers had 50,000 meetings: there are never more of these.

    Raises:
        ValueError: `live_model_of` says that there is none.
    """
    model = live_model_of(bundle.manifest)
    if model is None:
        raise ValueError(f"bundle {bundle.version} was trained without live parts, so it has no live state")
    return LiveState.restored(
        (model.half_life_days, model.long_half_life_days),
        replace(bounds, n_items=len(bundle.items) + bounds.n_items),
        snapshot_of(bundle),
        bundle.items.ids_of(range(len(bundle.items))),
        bundle.customers.id_of,
    )


def snapshot_of(bundle: Bundle) -> Snapshot:
    """The live arrays of a bundle, by its rows. Raises KeyError where it has none."""
    arrays = bundle.arrays
    return Snapshot(
        log_counts=arrays["live_log_counts"],
        firsts=arrays["live_firsts"],
        lasts=arrays["live_lasts"],
        n_met=arrays["live_met"],
        customers=arrays["live_meeting_customers"],
        items=arrays["live_meeting_items"],
        seconds=arrays["live_meeting_seconds"],
    )
