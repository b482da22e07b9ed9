"""The terms of an offer over HTTP: everything that they may say, and the place of every mistake."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from recsvc.api.documents import ITEM_EXAMPLE
from recsvc.services import Services
from tests.api.test_items import ITEM, call

WHOLE: dict[str, Any] = {
    **ITEM_EXAMPLE["terms"],
    "disclosures": [{"id": "rate", "version": 2, "text": {"en": "It may change.", "zh": "利率可能变动。"}}],
    "placements": ["home", "account"],
    "target_market": {
        "client_types": ["retail"],
        "knowledge": ["informed", "advanced"],
        "loss_capacity": ["medium"],
        "risk_tolerance": [3, 4, 5, 6, 7],
        "objectives": ["growth"],
        "min_horizon_years": 5,
    },
    "negative_target_market": {"client_types": ["eligible_counterparty"]},
    "eligibility": {
        "all": [
            {"field": "attributes.age", "op": "between", "value": [18, 75]},
            {"any": [{"field": "segment", "op": "not_in", "value": ["rfm:lost"]}]},
            {"not": {"field": "profile.lifecycle", "op": "equals", "value": "churned"}},
        ]
    },
    "caps": [{"most": 2, "hours": 24}, {"most": 5, "hours": 168.0}],
    "suppression": {"dismissed_days": 30, "rejected_days": 90.5},
    "budget": {"total": "1000.00", "unit_cost": "0.50", "daily": "100", "currency": "EUR"},
    "inventory": 500,
    "decline_label": {"en": "Not now", "zh": "以后再说"},
}
OFFER: dict[str, Any] = {
    **ITEM_EXAMPLE,
    "title": {"en": "Savings account", "zh": "储蓄账户"},
    "terms": WHOLE,
}


def with_terms(**changed: Any) -> dict[str, Any]:
    return {**OFFER, "terms": {**WHOLE, **changed}}


def test_an_offer_with_all_terms_there_are_comes_back_as_it_went_in(app: Flask) -> None:
    created = call(app, "PUT", ITEM, OFFER)
    assert created.status == 201
    found = call(app, "GET", ITEM)
    for name, value in WHOLE.items():
        answered = found.json["terms"][name]
        if isinstance(value, dict) and name not in ("eligibility", "decline_label"):
            answered = {inner: answered[inner] for inner in value}
        assert answered == value
    assert call(app, "PUT", ITEM, found.json, if_match=found.header("ETag")).status == 200


AGE = {"field": "attributes.age", "op": "at_least", "value": 18}
MISTAKES: list[tuple[dict[str, Any], list[str]]] = [
    ({"eligibility": {**AGE, "field": "attributes.shoe_size"}}, ["/terms/eligibility/field"]),
    ({"eligibility": {"all": [AGE, {**AGE, "field": "age"}]}}, ["/terms/eligibility/all/1/field"]),
    ({"eligibility": {**AGE, "value": "18"}}, ["/terms/eligibility/value"]),
    ({"eligibility": {**AGE, "op": "matches"}}, ["/terms/eligibility/op"]),
    ({"eligibility": {"not": {"any": []}}}, ["/terms/eligibility/not/any"]),
    ({"eligibility": {}}, ["/terms/eligibility"]),
    ({"value": "-0.01"}, ["/terms/value"]),
    (
        {"disclosures": [*WHOLE["disclosures"], {**WHOLE["disclosures"][0], "version": 3}]},
        ["/terms/disclosures/1/id"],
    ),
    ({"eligibility": "age >= 18"}, ["/terms/eligibility"]),
    ({"caps": [{"most": 0, "hours": 24}]}, ["/terms/caps/0/most"]),
    ({"caps": [{"most": 1, "hours": 24}, {"most": -1, "hours": 24}]}, ["/terms/caps/1/most"]),
    ({"caps": [{"most": 1, "hours": 0}]}, ["/terms/caps/0/hours"]),
    ({"caps": [{"most": 1, "hours": -1}]}, ["/terms/caps/0/hours"]),
    ({"caps": [{"most": 1, "hours": 9000}]}, ["/terms/caps/0/hours"]),
    ({"caps": [{"most": 1}]}, ["/terms/caps/0/hours"]),
    ({"caps": [{"most": 1, "hours": 1}] * 11}, ["/terms/caps"]),
    ({"budget": {"total": "10", "unit_cost": "1", "currency": "CHF"}}, ["/terms/budget/currency"]),
    ({"currency": "CHF"}, ["/terms/budget/currency"]),
    ({"budget": {"total": "0.10", "unit_cost": "1"}}, ["/terms/budget/total"]),
    ({"budget": {"total": "10", "unit_cost": "0"}}, ["/terms/budget/unit_cost"]),
    ({"budget": {"total": "10", "unit_cost": "1", "daily": "11"}}, ["/terms/budget/daily"]),
    ({"budget": {"total": 10, "unit_cost": "1"}}, ["/terms/budget/total"]),
    ({"inventory": -1}, ["/terms/inventory"]),
    ({"suppression": {"rejected_days": 0}}, ["/terms/suppression/rejected_days"]),
    ({"target_market": {"risk_tolerance": [8]}}, ["/terms/target_market/risk_tolerance/0"]),
    ({"target_market": {"knowlege": []}}, ["/terms/target_market/knowlege"]),
    (
        {"negative_target_market": {"min_horizon_years": -1}},
        ["/terms/negative_target_market/min_horizon_years"],
    ),
    ({"placements": ["on top"]}, ["/terms/placements/0"]),
    ({"decline_label": {"en": ""}}, ["/terms/decline_label/en"]),
    (
        {"disclosures": [{"id": "rate", "version": 2, "text": {"en": "It may change."}}]},
        ["/terms/disclosures/0/text/zh"],
    ),
    (
        {"disclosures": [*WHOLE["disclosures"], {"id": "risk", "version": 1, "text": {}}]},
        ["/terms/disclosures/1/text/en", "/terms/disclosures/1/text/zh"],
    ),
]


@pytest.mark.parametrize(("changed", "pointers"), MISTAKES)
def test_a_mistake_in_terms_is_told_by_its_place_and_what_is_stored_stays(
    app: Flask, changed: dict[str, Any], pointers: list[str]
) -> None:
    before = call(app, "PUT", ITEM, OFFER)
    reply = call(app, "PUT", ITEM, with_terms(**changed), if_match=before.header("ETag"))
    assert (reply.status, reply.json["type"], reply.pointers) == (422, "/problems/validation-error", pointers)
    batch = call(app, "POST", "/v1/items", {"items": [with_terms(**changed)]})
    assert (batch.status, batch.pointers) == (422, [f"/items/0{pointer}" for pointer in pointers])
    found = call(app, "GET", ITEM)
    assert (found.body, found.header("ETag")) == (before.body, before.header("ETag"))


def test_a_window_that_ends_before_it_starts_is_refused(app: Flask) -> None:
    early = {**OFFER, "valid_from": "2026-12-01T00:00:00Z", "valid_to": "2026-11-30T23:00:00-05:00"}
    assert call(app, "PUT", ITEM, early).status == 201  # West of Greenwich it ends four hours later.
    reply = call(app, "PUT", ITEM, {**early, "valid_to": "2026-11-30T23:00:00Z"}, if_match="*")
    assert (reply.status, reply.pointers) == (422, ["/valid_to"])


def test_a_rule_on_an_unknown_field_is_told_what_it_may_have_meant(app: Flask) -> None:
    reply = call(app, "PUT", ITEM, with_terms(eligibility={**AGE, "field": "attribute.age"}))
    (error,) = reply.json["errors"]
    assert "did you mean attributes.age?" in error["detail"]


def test_a_locale_is_the_same_in_small_and_in_capital_letters(app: Flask) -> None:
    title, text = {"zh-Hans": "储蓄账户"}, {"ZH-hans": "利率可能变动。"}
    disclosed = with_terms(disclosures=[{"id": "rate", "version": 1, "text": text}])
    assert call(app, "PUT", ITEM, {**disclosed, "title": title}).status == 201


def test_an_assessment_says_what_target_markets_compare(app: Flask, services: Services) -> None:
    suitability = {"max_risk_class": 4, "objectives": ["growth", "income", "growth"], "horizon_years": 5}
    put = call(app, "PUT", "/v1/customers/c1", {"suitability": suitability}, key="rs_privacy")
    assert put.json["suitability"]["objectives"] == ["growth", "income"]
    wrong = {"suitability": {"objectives": "growth"}}
    reply = call(app, "PUT", "/v1/customers/c2", wrong, key="rs_privacy")
    assert (reply.status, reply.pointers) == (422, ["/suitability/objectives"])
