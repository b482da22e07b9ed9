"""What marketers' rules do to a list. In: rankings of eligible candidates, or a list. Out: the same as ruled.

A factor works on places, because the scores of models and rungs have no scale in common: the item of place p
among the eligible ones stands where p / factor would be, so that a boost by 2 lifts the 20th to the 10th
place and a bury by 0.5 sinks the 3rd to the 6th. Of several that meet at one place, the higher factor comes
first. A pin comes after all ranking and takes its position, whatever the model thinks. No rule opens a gate:
blocks are one themselves (`eligibility`), and every pinned item has to pass all of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import islice

import structlog
from msgspec.structs import replace as with_changes

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.merchandising import MerchandisingRule, RuleAction, RulesOn
from recsvc.domain.slates import AppliedRule, Reason, Slate, SlateRequest, Source
from recsvc.policy import Policy
from recsvc.policy_lists import PagePlacement, PagePolicy
from recsvc.serving.candidate import Candidate
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.eligibility import Circumstances, may_stand
from recsvc.serving.reason_texts import OUR_PICK, text_of
from recsvc.serving.reranking.likeness import first_of_its_kind
from recsvc.serving.verification import Model

log = structlog.get_logger()

MAX_LOOKED_AT = 2_000
"""How far down a ranking boosts and buries move anything."""


def ruled(rankings: Iterable[Iterator[Candidate]], rules: RulesOn) -> Iterator[Iterator[Candidate]]:
    """The same rankings of eligible candidates, ordered as boosts and buries will have it.

    Of every ranking but the last, which is the whole, only the beginning comes that nothing further down
    could be lifted into: who needs more goes on to the next.
    """
    if not rules.weighs:
        yield from rankings
        return
    shortlist: Iterator[Candidate] | None = None
    for ranking in rankings:
        if shortlist is not None:
            yield _settled(shortlist, rules)
        shortlist = ranking
    if shortlist is not None:
        yield _whole(shortlist, rules)


def _whole(ranking: Iterator[Candidate], rules: RulesOn) -> Iterator[Candidate]:
    unsettled = yield from _settled(ranking, rules)
    yield from unsettled
    yield from ranking


def _settled(ranking: Iterator[Candidate], rules: RulesOn) -> Generator[Candidate, None, Sequence[Candidate]]:
    """The candidates in their new order as soon as it is certain; at last those of which it is not.

    Whoever is ranked at p stands at p / highest factor at best, so all with a lower place are settled (the
    threshold algorithm of Fagin, Lotem and Naor 2003): the order is exact, and the look as short as can be.
    """
    ranked: list[Candidate] = []
    waiting: list[tuple[float, float, int]] = []  # The new place, the factor negated, the old place.
    for p, candidate in enumerate(islice(ranking, MAX_LOOKED_AT), start=1):
        ranked.append(candidate)
        while waiting and waiting[0][0] < p / rules.highest_factor:
            yield _moved(ranked, *heappop(waiting), rules)
        factor = rules.factor_of(candidate.item)
        heappush(waiting, (p / factor, -factor, p))
    return [_moved(ranked, *one, rules) for one in sorted(waiting)]


def _moved(
    ranked: Sequence[Candidate], new_place: float, minus_factor: float, place: int, rules: RulesOn
) -> Candidate:
    """The candidate with the score and the rung that belong to its new place, and the rules that name it."""
    candidate = ranked[place - 1]
    applied = _applied(rules.weighing(candidate.item))
    if not applied:
        return candidate
    there = ranked[min(math.ceil(new_place), len(ranked)) - 1]
    return with_changes(candidate, score=there.score, source=there.source, rules=applied, own=candidate)


def place_pins(
    chosen: Sequence[Candidate],
    circumstances: Circumstances,
    model: Model | None,
    view: CatalogueView,
    policy: Policy,
    shown: Collection[Candidate] = (),
) -> list[Candidate]:
    """The chosen with every pinned item at its position, no item twice, and no more than was asked for.

    Of several pins at one position the first by rule id has it and the next follow. A pin beyond the end of
    a list comes last on it; one beyond its limit does nothing there. What the customer used before is not
    pinned again, unless the policy repeats items of its kind; nor is what was `shown` on the page.
    """
    pinned = _standing(circumstances, model, view, policy, shown)
    if not pinned:
        return list(chosen)
    by_id = {candidate.item.item_id: candidate for candidate in chosen}
    placed = [(position, _as_scored(one, by_id.get(one.item.item_id))) for position, one in pinned]
    ids = {one.item.item_id for _, one in placed}
    others = (candidate for candidate in chosen if candidate.item.item_id not in ids)
    # Of a series or of duplicates one is shown, and that is the pinned one.
    rest = first_of_its_kind(others, [one for _, one in placed])
    return list(islice(merged(placed, rest), circumstances.request.limit))


def pinned_below(
    circumstances: Circumstances, model: Model | None, view: CatalogueView, policy: Policy
) -> list[Candidate]:
    """What is pinned further down the page and not here. This placement leaves it to those.

    It would else show such an item first, and the pin would find it shown already.
    """
    request = circumstances.request
    own, *below = _from_here_on(request, policy.pages)

    def pinned_in(placement: PagePlacement) -> list[Candidate]:
        asked = with_changes(request, placement=placement.name, limit=placement.items)
        rules = view.rules.on(circumstances.now, request.channel, placement.name)
        there = replace(circumstances, request=asked, rules=rules)
        return [candidate for _, candidate in _standing(there, model, view, policy)]

    found = [candidate for placement in below for candidate in pinned_in(placement)]
    if own is None or not found:
        return []
    mine = pinned_in(own)
    ids = {candidate.item.item_id for candidate in mine}
    others = (candidate for candidate in found if candidate.item.item_id not in ids)
    return list(first_of_its_kind(others, mine))


def _from_here_on(
    request: SlateRequest, pages: Sequence[PagePolicy]
) -> tuple[PagePlacement | None, *tuple[PagePlacement, ...]]:
    """The placement that is asked for, None on no page, and those after it that show items of the kind."""
    for page in pages:
        names = [placement.name for placement in page.placements]
        if request.placement in names:
            own, *below = page.placements[names.index(request.placement) :]
            return (own, *(one for one in below if one.kind in (None, request.kind.value)))
    return (None,)


def _standing(
    circumstances: Circumstances,
    model: Model | None,
    view: CatalogueView,
    policy: Policy,
    shown: Collection[Candidate] = (),
) -> list[tuple[int, Candidate]]:
    """The pinned items that have a place on the list, by position, which comes with each; of a series one."""
    rules, limit = circumstances.rules, circumstances.request.limit
    positions: dict[str, int] = {}

    def allowed() -> Iterator[Candidate]:
        for pin, item in _first_pins(rules, circumstances.request.kind, view):
            if may_stand(item, circumstances) and _may_be_met(item, circumstances, model, policy):
                positions[item.item_id] = pin.position or 1
                yield _pinned(pin, item, rules)

    found: list[tuple[int, Candidate]] = []
    place = 1
    for candidate in first_of_its_kind(allowed(), shown):
        position = positions[candidate.item.item_id]
        place = max(place, position)
        if place > limit:
            break
        found.append((position, candidate))
        place += 1
    return found


def _first_pins(
    rules: RulesOn, kind: ItemKind, view: CatalogueView
) -> Iterator[tuple[MerchandisingRule, Item]]:
    """Each pinned item of the kind that is live, with the first of its pins."""
    seen: set[str] = set()
    for pin in rules.pins:
        item = view.items.get(pin.item_id or "")
        if item is not None and item.kind is kind and pin.names(item) and item.item_id not in seen:
            seen.add(item.item_id)
            yield pin, item


def _may_be_met(item: Item, circumstances: Circumstances, model: Model | None, policy: Policy) -> bool:
    """Whether the customer has not used the item yet, or may meet it again."""
    serving, past = policy.serving, circumstances.subject.past
    if serving.repeat_offers if item.kind is ItemKind.OFFER else serving.repeat_content:
        return True
    row = model.bundle.items.row_of(item.item_id) if model else None
    return item.item_id not in past.used and (row is None or row not in past.history.item_rows)


def _pinned(pin: MerchandisingRule, item: Item, rules: RulesOn) -> Candidate:
    """The item as no ranking put it on the list: it has no score to speak of."""
    applied = _applied((pin, *rules.weighing(item)))
    return Candidate(item, 0.0, Source.EDITORIAL, None, rules=applied)


def _as_scored(pinned: Candidate, ranked: Candidate | None) -> Candidate:
    """The pinned item with the score that it had where a ranking put it on the list."""
    return with_changes(ranked, rules=pinned.rules) if ranked else pinned


def merged(pinned: Sequence[tuple[int, Candidate]], rest: Iterator[Candidate]) -> Iterator[Candidate]:
    """The pinned by position, the rest in the places between."""
    n_placed = 0
    for position, candidate in pinned:
        for other in islice(rest, max(0, position - 1 - n_placed)):
            n_placed += 1
            yield other
        n_placed += 1
        yield candidate
    yield from rest


def is_pinned(candidate: Candidate) -> bool:
    """Whether a rule put it where it is."""
    return any(rule.action is RuleAction.PIN for rule in candidate.rules)


def as_ranked(candidate: Candidate) -> Candidate:
    """The candidate as its rung proposed it: what its reason has to be true of."""
    return candidate.own or candidate


def with_picks(chosen: Sequence[Candidate], reasons: Sequence[Reason], locale: str) -> list[Reason]:
    """The reasons of the chosen, but that of a pinned item says that it is our pick."""
    pick = Reason(OUR_PICK, text_of(OUR_PICK, locale))
    return [pick if is_pinned(one) else reason for one, reason in zip(chosen, reasons, strict=True)]


def source_of(chosen: Sequence[Candidate]) -> Source:
    """The rung that answered: the highest of those on the list, wherever rules put its items."""
    rungs = {candidate.source for candidate in chosen}
    return next((rung for rung in Source if rung in rungs), Source.EDITORIAL)


def log_ruled(slate: Slate, blocked: Mapping[str, str]) -> None:
    """One line about a slate that rules changed. It names no customer.

    `blocked` names, by id, the first items that only a rule kept away, and the rule. A line stands for a
    slate that was made: one that was kept ready and is answered again has none of its own.
    """
    applied = [
        {"rule_id": rule.rule_id, "action": rule.action.value, "item_id": item.item_id}
        for item in slate.items
        for rule in item.rules
    ]
    kept_away = [
        {"rule_id": rule_id, "action": RuleAction.BLOCK.value, "item_id": item_id}
        for item_id, rule_id in blocked.items()
    ]
    if applied or kept_away:
        log.info("slate_ruled", slate_id=slate.slate_id, rules=applied + kept_away)


def _applied(rules: Iterable[MerchandisingRule]) -> tuple[AppliedRule, ...]:
    return tuple(AppliedRule(rule.rule_id, rule.action) for rule in rules)
