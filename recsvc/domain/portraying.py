"""Draw one customer's profile. In: their whole history, the items, a population. Out: a `CustomerProfile`.

Training draws all customers at once by the same rules (`training.portraits`); a test holds the two together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from recsvc.domain.interactions import Interaction, decay_weight
from recsvc.domain.items import Item
from recsvc.domain.lifetime import Purchases
from recsvc.domain.profiles import Answer, CustomerProfile, Journey, Population
from recsvc.domain.rfm import Edges, quintile_score
from recsvc.domain.rhythm import Rhythm, lifecycle_of
from recsvc.domain.surveys import SURVEYS
from recsvc.policy import Policy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_STAGES = tuple(Journey)


def draw_profile(
    customer_id: str,
    history: Iterable[Interaction],
    *,
    item_of: Callable[[str], Item | None],
    policy: Policy,
    population: Population | None,
    as_of: datetime,
) -> CustomerProfile:
    """The profile as of a moment; a population of None leaves out what is measured by it."""
    sums = _Sums(policy, item_of, as_of)
    for interaction in history:
        sums.add(interaction)
    recency = None if sums.last_positive is None else _days(as_of - sums.last_positive)
    recency_edges, frequency_edges, monetary_edges = _edges(population)
    rhythm = sums.rhythm(population) if population else None
    return CustomerProfile(
        customer_id=customer_id,
        as_of=as_of,
        recency_days=recency,
        frequency=sums.frequency,
        monetary_value=sums.value,
        category_affinity=_shares(sums.by_category),
        channel_share=_shares(sums.by_channel),
        recency_score=score_of(None if recency is None else -recency, recency_edges),
        frequency_score=score_of(sums.frequency, frequency_edges),
        monetary_score=score_of(round(sums.value, 2), monetary_edges),
        lifecycle=lifecycle_of(rhythm, population.gap_days, policy.portraits)
        if rhythm and population
        else None,
        journey=_STAGES[sums.journey] if sums.journey >= 0 else None,
        purchases=purchases_of(sums.purchase_days, day_of(as_of)),
        tag_affinity=_shares(sums.by_tag),
        hour_share=_shares(sums.by_hour),
        currencies=tuple(sorted(sums.currencies)),
        answers={name: sums.answers[name] for name in SURVEYS if name in sums.answers},
    )


def _edges(population: Population | None) -> tuple[Edges, Edges, Edges]:
    if population is None:
        return (), (), ()
    return population.recency_edges, population.frequency_edges, population.monetary_edges


def score_of(figure: float | None, edges: Edges) -> int | None:
    """The quintile score; None where there is no figure, or nobody to measure it by."""
    if figure is None or all(edge is None for edge in edges):
        return None
    return quintile_score(figure, edges)


def purchases_of(days: set[int], today: int) -> Purchases | None:
    """Purchases for the model of lifetimes, in whole days: what was bought on one day counts once."""
    if not days:
        return None
    first, last = min(days), max(days)
    return Purchases(len(days) - 1, last - first, max(today, last) - first)


def journey_rows(policy: Policy) -> Mapping[str, int]:
    """How far on the journey each interaction type shows a customer to be."""
    return {
        name: _STAGES.index(Journey(stage))
        for stage, names in policy.portraits.journey.items()
        for name in names
    }


def day_of(moment: datetime) -> int:
    """The day (UTC), counted from 1970."""
    return (moment - _EPOCH) // _DAY


@dataclass(slots=True)
class _Sums:
    """What a history adds up to, one interaction after the other, in any order."""

    policy: Policy
    item_of: Callable[[str], Item | None]
    as_of: datetime
    last_positive: datetime | None = None
    frequency: int = 0
    value: float = 0.0
    currencies: set[str] = field(default_factory=set)
    first_visit: datetime | None = None
    last_visit: datetime | None = None
    visit_days: set[int] = field(default_factory=set)
    purchase_days: set[int] = field(default_factory=set)
    journey: int = -1
    by_category: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    by_tag: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    by_channel: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    by_hour: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    answers: dict[str, Answer] = field(default_factory=dict)
    _stages: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._stages = journey_rows(self.policy)

    def add(self, one: Interaction) -> None:
        """Count one interaction."""
        rule, moment = self.policy.portraits, one.occurred_at
        if one.type not in rule.passive:
            self.first_visit = min(self.first_visit or moment, moment)
            self.last_visit = max(self.last_visit or moment, moment)
            self.visit_days.add(day_of(moment))
        if one.type in rule.purchases:
            self.purchase_days.add(day_of(moment))
        if _days(self.as_of - moment) <= rule.journey_days:
            self.journey = max(self.journey, self._stages.get(one.type, -1))
        if one.type in SURVEYS and one.score is not None:
            former = self.answers.get(one.type)
            if former is None or moment >= former.answered_at:
                self.answers[one.type] = Answer(one.score, one.scale, moment)
        strength = self.policy.interaction_types[one.type].strength if self._is_known(one) else 0.0
        if strength > 0:
            self._add_positive(one, strength)

    def rhythm(self, population: Population) -> Rhythm | None:
        """When the customer came; None of one who never did."""
        if self.first_visit is None or self.last_visit is None:
            return None
        return Rhythm(
            n_visits=len(self.visit_days),
            span_days=max(self.visit_days) - min(self.visit_days),
            known_days=_days(self.as_of - self.first_visit),
            silent_days=_days(self.as_of - self.last_visit),
            watched_days=_days(self.first_visit - (population.since or self.first_visit)),
        )

    def _is_known(self, one: Interaction) -> bool:
        return one.type in self.policy.interaction_types

    def _add_positive(self, one: Interaction, strength: float) -> None:
        decay = self.policy.decay
        age = _days(self.as_of - one.occurred_at)
        weight = strength * max(decay_weight(age, decay.half_life_days), decay.floor)
        self.last_positive = max(self.last_positive or one.occurred_at, one.occurred_at)
        self.frequency += 1
        if one.value is not None:
            self.value += float(one.value)
            self.currencies.update([one.currency] if one.currency else [])
        if one.channel is not None:
            self.by_channel[one.channel.value] += weight
        self.by_hour[f"{one.occurred_at.astimezone(UTC):%H}"] += weight
        item = self.item_of(one.item_id) if one.item_id is not None else None
        if item is not None and item.category:
            self.by_category[item.category] += weight
        for tag in _distinct(item.tags if item is not None else ()):
            self.by_tag[tag] += weight


def _distinct(tags: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))


def _days(span: timedelta) -> float:
    """The span in days, and nothing for what lies ahead."""
    return max(span // timedelta(microseconds=1), 0) / 86_400_000_000


def _shares(sums: Mapping[str, float]) -> Mapping[str, float]:
    """The sums as shares of 1, the largest first."""
    total = sum(sums.values())
    ordered = sorted(sums, key=lambda name: (-sums[name], name))
    return {name: sums[name] / total for name in ordered} if total > 0 else {}
