"""Fill the list. In: survivors in order of priority. Out: the list.

One of each exclusive group, of a series and of duplicates; then the concerns of every list: categories, the
customer's mix, diversity. A pinned offer that survived takes its position after all that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest, Source
from recsvc.serving.candidate import Candidate
from recsvc.serving.merchandising import merged
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.sameness import places_of
from recsvc.serving.offers.table import OfferTable
from recsvc.serving.reranking import by_place, consider, ordered


def choose(rows: Sequence[int], facts: Facts, table: OfferTable) -> list[int]:
    """The rows of the list, first place first, of survivors that come best first."""
    survivors = (Candidate(table.items[row], 0.0, Source.EDITORIAL, row) for row in rows)
    pinned = pinned_on(rows, facts, table)
    taken = [one for _, one in pinned]
    ids = {one.item.item_id for one in taken}
    others = (one for one in survivors if one.item.item_id not in ids)
    request = _request(facts)
    pool = consider(distinct(others, taken), request, facts.lists).candidates
    arranged = ordered(pool, by_place(len(pool), request.limit), request, facts.lists, facts.mix)
    chosen = islice(merged(pinned, iter(arranged)), request.limit)
    return [one.row for one in chosen if one.row is not None]


def distinct(candidates: Iterable[Candidate], shown: Iterable[Candidate] = ()) -> Iterator[Candidate]:
    """The candidates, of each exclusive group, series and duplicates only the first, and none `shown` before.

    What gave way to another keeps nobody else off the list.
    """
    seen = {place for one in shown for place in places_of(one.item)}
    for candidate in candidates:
        places = places_of(candidate.item)
        if seen.isdisjoint(places):
            seen.update(places)
            yield candidate


def pinned_on(rows: Sequence[int], facts: Facts, table: OfferTable) -> list[tuple[int, Candidate]]:
    """The pinned offers among these survivors that have a place on the list, by position."""
    if not facts.marketers.pins:
        return []
    by_id = {table.ids[row]: Candidate(table.items[row], 0.0, Source.EDITORIAL, row) for row in rows}
    positions = {offer_id: position for position, offer_id in reversed(facts.marketers.pins)}
    standing = (by_id[offer_id] for _, offer_id in facts.marketers.pins if offer_id in by_id)
    found: list[tuple[int, Candidate]] = []
    place = 1
    for candidate in distinct(standing):
        position = positions[candidate.item.item_id]
        place = max(place, position)
        if place > facts.asked.limit:
            break
        found.append((position, candidate))
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
