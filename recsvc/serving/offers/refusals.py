"""For how long an offer stays away after a no. In: an offer, the no. Out: until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from recsvc.domain.items import Item
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.objections import Refusal

_DISMISS = "dismiss"


def barred_until(offer: Item, refusals: Sequence[Refusal], policy: OffersPolicy) -> datetime | None:
    """When the offer may come again after all of them; None: not while they are all that is known.

    A dismissal bars for its days, every other no, a complaint included, for those of a rejection. Of a no
    that only the model remembers nobody knows the time.
    """
    ends = [None if one.at is None else one.at + _patience(offer, one, policy) for one in refusals]
    known = [end for end in ends if end is not None]
    return max(known) if len(known) == len(ends) else None


def _patience(offer: Item, said: Refusal, policy: OffersPolicy) -> timedelta:
    own = offer.offer_terms.suppression
    if said.type == _DISMISS:
        days = own.dismissed_days if own and own.dismissed_days is not None else policy.dismissed_days
    else:
        days = own.rejected_days if own and own.rejected_days is not None else policy.rejected_days
    return timedelta(days=days)
