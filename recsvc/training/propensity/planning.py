"""What a propensity model will ask of customers. In: customers, offers. Out: a plan of attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from recsvc.bundles.propensity import AttributePlan, OfferRecord, PropensityPlan
from recsvc.bundles.propensity_features import date_of
from recsvc.domain.items import AttributeValue, Item
from recsvc.domain.propensity import PropensityRules

MOST_ATTRIBUTES = 40
MOST_WORDS = 12
MOST_CATEGORIES = 20
LEAST_CUSTOMERS = 30
"""A word that fewer customers have is asked for by nobody: it would learn little, and name them."""
_NEARLY_ALL = 0.95

Values = Sequence[AttributeValue]


def plan_model(
    rules: PropensityRules,
    window: tuple[datetime, datetime],
    attributes: Iterable[Mapping[str, AttributeValue]],
    items: Sequence[Item],
    offers: Mapping[str, OfferRecord],
) -> PropensityPlan:
    """The plan by the time seen, the attributes of the customers who were sent an offer, and the offers."""
    categories = Counter(item.category for item in items if item.category)
    return PropensityPlan(
        rules=rules,
        since=window[0],
        until=window[1],
        attributes=plan_attributes(attributes),
        categories=tuple(sorted(name for name, _ in categories.most_common(MOST_CATEGORIES))),
        offers=offers,
    )


def plan_attributes(attributes: Iterable[Mapping[str, AttributeValue]]) -> tuple[AttributePlan, ...]:
    """How each attribute becomes numbers, the most common ones first, then by name."""
    values: dict[str, list[AttributeValue]] = {}
    for one in attributes:
        for name, value in one.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    common = sorted(values, key=lambda name: (-len(values[name]), name))
    plans = [_plan(name, values[name]) for name in common if len(values[name]) >= LEAST_CUSTOMERS]
    return tuple(plan for plan in plans if plan is not None)[:MOST_ATTRIBUTES]


def _plan(name: str, values: Values) -> AttributePlan | None:
    """None where the attribute tells nobody apart, or holds now this and now that."""
    if _share(isinstance(one, bool) for one in values) >= _NEARLY_ALL:
        return AttributePlan(name, "flag")
    if _share(isinstance(one, int | float) and not isinstance(one, bool) for one in values) >= _NEARLY_ALL:
        return AttributePlan(name, "number")
    texts = [one for one in values if isinstance(one, str)]
    if len(texts) < _NEARLY_ALL * len(values):
        return None
    if _share(date_of(one) is not None for one in texts) >= _NEARLY_ALL:
        return AttributePlan(name, "date")
    counts = Counter(texts)
    words = sorted(word for word, n in counts.most_common(MOST_WORDS) if n >= LEAST_CUSTOMERS)
    return AttributePlan(name, "words", tuple(words)) if words else None


def _share(holds: Iterable[bool]) -> float:
    listed = list(holds)
    return sum(listed) / len(listed)
