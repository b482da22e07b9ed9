"""Offers on lists that are nobody's own. In: a table of offers, the policy. Out: those that anybody may see.

Nobody was assessed, asked or counted there. So no offer is among them that carries risk, has a target
market or a rule, is bound to a placement or a country, or whose contacts are counted; nor one that a ban
could forbid, or whose disclosures have no text in the locale.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from recsvc.domain.items import Channel
from recsvc.domain.slates import ANONYMOUS
from recsvc.policy import Policy
from recsvc.serving.offers.facts import CustomerFacts, Facts, ListFacts
from recsvc.serving.offers.gates import OPEN, refused_by
from recsvc.serving.offers.table import OfferTable

_NO_PLACEMENT = ""


def open_to_anybody(
    table: OfferTable, policy: Policy, *, channel: Channel, locale: str, now: datetime
) -> frozenset[str]:
    """The offers that anybody may see on the channel, by id."""
    facts = Facts(
        decision_id="",
        now=now,
        customer=CustomerFacts(ANONYMOUS, may_market=True),  # Consent is asked of those whom a list is for.
        asked=ListFacts(1, channel, _NO_PLACEMENT, locale),
        lists=policy.lists,
        policy_version=policy.version,
    )
    is_open = (refused_by(table, facts, policy.offers) == OPEN) & ~table.with_market & ~table.with_counts
    return frozenset(table.ids[row] for row in np.flatnonzero(is_open).tolist())
