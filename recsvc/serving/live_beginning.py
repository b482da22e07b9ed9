"""Begin a live state. In: a model or none, the stores. Out: a state at the place from which to follow.

What came before that place is in the model's snapshot, or too long ago. Who was erased since the model was
trained, and who refuses now, is left out of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recsvc.bundles.bundle import Bundle
from recsvc.live.state import Bounds, LiveState
from recsvc.serving.live_follower import Follower, LiveSources, Trained, place_of
from recsvc.serving.live_snapshot import live_model_of, opened_state, snapshot_of
from recsvc.serving.verification import Model

HALF_LIVES_DAYS = (0.25, 7.0)
"""Those of a state that belongs to no model: for what is popular now and what was lately."""

_SKEW = timedelta(hours=1)  # By so much the clocks of those who take events in may differ.


def begin_state(sources: LiveSources, model: Model | None, bounds: Bounds, n_last: int) -> Follower:
    """The state of the model, or of the store alone, with what to read next: the last `n_last` meetings.

    Raises StoreError.
    """
    # Who is erased or withdraws from here on is found by whoever follows.
    places = sources.places()
    start = _start(sources, model, n_last)
    if model is None or state_version(model) is None:
        state = LiveState(HALF_LIVES_DAYS, bounds)
        return Follower(sources, state, start=start, places=places)
    state = opened_state(model.bundle, bounds)
    trained = _trained(model.bundle)
    follower = Follower(sources, state, start=start, places=places, trained=trained)
    known, made_at = set(state.customer_ids()), model.bundle.manifest.created_at
    erased = sources.erasures.erased_among(known)
    state.forget({one for one, erased_at in erased.items() if erased_at >= made_at})
    follower.leave_out(sources.refusing(known))
    return follower


def state_version(model: Model | None) -> str | None:
    """The version of a model that has a live state of its own."""
    if model is None or live_model_of(model.bundle.manifest) is None:
        return None
    return model.version


def _start(sources: LiveSources, model: Model | None, n_last: int) -> int:
    """Where to begin to read."""
    place = 0
    if model is not None and state_version(model) is not None:
        place = place_of(sources.tail, model.bundle.manifest.created_at - _SKEW)
    return sources.tail.start_of_last(n_last, sources.types, after=place)


def _trained(bundle: Bundle) -> Trained | None:
    """What the snapshot of a bundle holds; None where its events had no times."""
    until, meetings = bundle.manifest.data_window.until, snapshot_of(bundle).seconds
    if until is None:
        return None
    since = datetime.fromtimestamp(meetings[0], UTC) if len(meetings) else until
    return Trained(since, until, bundle.manifest.created_at)
