"""Fill the list. In: survivors in order of priority. Out: the list.

One of each exclusive group, of a series and of duplicates; then the concerns of every list: categories, the
customer's mix, diversity. A pinned offer that survived takes its position after all that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest, Source
from recsvc.serving.candidate import Candidate
from recsvc.serving.merchandising import merged
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.table import OfferTable
from recsvc.serving.reranking import by_place, consider_distinct, ordered


def choose(rows: Sequence[int], facts: Facts, table: OfferTable) -> list[int]:
    """The rows of the list, first place first, of survivors that come best first."""
    pinned = pinned_on(rows, facts, table)
    taken = {one.row for _, one in pinned if one.row is not None}
    request = _request(facts)
    others = (_candidate(row, table) for row in distinct(rows, table, taken))
    pool = consider_distinct(others, request, facts.lists).candidates
    arranged = ordered(pool, by_place(len(pool), request.limit), request, facts.lists, facts.mix)
    chosen = islice(merged(pinned, iter(arranged)), request.limit)
    return [one.row for one in chosen if one.row is not None]


def distinct(rows: Iterable[int], table: OfferTable, shown: Collection[int] = ()) -> Iterator[int]:
    """The rows, of each exclusive group, series and duplicates only the first, and none `shown` before.

    What gave way to another keeps nobody else off the list.
    """
    seen = {place for row in shown for place in table.places[row]}
    for row in rows:
        places = table.places[row]
        if row not in shown and seen.isdisjoint(places):
            seen.update(places)
            yield row


def _candidate(row: int, table: OfferTable) -> Candidate:
    return Candidate(table.items[row], 0.0, Source.EDITORIAL, row)


def pinned_on(rows: Sequence[int], facts: Facts, table: OfferTable) -> list[tuple[int, Candidate]]:
    """The pinned offers among these survivors that have a place on the list, by position."""
    if not facts.marketers.pins:
        return []
    surviving = frozenset(rows)
    positions = {offer_id: position for position, offer_id in reversed(facts.marketers.pins)}
    pinned = (table.row_of[offer_id] for _, offer_id in facts.marketers.pins if offer_id in table.row_of)
    found: list[tuple[int, Candidate]] = []
    place = 1
    for row in distinct((row for row in pinned if row in surviving), table):
        position = positions[table.ids[row]]
        place = max(place, position)
        if place > facts.asked.limit:
            break
        found.append((position, _candidate(row, table)))
        place += 1
    return found


def _request(facts: Facts) -> SlateRequest:
    """The request, as far as it weighs on the order of a list."""
    asked = facts.asked
    return SlateRequest(
        ItemKind.OFFER,
        facts.customer.customer_id,
        limit=asked.limit,
        categories=asked.categories,
        diversity=asked.diversity,
    )
