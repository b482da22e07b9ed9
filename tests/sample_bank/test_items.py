"""The magazine and the offers read like a bank's, in both languages."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest

from recsvc.domain.condition_facts import known_fields
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.offer_checks import offer_faults
from recsvc.policy import load_policy
from recsvc.sample_bank import CATEGORIES, SampleBank

from .conftest import END

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def articles(bank: SampleBank) -> list[Item]:
    return [item for item in bank.items if item.kind is ItemKind.CONTENT]


@pytest.fixture(scope="module")
def offers(bank: SampleBank) -> list[Item]:
    return [item for item in bank.items if item.kind is ItemKind.OFFER]


def test_there_are_600_articles_and_40_offers(articles: list[Item], offers: list[Item]) -> None:
    assert (len(articles), len(offers)) == (600, 40)
    assert articles[0].item_id == "a0001"
    assert offers[0].item_id == "o01"


def test_no_two_items_share_a_title_in_either_language(bank: SampleBank) -> None:
    for locale in ("en", "zh"):
        titles = Counter(item.title[locale] for item in bank.items)
        assert [title for title, n in titles.items() if n > 1] == []


def test_every_text_is_in_its_own_language_and_complete(bank: SampleBank) -> None:
    for item in bank.items:
        for texts in (item.title, item.summary):
            assert set(texts) == {"en", "zh"}
            assert not CHINESE.search(texts["en"])
            assert CHINESE.search(texts["zh"])
            assert "{" not in texts["en"] + texts["zh"]


def test_english_titles_start_with_a_capital(bank: SampleBank) -> None:
    assert [item.title["en"] for item in bank.items if not item.title["en"][0].isupper()] == []


def test_chinese_texts_use_chinese_punctuation(bank: SampleBank) -> None:
    texts = [text for item in bank.items for text in (item.title["zh"], item.summary["zh"])]
    assert [text for text in texts if re.search(r"[\u4e00-\u9fff][,:;?!]", text)] == []


def test_articles_are_spread_evenly_over_the_categories(articles: list[Item]) -> None:
    counts = Counter(article.category for article in articles)
    assert set(counts) == set(CATEGORIES)
    assert len(CATEGORIES) == 12
    assert set(counts.values()) == {50}


def test_tags_begin_with_the_category(articles: list[Item]) -> None:
    assert all(article.category == article.tags[0] and len(article.tags) == 3 for article in articles)


def test_articles_appear_day_by_day_and_some_stood_there_before(articles: list[Item]) -> None:
    start = END - timedelta(days=90)
    published = [article.published_at for article in articles if article.published_at]
    days = Counter((moment - start).days for moment in published if moment >= start)
    assert len(days) >= 88
    assert max(days.values()) <= 15
    assert 50 <= sum(moment < start for moment in published) <= 120


def test_every_item_says_that_it_is_synthetic(bank: SampleBank) -> None:
    assert all(item.attributes["synthetic"] is True for item in bank.items)
    assert all(item.url and item.url.startswith("https://specimen-bank.example/") for item in bank.items)


def test_every_offer_has_disclosures_in_both_languages(offers: list[Item]) -> None:
    for offer in offers:
        assert offer.offer_terms.disclosures, offer.title["en"]
        for disclosure in offer.offer_terms.disclosures:
            assert disclosure.version >= 1
            assert set(disclosure.text) == {"en", "zh"}
            assert CHINESE.search(disclosure.text["zh"])


def test_every_offer_that_bears_risk_warns_of_it_and_no_other_does(offers: list[Item]) -> None:
    for offer in offers:
        warns = any(one.id == "capital_at_risk" for one in offer.offer_terms.disclosures)
        assert warns == (offer.offer_terms.risk_class > 0), offer.title["en"]


def test_every_loan_states_what_it_costs(offers: list[Item]) -> None:
    loans = [offer for offer in offers if re.search(r"Loan|Mortgage|Overdraft", offer.title["en"])]
    assert len(loans) >= 7
    for loan in loans:
        text = " ".join(one.text["en"] for one in loan.offer_terms.disclosures)
        assert "Representative example" in text
        assert "APR" in text


def test_a_representative_example_adds_up(offers: list[Item]) -> None:
    pattern = re.compile(
        r"EUR ([\d,]+) over (\d+) months at a fixed borrowing rate of ([\d.]+) % a year: "
        r"(\d+) instalments of EUR ([\d,.]+), ([\d.]+) % APR, EUR ([\d,.]+) in total"
    )
    texts = {one.text["en"] for offer in offers for one in offer.offer_terms.disclosures}
    examples = [match.groups() for text in texts if (match := pattern.search(text))]
    assert len(examples) == 4
    for example in examples:
        loan, months, rate, instalments, instalment, apr, total = (
            float(figure.replace(",", "")) for figure in example
        )
        monthly = rate / 1200
        assert months == instalments
        assert instalment == pytest.approx(loan * monthly / (1 - (1 + monthly) ** -months), abs=0.01)
        assert apr == pytest.approx(100 * ((1 + monthly) ** 12 - 1), abs=0.01)
        assert total == pytest.approx(instalment * months, abs=0.01)


def test_offers_come_in_every_state(offers: list[Item]) -> None:
    live = [offer for offer in offers if offer.status is ItemStatus.LIVE]
    assert sum(offer.is_valid_at(END) for offer in live) >= 30
    assert sum(offer.valid_to is not None and offer.valid_to <= END for offer in live) == 2
    assert sum(offer.valid_from is not None and offer.valid_from > END for offer in live) == 1
    assert {offer.status for offer in offers} == {ItemStatus.LIVE, ItemStatus.PAUSED, ItemStatus.DRAFT}


def test_offer_terms_give_every_gate_something_to_do(offers: list[Item]) -> None:
    terms = [offer.offer_terms for offer in offers]
    risk = Counter(one.risk_class for one in terms)
    assert risk[0] >= 25
    assert {2, 3, 4, 5, 6} <= set(risk)
    assert any(one.jurisdictions for one in terms)
    assert any(offer.channels for offer in offers)
    groups = Counter(one.exclusive_group for one in terms if one.exclusive_group)
    assert len(groups) >= 5
    assert min(groups.values()) >= 1
    assert {offer.category for offer in offers} == set(CATEGORIES)


def test_every_offer_is_fit_to_be_saved_and_its_rules_ask_what_is_known(offers: list[Item]) -> None:
    fields = known_fields(load_policy())
    assert [fault for offer in offers for fault in offer_faults(offer, fields)] == []


def test_some_offers_name_whom_they_are_for_and_how_much_there_is_of_them(offers: list[Item]) -> None:
    terms = [offer.offer_terms for offer in offers]
    assert sum(one.target_market is not None for one in terms) >= 3
    assert sum(one.negative_target_market is not None for one in terms) >= 2
    assert sum(one.eligibility is not None for one in terms) >= 5
    assert all(any(getattr(one, name) for one in terms) for name in ("caps", "budget", "inventory"))
    assert {frozenset(one.decline_label or ()) for one in terms} == {frozenset({"en", "zh"})}
    markets = [one for one in terms if one.target_market]
    assert all(one.risk_class >= 4 for one in markets)
