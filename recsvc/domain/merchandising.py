"""What marketers ask of the lists for a time: pin, boost, bury or block an item or a category.

In: rules, and the moment, channel and placement of a list. Out: the rules that are on, by what they name.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from recsvc.domain.identifiers import check_identifier
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.errors import TooManyRulesError

MAX_FACTOR = 10.0
MIN_FACTOR = 0.01
MAX_POSITION = 100
MAX_OPEN_RULES = 1_000
"""So many rules may stand that have not ended."""

_MAX_KEPT = 1_000


class RuleAction(StrEnum):
    """What a rule does to the items that it names."""

    PIN = "pin"
    BOOST = "boost"
    BURY = "bury"
    BLOCK = "block"


_DEFAULT_FACTOR = {RuleAction.BOOST: 2.0, RuleAction.BURY: 0.5}
_FACTOR_RULE = {
    RuleAction.BOOST: f"of a boost, factor must be above 1 and at most {MAX_FACTOR:g}",
    RuleAction.BURY: f"of a bury, factor must be at least {MIN_FACTOR:g} and below 1",
}


@dataclass(frozen=True, slots=True)
class MerchandisingRule:
    """One rule. It names one item or one category, and is on from `starts_at` until before `ends_at`.

    `kind` None means content and offers; empty `channels` or `placements`, all of them. A boost or a bury has
    a `factor` (2 and 0.5 when none is given), a pin has a `position` (1 when none is given). `note` tells
    colleagues why.
    """

    rule_id: str
    action: RuleAction
    starts_at: datetime
    ends_at: datetime
    item_id: str | None = None
    category: str | None = None
    kind: ItemKind | None = None
    channels: tuple[Channel, ...] = ()
    placements: tuple[str, ...] = ()
    factor: float | None = None
    position: int | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        check_identifier(self.rule_id, "rule_id")
        self._check_target()
        self._check_time()
        self._settle_factor()
        self._settle_position()

    def _check_target(self) -> None:
        if self.item_id is not None:
            check_identifier(self.item_id, "item_id")
        if self.item_id is None and self.category is None:
            raise ValueError("a rule names an item or a category: give category or item_id")
        if self.action is RuleAction.PIN and self.category is not None:
            raise ValueError("a pin names an item_id and no category")
        if self.item_id is not None and self.category is not None:
            raise ValueError("a rule names an item_id or a category and not both")

    def _check_time(self) -> None:
        for name in ("starts_at", "ends_at"):
            if getattr(self, name).tzinfo is None:
                raise ValueError(f"{name} must carry an offset from UTC, for example 2026-01-31T09:00:00Z")
        if self.starts_at >= self.ends_at:
            raise ValueError("starts_at must be before ends_at")

    def _settle_factor(self) -> None:
        if self.action not in _DEFAULT_FACTOR:
            if self.factor is not None:
                raise ValueError("only a boost or a bury has a factor")
            return
        factor = _DEFAULT_FACTOR[self.action] if self.factor is None else self.factor
        boosts = self.action is RuleAction.BOOST
        if not (1 < factor <= MAX_FACTOR if boosts else MIN_FACTOR <= factor < 1):
            raise ValueError(_FACTOR_RULE[self.action])
        object.__setattr__(self, "factor", factor)

    def _settle_position(self) -> None:
        if self.action is not RuleAction.PIN:
            if self.position is not None:
                raise ValueError("only a pin has a position")
            return
        position = 1 if self.position is None else self.position
        if not 1 <= position <= MAX_POSITION:
            raise ValueError(f"position must be 1 to {MAX_POSITION}")
        object.__setattr__(self, "position", position)

    def is_in_time(self, moment: datetime) -> bool:
        """Whether the moment lies between the rule's start (inclusive) and its end (exclusive)."""
        return self.starts_at <= moment < self.ends_at

    def is_on(self, now: datetime, channel: Channel, placement: str | None) -> bool:
        """Whether the rule holds for a list. A list without a placement is on no placement that is named."""
        return (
            self.is_in_time(now)
            and (not self.channels or channel in self.channels)
            and (not self.placements or placement in self.placements)
        )

    def names(self, item: Item) -> bool:
        """Whether the item is one that the rule is about."""
        if self.kind is not None and item.kind is not self.kind:
            return False
        return item.item_id == self.item_id if self.item_id is not None else item.category == self.category


