"""For how long an offer stays away after a no. In: an offer, the no. Out: until when."""

from __future__ import annotations

from datetime import datetime, timedelta

from recsvc.domain.items import Item
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.objections import Refusal

_DISMISS = "dismiss"


def barred_until(offer: Item, said: Refusal, policy: OffersPolicy) -> datetime | None:
    """When the offer may come again; None: not while the no is all that is known.

    A dismissal bars for its days, every other no, a complaint included, for those of a rejection. Of a no
    that only the model remembers nobody knows the time.
    """
    if said.at is None:
        return None
    own = offer.offer_terms.suppression
    if said.type == _DISMISS:
        days = own.dismissed_days if own and own.dismissed_days is not None else policy.dismissed_days
    else:
        days = own.rejected_days if own and own.rejected_days is not None else policy.rejected_days
    return said.at + timedelta(days=days)
