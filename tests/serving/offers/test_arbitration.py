"""What an offer is worth at a place is the product of four factors, each of which can be told."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.offer_terms import OfferTerms
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers.arbitration import FIRST_RATE, Factors, factors_of
from recsvc.serving.offers.table import make_table

POLICY = OffersPolicy()


class Proposed(NamedTuple):
    """An offer as it is proposed, best first."""

    offer_id: str
    weariness: float = 1.0
    propensity: float = math.nan


def worth(
    *proposals: Proposed,
    boosts: dict[str, float] | None = None,
    policy: OffersPolicy = POLICY,
    **terms: OfferTerms,
) -> Factors:
    table = make_table([Item(name, ItemKind.OFFER, terms=one) for name, one in terms.items()], {})
    rows = table.rows_of(one.offer_id for one in proposals)
    weariness = np.array([one.weariness for one in proposals])
    propensity = np.array([one.propensity for one in proposals])
    return factors_of(rows, propensity, weariness, table, boosts or {}, policy)


def test_the_published_case_of_three_offers_comes_out_as_published() -> None:
    """Priority = P·C·V·L, as the arbitration strategy of Pega's CDH 8.6 user guide has it."""
    found = worth(
        # A context of -100 to 100 % is what is left of the place: 0 % and 50 % here.
        Proposed("card", 0.5, 0.08),
        Proposed("loan", 0.9, 0.03),
        Proposed("save", 0.75, 0.2),
        card=OfferTerms(value=Decimal(100), priority=55),
        loan=OfferTerms(value=Decimal(400)),
        save=OfferTerms(value=Decimal(40), priority=-10),
    )
    assert found.context.tolist() == pytest.approx([1.0, 1.5, 1.0])
    assert found.priority.tolist() == pytest.approx([12.4, 18.0, 7.2], abs=1e-9)
    assert found.priority.argmax() == 1


def test_priority_weight_and_boosts_add_up_to_one_lever() -> None:
    found = worth(Proposed("a"), boosts={"a": 2.0}, a=OfferTerms(priority=20, weight=1.5))
    assert found.lever.tolist() == [pytest.approx(1 + 0.2 + 0.5 + 1.0)]


def test_no_lever_takes_an_offer_below_a_hundredth() -> None:
    assert worth(Proposed("a"), a=OfferTerms(priority=-500)).lever.tolist() == [0.01]


def test_values_are_compared_in_one_currency() -> None:
    policy = msgspec.structs.replace(POLICY, rates={"USD": 0.9})
    found = worth(
        *(Proposed(name) for name in ("euro", "dollar", "peso", "free")),
        policy=policy,
        euro=OfferTerms(value=Decimal(100)),
        dollar=OfferTerms(value=Decimal(100), currency="USD"),
        peso=OfferTerms(value=Decimal(100), currency="MXN"),
        free=OfferTerms(),
    )
    assert found.value.tolist() == [100.0, pytest.approx(90.0), 1.0, 1.0]


def test_without_a_propensity_model_the_place_stands_in() -> None:
    names = ("a", "b", "c", "d")
    found = worth(
        *(Proposed(name) for name in names),
        **{name: OfferTerms() for name in names},
    )
    assert found.propensity.tolist() == pytest.approx(
        [FIRST_RATE / place for place in (1, 2, 3, 4)], abs=1e-6
    )
    assert found.context.tolist() == [1.0] * 4, "the place counts once"


def test_what_was_shown_and_left_alone_loses_a_share_of_the_whole() -> None:
    fresh, tired = worth(
        Proposed("a"),
        Proposed("b", 0.7),
        a=OfferTerms(),
        b=OfferTerms(),
    ).context.tolist()
    assert (fresh, tired) == (1.0, 0.7)