@dataclass(frozen=True)
class RulesOn:
    """The rules that are on for one list, by rule id."""

    rules: tuple[MerchandisingRule, ...] = ()

    @cached_property
    def pins(self) -> tuple[MerchandisingRule, ...]:
        """The pins by position; at one position by rule id."""
        pins = (rule for rule in self.rules if rule.action is RuleAction.PIN)
        return tuple(sorted(pins, key=lambda rule: (rule.position, rule.rule_id)))

    @cached_property
    def weighs(self) -> bool:
        """Whether there is a boost or a bury."""
        return any(rule.factor is not None for rule in self.rules)

    @cached_property
    def highest_factor(self) -> float:
        """No item is lifted by more; at least 1. An item is named by itself and by its category."""
        lifts: dict[str, float] = {"item": 1.0, "category": 1.0}
        for (target, _), rules in self._by_target.items():
            lift = math.prod(max(1.0, rule.factor or 1.0) for rule in rules)
            lifts[target] = max(lifts[target], lift)
        return min(MAX_FACTOR, math.prod(lifts.values()))

    def blocks(self, item: Item) -> bool:
        """Whether a rule keeps the item from the list."""
        return self.block_of(item) is not None

    def block_of(self, item: Item) -> MerchandisingRule | None:
        """The first rule that keeps the item from the list: the item's own before those of its category."""
        return next((rule for rule in self._naming(item) if rule.action is RuleAction.BLOCK), None)

    def weighing(self, item: Item) -> tuple[MerchandisingRule, ...]:
        """The boosts and buries that name the item."""
        return tuple(rule for rule in self._naming(item) if rule.factor is not None)

    def factor_of(self, item: Item) -> float:
        """What the boosts and buries that name the item multiply to, within the limits of one factor."""
        factor = math.prod(rule.factor or 1.0 for rule in self.weighing(item))
        return min(MAX_FACTOR, max(MIN_FACTOR, factor))

    @cached_property
    def _by_target(self) -> dict[tuple[str, str | None], list[MerchandisingRule]]:
        found: dict[tuple[str, str | None], list[MerchandisingRule]] = {}
        for rule in self.rules:
            target = ("category", rule.category) if rule.item_id is None else ("item", rule.item_id)
            found.setdefault(target, []).append(rule)
        return found

    def _naming(self, item: Item) -> Iterator[MerchandisingRule]:
        if self.rules:
            for target in (("item", item.item_id), ("category", item.category)):
                yield from (rule for rule in self._by_target.get(target, ()) if rule.names(item))


NO_RULES_ON = RulesOn()


@dataclass(frozen=True)
class RuleBook:
    """All rules, whether they are on or not."""

    rules: tuple[MerchandisingRule, ...] = ()

    @property
    def moments(self) -> tuple[datetime, ...]:
        """When a rule begins or ends to be on."""
        return tuple(moment for rule in self.rules for moment in (rule.starts_at, rule.ends_at))

    def on(self, now: datetime, channel: Channel, placement: str | None) -> RulesOn:
        """The rules that are on for a list. They are looked for once while no rule begins or ends."""
        if not self.rules:
            return NO_RULES_ON
        span = bisect.bisect_right(self._edges, now)
        key = (span, channel, placement if placement in self._placements else None)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            found = self._kept[key] = self._look(now, channel, placement)
        return found

    def _look(self, now: datetime, channel: Channel, placement: str | None) -> RulesOn:
        rules, ends = self._by_end
        open_rules = rules[bisect.bisect_right(ends, now) :]
        found = [rule for rule in open_rules if rule.is_on(now, channel, placement)]
        return RulesOn(tuple(sorted(found, key=lambda rule: rule.rule_id))) if found else NO_RULES_ON

    @cached_property
    def _kept(self) -> dict[tuple[int, Channel, str | None], RulesOn]:
        """What was found, by the span between two edges, the channel, and the placement that a rule names."""
        return {}

    @cached_property
    def _edges(self) -> list[datetime]:
        return sorted(set(self.moments))

    @cached_property
    def _placements(self) -> frozenset[str]:
        return frozenset(name for rule in self.rules for name in rule.placements)

    @cached_property
    def _by_end(self) -> tuple[tuple[MerchandisingRule, ...], list[datetime]]:
        rules = tuple(sorted(self.rules, key=lambda rule: rule.ends_at))
        return rules, [rule.ends_at for rule in rules]


NO_RULES = RuleBook()


def check_room(rule: MerchandisingRule, other_ends: Iterable[datetime], now: datetime) -> None:
    """Raises TooManyRulesError where the rule is one too many that has not ended; the others end then."""
    if rule.ends_at > now and sum(ends_at > now for ends_at in other_ends) >= MAX_OPEN_RULES:
        raise TooManyRulesError(MAX_OPEN_RULES)
