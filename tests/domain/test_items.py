"""Texts by locale, and what must stand beside an offer."""

from __future__ import annotations

import pytest

from recsvc.domain.items import Item, text_in
from recsvc.domain.offer_terms import Disclosure, OfferTerms

TEXTS = {"en": "Hello", "zh": "你好", "zh-Hant": "您好", "pt-BR": "Oi"}


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("zh", "你好"),
        ("ZH", "你好"),
        ("zh-CN", "你好"),
        ("Zh-cn", "你好"),
        ("zh-Hant-TW", "您好"),
        ("zh-hant", "您好"),
        ("PT-br", "Oi"),
        ("pt", "Hello"),
        ("de", "Hello"),
    ],
)
def test_a_text_is_in_the_closest_language_there_is_however_its_tag_is_written(
    locale: str, text: str
) -> None:
    assert text_in(TEXTS, locale) == text


def test_without_english_any_text_is_better_than_none() -> None:
    assert text_in({"fr": "Bonjour", "it": "Ciao"}, "de") == "Bonjour"
    assert text_in({}, "de") is None


def test_an_offer_is_disclosed_when_no_text_that_must_stand_beside_it_is_missing() -> None:
    told, untold = Disclosure("rates", 1, {"zh": "利率可能变动"}), Disclosure("risk", 1, {})
    assert OfferTerms().is_disclosed
    assert OfferTerms(disclosures=(told,)).is_disclosed
    assert not OfferTerms(disclosures=(told, untold)).is_disclosed


def test_items_that_say_nothing_share_what_they_do_not_say() -> None:
    one, other = Item("a1"), Item("a2", title={}, attributes={})
    assert one.title is other.title is other.attributes
    assert Item("a3", title={"en": "Savings"}).title == {"en": "Savings"}
