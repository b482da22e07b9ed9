"""From facts to the numbers of a customer that a propensity model compares. In: facts, a plan. Out: numbers.

Training and serving both ask here. NaN is what is not known: trees have a side for it. Numbers are of three
sorts: of the customer alone, of an offer alone (`propensity_offers`; the same for everybody, so that they
are made once), and of the two together (`propensity_pairs`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

from recsvc.bundles.propensity import AttributePlan, PropensityPlan
from recsvc.domain.items import AttributeValue, Channel
from recsvc.domain.propensity import DAY, PropensityFacts

NAN = math.nan
CHANNELS = tuple(Channel)
WINDOWS_DAYS = (7, 30, 90)

OF_CUSTOMER = (
    "channel",
    "observed_days",
    "purchases",
    "purchases_a_day",
    "spent_a_day",
    "mean_amount",
    "median_amount",
    "least_amount",
    "most_amount",
    "deviation_of_amounts",
    "days_since_purchase",
    *(f"{figure}_in_{days}_days" for days in WINDOWS_DAYS for figure in ("purchases", "spent")),
    "sent",
    "viewed_share",
    "responded_share",
    "open",
    "days_since_sent",
    "days_since_responded",
)
RATES = ("offer_rate", "offer_viewed_rate", "offer_sendings", "category_rate")
OF_OFFER = (
    "value",
    "threshold",
    "value_of_threshold",
    "duration_days",
    "risk_class",
    "channels",
    *(f"on_{channel.value}" for channel in CHANNELS),
    *RATES,
)
OF_BOTH = (
    "days_left",
    "spending_to_threshold",
    "purchases_expected",
    "purchases_to_threshold",
    "share_over_threshold",
    "category_sent",
    "category_viewed_share",
    "category_responded_share",
    "own_sent",
    "own_responded_share",
    "days_since_own_sent",
    "own_open",
)


def feature_names(plan: PropensityPlan) -> tuple[str, ...]:
    """The names of all numbers, in their order: of the customer, of the offer, of both."""
    of_attributes = [name for one in plan.attributes for name in _attribute_names(one)]
    of_categories = [f"category:{category}" for category in plan.categories]
    return (*OF_CUSTOMER, *of_attributes, *OF_OFFER, *of_categories, *OF_BOTH)


def n_of_customer(plan: PropensityPlan) -> int:
    """How many of the numbers are of the customer alone: the first ones."""
    return len(OF_CUSTOMER) + sum(len(_attribute_names(one)) for one in plan.attributes)


def _attribute_names(plan: AttributePlan) -> Sequence[str]:
    if plan.kind == "words":
        return [f"attribute:{plan.name}={word}" for word in plan.words]
    return [f"attribute:{plan.name}"]


def customer_values(facts: PropensityFacts, channel: Channel | None, plan: PropensityPlan) -> list[float]:
    """The numbers of the customer alone."""
    amounts = sorted(amount for amount in facts.purchase_amounts if amount is not None)
    n, total, days = len(facts.purchase_days), math.fsum(amounts), facts.observed_days
    mean = total / len(amounts) if amounts else NAN
    return [
        NAN if channel is None else float(CHANNELS.index(channel)),
        days,
        float(n),
        n / days if days else NAN,
        total / days if days else NAN,
        mean,
        median(amounts) if amounts else NAN,
        amounts[0] if amounts else NAN,
        amounts[-1] if amounts else NAN,
        math.sqrt(sum((one - mean) ** 2 for one in amounts) / len(amounts)) if len(amounts) > 1 else NAN,
        facts.purchase_days[-1] if n else NAN,
        *(number for window in WINDOWS_DAYS for number in _spent_within(facts, window)),
        *_response_values(facts),
        *(number for one in plan.attributes for number in _attribute_values(one, facts, plan.until)),
    ]


def _spent_within(facts: PropensityFacts, days: float) -> tuple[float, float]:
    """Purchases and money of the last days; missing where less than that was observed."""
    if facts.observed_days < days:
        return NAN, NAN
    known = zip(facts.purchase_days, facts.purchase_amounts, strict=True)
    within = [amount or 0.0 for ago, amount in known if ago <= days]
    return float(len(within)), math.fsum(within)


def _response_values(facts: PropensityFacts) -> tuple[float, ...]:
    sendings, now = facts.sendings, facts.as_of
    n = len(sendings)
    responses = [one.responded_at for one in sendings if one.responded_at is not None]
    return (
        float(n),
        sum(one.viewed_at is not None for one in sendings) / n if n else NAN,
        len(responses) / n if n else NAN,
        float(sum(one.is_open_at(now) for one in sendings)),
        (now - sendings[-1].sent_at) / DAY if n else NAN,
        (now - max(responses)) / DAY if responses else NAN,
    )


def _attribute_values(plan: AttributePlan, facts: PropensityFacts, until: datetime) -> Sequence[float]:
    value = facts.attributes.get(plan.name)
    if plan.kind == "words":
        known = isinstance(value, str)
        return [float(value == word) if known else NAN for word in plan.words]
    if plan.kind == "date":
        day = date_of(value)
        return [NAN if day is None else (until - day) / DAY]
    is_of_kind = isinstance(value, bool) == (plan.kind == "flag")
    return [float(value) if is_of_kind and isinstance(value, int | float) else NAN]


def date_of(value: AttributeValue) -> datetime | None:
    """The moment that a text names; a day begins at midnight UTC. None for what is none."""
    if not isinstance(value, str) or len(value) < 8:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
