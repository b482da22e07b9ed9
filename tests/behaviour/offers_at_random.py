"""Decide at random, and ask the rules of each decision. In: a seed, how many. Out: what was wrong, in words.

`recsvc` decides as it serves: from a record and events, through the reader of subjects, gates and choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import numpy as np
from msgspec.structs import replace as with_changes

from recsvc.domain.condition_facts import known_fields
from recsvc.domain.customers import Customer
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.policy import Policy
from recsvc.serving.basis import Basis
from recsvc.serving.catalogue_view import CatalogueView, make_view
from recsvc.serving.customers import SubjectReader
from recsvc.serving.offers.deciding import decide
from recsvc.serving.offers.facts import Facts, MarketersFacts
from recsvc.serving.offers.gathering import gather, proposals_of, propose
from recsvc.serving.offers.table import OfferTable, make_table
from recsvc.stores.memory import MemoryCustomers, MemoryEvents

from .offer_rules import Asked, Situation, forbidden_by
from .random_offers import (
    CATEGORIES,
    LOCALES,
    PLACEMENTS,
    random_customer,
    random_events,
    random_offers,
    random_policy,
)

NOW = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
A_BANK, A_CUSTOMER = 120, 20  # Decisions.


@dataclass(frozen=True)
class Tally:
    """What came of many decisions."""

    decisions: int
    offers_shown: int
    offers_forbidden: int
    wrong: tuple[str, ...]


def judge_decisions(seed: int, n_decisions: int) -> Tally:
    """Make decisions, ask the rules, and stop at the tenth that is wrong."""
    done = shown = forbidden = 0
    wrong: list[str] = []
    for bank in range(-(-n_decisions // A_BANK)):
        for asked, known, chosen, limit in _decisions_of_a_bank(f"{seed}/{bank}"):
            verdicts = {name: forbidden_by(offer, asked, known) for name, offer in known.offers.items()}
            wrong += [f"{seed}/{bank}: {one}" for one in faults(chosen, verdicts, known.offers, limit)]
            done, shown = done + 1, shown + len(chosen)
            forbidden += sum(verdict is not None for verdict in verdicts.values())
            if len(wrong) >= 10 or done == n_decisions:
                return Tally(done, shown, forbidden, tuple(wrong))
    return Tally(done, shown, forbidden, tuple(wrong))


def faults(
    chosen: Sequence[str], verdicts: dict[str, str | None], offers: dict[str, Item], limit: int
) -> Iterator[str]:
    """What is wrong with a list: what is forbidden or twice there, what is missing though there is room."""
    for name in chosen:
        if verdicts[name] is not None:
            yield f"{name} is on the list, and forbidden by {verdicts[name]}"
    if len(set(chosen)) != len(chosen) or len(chosen) > limit:
        yield f"{chosen} names an offer twice, or is longer than {limit}"
    groups = [group for name in chosen for group in _one_of(offers[name])]
    if len(set(groups)) != len(groups):
        yield f"{chosen} holds two that are one"
    if len(chosen) == limit:
        return
    for name, verdict in verdicts.items():
        if verdict is None and name not in chosen and not set(_one_of(offers[name])) & set(groups):
            yield f"{name} is allowed, there is room, and it is not on the list"


def _one_of(offer: Item) -> Iterable[tuple[str, str]]:
    """What no two offers of a list may share."""
    group = offer.offer_terms.exclusive_group
    yield from (("title", title) for title in offer.title.values())
    yield from [("group", group)] if group else []


def _decisions_of_a_bank(seed: str) -> Iterator[tuple[Asked, Situation, list[str], int]]:
    """Each decision of a bank with what was asked, what is recorded, the list, and its greatest length."""
    draw = Random(seed)
    policy, offers = random_policy(draw), random_offers(draw, NOW, 10)
    bank = _Bank(policy, make_table(offers, known_fields(policy)), make_view(offers, None, revision=1))
    for number in range(A_BANK // A_CUSTOMER):
        customer_id = f"c{number}"
        record = random_customer(draw, customer_id, NOW) if draw.random() < 0.9 else None
        events = random_events(draw, customer_id, offers, NOW)
        written_at = NOW - timedelta(days=draw.choice((0, 40)))
        known = Situation(policy, record, written_at, events, {one.item_id: one for one in offers})
        subjects = _reader(customer_id, known)
        for _ in range(A_CUSTOMER):
            asked, limit = _asked(draw, record, policy, offers), draw.choice((1, 3, 10, 10))
            yield asked, known, _decide(customer_id, asked, limit, subjects, bank, draw), limit


@dataclass(frozen=True)
class _Bank:
    policy: Policy
    table: OfferTable
    view: CatalogueView


def _asked(draw: Random, record: Customer | None, policy: Policy, offers: Sequence[Item]) -> Asked:
    locale = draw.choice((None, None, *LOCALES)) or (record.locale if record else None)
    return Asked(
        now=NOW + draw.choice((0, 0, 1, 20, 31, 7200, 86_400, 2 * 86_400)) * timedelta(seconds=1),
        channel=draw.choice((Channel.WEB, Channel.WEB, Channel.MOBILE, Channel.EMAIL, Channel.BRANCH)),
        placement=draw.choice(PLACEMENTS),
        locale=locale or policy.serving.default_locale,
        categories=draw.choice(((), (), (), CATEGORIES[:2])),
        exclude=tuple(one.item_id for one in offers if draw.random() < 0.03),
        beside=draw.choice(((), ("debt", "saving"))),
        blocked=tuple(one.item_id for one in offers if draw.random() < 0.03),
    )


def _decide(
    customer_id: str, asked: Asked, limit: int, subjects: SubjectReader, bank: _Bank, draw: Random
) -> list[str]:
    """The list as it is decided in serving, from facts that went through JSON as the log keeps them."""
    table, view, policy = bank.table, bank.view, bank.policy
    subject = subjects.read(customer_id, channel=asked.channel, model=None, items=view.known, now=asked.now)
    basis = Basis(subject, None, view, None, asked.now, policy)
    request = SlateRequest(
        ItemKind.OFFER,
        customer_id,
        limit=limit,
        channel=asked.channel,
        placement=asked.placement,
        locale=asked.locale,
        categories=asked.categories,
        exclude=asked.exclude,
    )
    facts = gather(request, basis, table, decision_id="s", champion=lambda: None)
    # Whatever is proposed, what is refused stays away.
    candidates = propose(basis, table, np.arange(len(table)))
    facts = with_changes(facts, proposals=proposals_of(candidates, basis, table, None))
    pins = tuple((draw.choice((1, 2)), name) for name in table.ids if draw.random() < 0.05)
    boosts = {name: draw.choice((0.01, 10.0)) for name in table.ids if draw.random() < 0.05}
    marketers = MarketersFacts(dict.fromkeys(asked.blocked, "r"), boosts, {}, tuple(sorted(pins)))
    facts = with_changes(facts, marketers=marketers, beside=asked.beside)
    if draw.random() < 0.02:
        facts = msgspec.json.decode(msgspec.json.encode(facts), type=Facts)
    return [one.offer_id for one in decide(facts, table, policy.offers).chosen]


def _reader(customer_id: str, known: Situation) -> SubjectReader:
    customers, events = MemoryCustomers(), MemoryEvents()
    if known.record is not None:
        customers.put_many([known.record], now=known.written_at or NOW)
    if known.events:
        events.append(known.events, received_at=NOW)
    return SubjectReader(customers, events, known.policy)
