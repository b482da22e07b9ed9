"""A propensity model learns who responds, from what was known when it was sent, and says how sure it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from msgspec.structs import replace as with_changes

from recsvc.bundles.propensity import PropensityModel
from recsvc.bundles.propensity_features import feature_names
from recsvc.domain.items import Item, ItemKind
from recsvc.training.propensity.boosting import boost, calibrated, tree_arrays
from recsvc.training.propensity.examples import Examples, make_examples
from recsvc.training.propensity.fitting import _with_rates_of_others, fit_propensity
from recsvc.training.propensity.pasts import read_pasts
from tests.training.examples import shuffled, table_of

from .examples import CUSTOMERS, OFFERS, RULES, SINCE, UNTIL, fit, fitted, happenings

ATTRIBUTES = {one.customer_id: one.attributes for one in CUSTOMERS}


def model() -> PropensityModel:
    found = fitted().model
    assert found is not None
    return found


def examples(until=UNTIL) -> Examples:  # type: ignore[no-untyped-def]
    pasts = read_pasts(table_of(*happenings()), OFFERS, RULES)
    return make_examples(pasts, OFFERS, ATTRIBUTES, model().plan, until=until)


def column(of: Examples, name: str) -> np.ndarray:
    return of.values[:, feature_names(model().plan).index(name)]


def test_it_tells_who_spends_enough_from_who_does_not() -> None:
    report = model().report
    assert report.metrics["auc"].low > 0.8
    assert report.metrics["ece"].value < 0.06
    assert report.metrics["auc"].low < report.metrics["auc"].value < report.metrics["auc"].high
    assert sum(one.sendings for one in report.reliability) == report.sendings


def test_each_attribute_becomes_numbers_by_what_it_holds() -> None:
    kinds = {one.name: one.kind for one in model().plan.attributes}
    assert kinds == {"age": "number", "town": "words", "joined": "date"}


def test_what_is_not_known_of_a_customer_is_missing_and_not_zero() -> None:
    of = examples()
    without = np.isnan(column(of, "attribute:age"))
    assert without.sum() == np.isnan(column(of, "attribute:town=Oslo")).sum()
    assert 0.4 < without.mean() < 0.6


def test_an_offer_whose_time_is_not_up_is_learned_from_for_the_days_that_were_seen() -> None:
    until = SINCE + timedelta(days=34)
    of = examples(until)
    is_open = ~of.closed
    assert is_open.any() and of.closed.any()
    assert set(column(of, "days_left")[is_open]) == {4.0}
    for row in np.flatnonzero(of.responded & is_open).tolist():
        assert of.sendings[row].responded_at is not None


def test_an_offer_that_was_just_sent_is_not_learned_from() -> None:
    assert not any(
        one.sent_at >= SINCE + timedelta(days=30) for one in examples(SINCE + timedelta(days=31)).sendings
    )


def test_what_a_row_knows_hangs_on_nothing_that_came_after_its_sending() -> None:
    moment = SINCE + timedelta(days=30)
    known = [one for one in happenings() if one.occurred_at < moment or one.type == "impression"]
    pasts = read_pasts(table_of(*known), OFFERS, RULES)
    of_both = (examples(), make_examples(pasts, OFFERS, ATTRIBUTES, model().plan, until=UNTIL))
    rows = [
        sorted(
            (one.sent_at, one.item_id, tuple(np.nan_to_num(numbers, nan=-1)))
            for one, numbers in zip(of.sendings, of.values, strict=True)
            if one.sent_at <= moment
        )
        for of in of_both
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 800


def test_shuffled_rows_and_other_ids_change_nothing() -> None:
    shuffled_rows = fit(shuffled(table_of(*happenings())))
    renamed = [with_changes(one, customer_id=f"x{999 - int(one.customer_id[1:]):03}") for one in happenings()]
    customers = tuple(replace(one, customer_id=f"x{999 - int(one.customer_id[1:]):03}") for one in CUSTOMERS)
    for other in (shuffled_rows, fit(table_of(*renamed), customers=customers)):
        assert other.model == fitted().model
        for name, array in fitted().arrays.items():
            assert np.array_equal(array, other.arrays[name]), name


def test_rates_of_offers_do_not_hold_the_outcome_they_are_to_tell() -> None:
    of = examples()
    rates = _with_rates_of_others(of, model().plan)
    changed = replace(of, responded=~of.responded)
    assert np.array_equal(rates, _with_rates_of_others(changed, model().plan), equal_nan=True)
    place = feature_names(model().plan).index("offer_rate")
    of_offer = rates[of.offers == 0][:, place]
    assert len(set(of_offer)) > 1  # One for each fold: each without its own customers.


@pytest.mark.parametrize("needed", [{"least_sendings": 5_000}, {"least_responses": 2_000}])
def test_too_few_sendings_make_no_model_and_it_says_how_many_are_needed(needed: dict[str, int]) -> None:
    policy = RULES.offers
    rules = replace(RULES, offers=type(policy)(**{"least_sendings": 300, "least_responses": 30, **needed}))
    choice = fit(rules=rules)
    assert choice.model is None and choice.arrays == {}
    assert f"{next(iter(needed.values())):,}" in choice.why


def test_without_offers_or_times_there_is_no_model() -> None:
    article = Item("o0", ItemKind.CONTENT)
    table = table_of(*happenings())
    nothing = fit_propensity(table, [article], CUSTOMERS, RULES, since=SINCE, until=UNTIL, seed=1)
    assert "there are no offers" in nothing.why
    timeless = fit_propensity(table, OFFERS, CUSTOMERS, RULES, since=None, until=None, seed=1)
    assert "no times" in timeless.why


def test_the_arrays_are_the_trees_of_the_library() -> None:
    of = examples()
    trees = boost(of.values, of.responded, seed=4)
    baseline, arrays = tree_arrays(trees)
    walked = baseline + sum(
        _walk(arrays, tree, of.values) for tree in range(len(arrays["propensity_trees"]) - 1)
    )
    assert np.abs(walked - trees.raw(of.values)).max() < 1e-9
    assert calibrated(np.array([0.0]), np.array([2.0, 0.0]))[0] == 0.5


def _walk(arrays, tree, values):  # type: ignore[no-untyped-def]
    """One tree, row by row, from node to node."""
    found = np.empty(len(values))
    for row, numbers in enumerate(values):
        node = arrays["propensity_trees"][tree]
        while (feature := arrays["propensity_feature"][node]) >= 0:
            number = numbers[feature]
            goes_left = (
                arrays["propensity_missing_left"][node]
                if np.isnan(number)
                else number <= arrays["propensity_threshold"][node]
            )
            node = arrays["propensity_left" if goes_left else "propensity_right"][node]
        found[row] = arrays["propensity_value"][node]
    return found
