"""What a store and a bundle know together, beside a plain table of all items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.rows import NO_ROW
from recsvc.serving.known_items import KnownItems, LiveItems
from tests.serving.made_bundles import bundle_of_items

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
IDS = ("a", "b", "c", "d", "e", "f", "g", "h")
CATEGORIES = ("saving", "loans", None)

days = st.none() | st.integers(0, 3).map(lambda n: NOW + timedelta(days=n, microseconds=n))
items = st.builds(
    Item,
    st.just("any"),
    st.sampled_from(ItemKind),
    title=st.sampled_from(({}, {"en": "Ünï", "zh": "储蓄"})),
    category=st.sampled_from(CATEGORIES),
    status=st.sampled_from(ItemStatus),
    valid_from=days,
    valid_to=days.map(lambda end: end and end + timedelta(days=5)),
)
catalogues = st.dictionaries(st.sampled_from(IDS), items).map(
    lambda drawn: {item_id: replace(item, item_id=item_id) for item_id, item in sorted(drawn.items())}
)


def known_of(trained: Sequence[Item], n_rows: int, stored: Mapping[str, Item]) -> KnownItems:
    return KnownItems(stored, bundle_of_items(trained, n_rows).catalogue)


@given(catalogues, st.integers(0, len(IDS)), catalogues)
def test_the_store_lies_over_the_bundle(
    trained: Mapping[str, Item], n_rows: int, stored: Mapping[str, Item]
) -> None:
    with_row, n_rows = [*trained][:n_rows], min(n_rows, len(trained))
    known = known_of([*trained.values()], n_rows, stored)
    plain = {**trained, **stored}
    assert [*known.items()] == [*plain.items()] and len(known) == len(plain)
    assert [known.at(row) for row in range(n_rows)] == [plain[item_id] for item_id in with_row]
    assert known.rows_of(IDS).tolist() == [with_row.index(one) if one in with_row else NO_ROW for one in IDS]
    live = {item_id: item for item_id, item in plain.items() if item.status is ItemStatus.LIVE}
    found = LiveItems(known, len(live))
    assert [*found.items()] == [*live.items()]
    assert [found.get(one) for one in IDS] == [live.get(one) for one in IDS]
    for kind in ItemKind:
        of_kind = [item for item in live.values() if item.kind is kind]
        rows = [row for row, one in enumerate(with_row) if one in live and live[one].kind is kind]
        assert known.live_rows()[kind].tolist() == rows
        assert known.categories()[kind] == {item.category for item in of_kind}
    for wanted in ({"saving"}, {"saving", "loans"}, set[str]()):
        ids = sorted(item.item_id for item in known.live_of(wanted))
        assert ids == sorted(one for one, item in live.items() if item.category in wanted)
    ends = {end for item in live.values() for end in (item.valid_from, item.valid_to)}
    assert known.moments() == ends - {None}


def test_an_end_that_no_calendar_reaches_is_no_moment_to_wait_for() -> None:
    """Whoever means "never" west of Greenwich writes a moment that UTC has no name for."""
    never = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-5)))
    ever = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=8)))
    trained = [Item("a", valid_from=ever, valid_to=never), Item("b", valid_to=NOW)]
    known = known_of(trained, 2, {})
    assert known.moments() == {NOW}
    assert known["a"] == trained[0]
