"""What an item is, in the words that training and serving share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recsvc.domain.item_features import EVERY_ITEM, MAX_TAGS, MAX_WORDS, item_features, says_what_it_is
from recsvc.domain.items import Item, ItemKind

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def features_of(**fields: object) -> set[str]:
    return set(item_features(Item("i1", **fields), as_of=NOW))  # type: ignore[arg-type]


def test_an_item_is_told_by_category_tags_and_words() -> None:
    found = item_features(
        Item("i1", title={"en": "Save for a pension"}, category="saving", tags=("fund", "pension", "fund")),
        as_of=NOW,
    )
    assert found[:5] == (EVERY_ITEM, "kind:content", "category:saving", "tag:fund", "tag:pension")
    assert {"category:saving+tag:fund", "category:saving+tag:pension", "tag:fund+tag:pension"} <= set(found)
    assert {"word:save", "word:for", "word:pension"} <= set(found) and "word:a" not in found
    assert len(found) == len(set(found))


def test_nothing_tells_which_item_it_was() -> None:
    one, other = (Item(item_id, title={"en": "Funds"}, url=f"/{item_id}") for item_id in ("i1", "i2"))
    assert item_features(one, as_of=NOW) == item_features(other, as_of=NOW)


def test_an_item_of_which_nothing_is_known_is_an_item_still() -> None:
    assert item_features(Item("i1", ItemKind.OFFER), as_of=NOW) == (EVERY_ITEM, "kind:offer")


def test_kind_and_age_do_not_say_what_an_item_is() -> None:
    plain = item_features(Item("i1", published_at=NOW), as_of=NOW)
    assert len(plain) == 3 and not any(says_what_it_is(name) for name in plain)
    assert all(says_what_it_is(name) for name in ("category:item", "tag:kind", "word:item"))


def test_the_order_of_tags_changes_nothing() -> None:
    assert features_of(tags=("b", "a", "c")) == features_of(tags=("c", "b", "a"))


@pytest.mark.parametrize(
    ("days", "bucket"), [(-3, "1"), (0.5, "1"), (7, "7"), (8, "30"), (400, "1825"), (4000, "more")]
)
def test_age_counts_to_the_given_moment(days: float, bucket: str) -> None:
    assert f"age_days:{bucket}" in features_of(published_at=NOW - timedelta(days=days))
    assert f"age_days:{bucket}" in features_of(valid_from=NOW - timedelta(days=days))


def test_age_is_left_out_where_nobody_can_tell() -> None:
    aged = Item("i1", published_at=NOW)
    assert not any(name.startswith("age") for name in features_of())
    assert not any(name.startswith("age") for name in item_features(aged, as_of=None))


def test_the_last_year_that_a_title_names_is_its_time() -> None:
    found = features_of(title={"en": "2001: A Space Odyssey (1968)"}, tags=("Sci-Fi",))
    assert {"decade:1960", "tag:Sci-Fi+decade:1960", "word:2001", "word:1968"} <= found
    assert "decade:2000" not in found
    assert not any(name.startswith("decade") for name in features_of(title={"en": "Save 120000 or 1800"}))


def test_words_are_the_same_in_any_case_and_found_without_spaces() -> None:
    assert features_of(title={"de": "GRÖSSE Straße"}) == features_of(title={"de": "grösse STRASSE"})
    assert {"word:基金", "word:金投", "word:投资"} <= features_of(title={"zh": "基金投资"})


def test_attributes_that_other_items_may_share_are_features() -> None:
    found = features_of(attributes={"author": "A. Smith", "paid": True, "minutes": 7, "body": "long " * 30})
    assert {"attribute:author=a. smith", "attribute:paid=true"} <= found
    assert not any("minutes" in name or "body" in name for name in found)


def test_a_long_text_and_many_tags_stay_within_bounds() -> None:
    many = features_of(
        tags=tuple(f"t{n}" for n in range(500)), summary={"en": " ".join(f"w{n}" for n in range(5000))}
    )
    assert len(many) <= 2 + MAX_TAGS * (MAX_TAGS + 1) / 2 + MAX_WORDS
