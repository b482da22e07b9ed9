"""Customers come in every kind that a gate must tell apart."""

from __future__ import annotations

import re
from collections import Counter

import polars as pl

from recsvc.domain.condition_facts import facts_of, known_fields
from recsvc.domain.condition_reading import parse_condition
from recsvc.domain.items import Channel
from recsvc.policy import load_policy
from recsvc.sample_bank import SampleBank, Stage

from .conftest import END


def test_most_ids_are_plain_and_a_few_are_of_other_legal_shapes(bank: SampleBank) -> None:
    ids = [customer.customer_id for customer in bank.customers]
    odd = [one for one in ids if not re.fullmatch(r"c\d{4}", one)]
    assert 2 <= len(odd) <= 10
    assert any(re.fullmatch(r"[0-9a-f]{32}", one) for one in odd)
    assert any(re.fullmatch(r"-\d{18,19}", one) for one in odd)
    assert set(odd) <= set(bank.events["customer_id"])


def test_consents_were_given_refused_and_never_asked_for(bank: SampleBank) -> None:
    n = len(bank.customers)
    asked = [customer.consents for customer in bank.customers if customer.consents]
    assert 0.04 * n <= n - len(asked) <= 0.15 * n
    assert 0.05 * n <= sum(not one.personalisation for one in asked) <= 0.2 * n
    for channel in Channel:
        assert 0.2 * n <= sum(channel in one.marketing for one in asked) <= 0.9 * n


def test_suitability_is_known_unknown_or_run_out(bank: SampleBank) -> None:
    n = len(bank.customers)
    known = [customer.suitability for customer in bank.customers if customer.suitability]
    assert 0.2 * n <= n - len(known) <= 0.4 * n
    assert 0.04 * n <= sum(one.limit_at(END) is None for one in known) <= 0.12 * n
    assert set(Counter(one.max_risk_class for one in known)) == {1, 2, 3, 4, 5, 6}
    assert {one.client_type for one in known} == {"retail", "professional"}


def test_locales_and_attributes_are_mostly_known(bank: SampleBank) -> None:
    locales = Counter(customer.locale for customer in bank.customers)
    assert set(locales) == {"en", "zh", None}
    assert locales["zh"] >= 1_000
    full = [customer.attributes for customer in bank.customers if len(customer.attributes) > 1]
    assert 0.95 <= len(full) / len(bank.customers) < 1
    for attributes in full:
        age, tenure = attributes["age"], attributes["tenure_years"]
        assert isinstance(age, int) and 18 <= age <= 95
        assert isinstance(tenure, int) and 0 <= tenure <= age


def test_only_new_customers_are_new_to_the_bank(bank: SampleBank) -> None:
    for customer in bank.customers:
        if "tenure_years" in customer.attributes:
            is_new = bank.truth.lifecycle[customer.customer_id] == Stage.NEW
            assert (customer.attributes["tenure_years"] == 0) == is_new


def test_the_show_customers_can_be_shown(bank: SampleBank, reads: pl.DataFrame) -> None:
    customers = {customer.customer_id: customer for customer in bank.customers}
    tops = [category for one in bank.show_customers for category in bank.truth.top_categories[one]]
    assert len(bank.show_customers) == 5
    assert len(tops) == len(set(tops)) == 10
    assert {customers[one].locale for one in bank.show_customers} == {"en", "zh"}
    for one in bank.show_customers:
        consents, suitability = customers[one].consents, customers[one].suitability
        assert consents is not None and consents.personalisation
        assert set(consents.marketing) == set(Channel)
        assert suitability is not None and (suitability.limit_at(END) or 0) >= 4
        assert reads.filter(pl.col("customer_id") == one)["item_id"].n_unique() >= 20
        assert one not in bank.truth.drifting


def test_every_rule_of_an_offer_is_fulfilled_by_some_customers_and_not_by_others(bank: SampleBank) -> None:
    fields = known_fields(load_policy())
    facts = [facts_of(one, None, (), as_of=END) for one in bank.customers]
    for item in bank.items:
        # Nobody's portrait is drawn here: a rule that asks for one is closed to all.
        rule = item.offer_terms.eligibility
        if rule is None or "profile." in str(rule):
            continue
        condition = parse_condition(rule, fields)
        share = sum(map(condition.holds, facts)) / len(facts)
        assert 0.02 < share < 0.98, item.title["en"]


def test_every_target_market_names_some_customers(bank: SampleBank) -> None:
    assessed = [one.suitability for one in bank.customers if one.suitability]
    for item in bank.items:
        market = item.offer_terms.target_market
        if market is not None:
            assert any(
                one.knowledge in market.knowledge
                and (not market.loss_capacity or one.loss_capacity in market.loss_capacity)
                and (not market.objectives or {*one.objectives} & {*market.objectives})
                and (one.horizon_years or 0) >= (market.min_horizon_years or 0)
                for one in assessed
            ), item.title["en"]
