"""Hard yes or no, with a reason code. In: an item, a customer, a request. Out: the first gate that shuts.

The gates stand before the ranking and fail closed: what is not known to be allowed is not shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.merchandising import NO_RULES_ON, RulesOn
from recsvc.domain.slates import SlateRequest
from recsvc.serving.customers import Subject

BLOCKED = "blocked"
MAX_NOTED = 20
"""Of so many items it is noted that a rule kept them from a list."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a gate may look at beside the item. `rules` are the merchandising rules that are on.

    `blocked` fills as items are let in or not: the first that only a rule kept away, and which rule it was.
    """

    request: SlateRequest
    subject: Subject
    now: datetime
    rules: RulesOn = NO_RULES_ON
    blocked: dict[str, str] = field(default_factory=dict, compare=False)


def may_stand(item: Item, circumstances: Circumstances) -> bool:
    """Whether every gate lets the item pass. Of those that rules alone keep away, the first are noted."""
    code = refusal_of(item, circumstances)
    blocked = circumstances.blocked
    if code == BLOCKED and len(blocked) < MAX_NOTED:
        rule = circumstances.rules.block_of(item)
        blocked.update({item.item_id: rule.rule_id} if rule else {})
    return code is None


def refusal_of(item: Item, circumstances: Circumstances) -> str | None:
    """The reason code of the first gate that refuses the item; None when all let it pass."""
    gates = OFFER_GATES if item.kind is ItemKind.OFFER else CONTENT_GATES
    return next((code for code, passes in gates if not passes(item, circumstances)), None)


def _is_disclosed(item: Item, at: Circumstances) -> bool:
    """An offer that must not stand without a text does not stand where the text is missing."""
    return item.offer_terms.is_disclosed


def _is_consented(item: Item, at: Circumstances) -> bool:
    return at.subject.may_market


def _is_suitable(item: Item, at: Circumstances) -> bool:
    """Risk class 0 needs no assessment; any other needs a limit that is known and not exceeded."""
    risk_class, limit = item.offer_terms.risk_class, at.subject.risk_limit
    return risk_class == 0 or (limit is not None and risk_class <= limit)


def _is_live(item: Item, at: Circumstances) -> bool:
    return item.status is ItemStatus.LIVE


def _is_valid(item: Item, at: Circumstances) -> bool:
    return item.is_valid_at(at.now)


def _is_on_channel(item: Item, at: Circumstances) -> bool:
    return not item.channels or at.request.channel in item.channels


def _is_of_category(item: Item, at: Circumstances) -> bool:
    return not at.request.categories or item.category in at.request.categories


def _is_not_excluded(item: Item, at: Circumstances) -> bool:
    return item.item_id not in at.request.exclude


def _is_not_suppressed(item: Item, at: Circumstances) -> bool:
    return item.item_id not in at.subject.past.suppressed


def _is_not_held_back(item: Item, at: Circumstances) -> bool:
    return item.category is None or item.category not in at.subject.held_back


def _is_not_blocked(item: Item, at: Circumstances) -> bool:
    return not at.rules.blocks(item)


Gate = tuple[str, Callable[[Item, Circumstances], bool]]

_COMMON_GATES: tuple[Gate, ...] = (
    ("not_live", _is_live),
    ("not_valid_now", _is_valid),
    ("suppressed", _is_not_suppressed),
    ("category_held_back", _is_not_held_back),
    ("wrong_channel", _is_on_channel),
    ("wrong_category", _is_of_category),
    ("excluded", _is_not_excluded),
)
# What marketers ask comes after what the customer and the law ask.
_BLOCK: Gate = (BLOCKED, _is_not_blocked)
CONTENT_GATES: tuple[Gate, ...] = (*_COMMON_GATES, _BLOCK)
OFFER_GATES: tuple[Gate, ...] = (
    ("no_consent", _is_consented),
    ("not_suitable", _is_suitable),
    *_COMMON_GATES,
    ("no_disclosure", _is_disclosed),
    _BLOCK,
)
