"""What offers say beside themselves, in the locale of a list."""

from __future__ import annotations

import numpy as np

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.offer_terms import Disclosure, OfferTerms
from recsvc.domain.slates import ShownDisclosure
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers.table import OfferTable, make_table
from recsvc.serving.offers.texts import MAX_LOCALES, told_in

STRICT, LENIENT = OffersPolicy(), OffersPolicy(disclosure_fallback=True)


def table_of(*said: dict[str, str]) -> OfferTable:
    """An offer for each of these, with a disclosure that says it."""
    each = enumerate(Disclosure("d", 1, one) for one in said)
    return make_table(
        [Item(f"o{n}", ItemKind.OFFER, terms=OfferTerms(disclosures=(one,))) for n, one in each], {}
    )


def test_an_offer_is_told_where_a_text_may_stand_on_the_list() -> None:
    table = table_of({"en": "Yes."}, {"zh": "是", "zh-HK": "係"}, {"zh-HK": " "}, {})
    strict, lenient = told_in("zh-HK", table, STRICT), told_in("zh-HK", table, LENIENT)
    assert strict.is_told.tolist() == [False, True, False, False]
    assert lenient.is_told.tolist() == [True, True, False, False]
    assert strict.disclosures[1] == (ShownDisclosure("d", 1, "係"),)
    assert lenient.disclosures[0] == (ShownDisclosure("d", 1, "Yes."),)
    assert told_in("en", table_of(), STRICT).is_told.dtype == np.bool_


def test_texts_are_looked_for_once_and_kept_for_so_many_locales() -> None:
    table = table_of({"en": "Yes."})
    first = told_in("en", table, STRICT)
    assert told_in("en", table, STRICT) is first
    for number in range(2 * MAX_LOCALES):
        told_in(f"en-{number}", table, STRICT)
        assert len(table.told) <= MAX_LOCALES
    again = told_in("en", table, STRICT)
    assert again is not first and again.disclosures == first.disclosures
