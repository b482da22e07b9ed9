"""Serving asks the model about what it has learned from, and answers as the library that fitted it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsvc.bundles.propensity_features import feature_names
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.serving.offers.propensity import PropensityScorer
from recsvc.training.propensity.boosting import boost, calibrated, tree_arrays
from recsvc.training.propensity.examples import make_examples
from recsvc.training.propensity.pasts import Past, read_pasts

from ..training.examples import table_of
from ..training.propensity.examples import CUSTOMERS, OFFERS, RULES, UNTIL, fitted, happenings

ATTRIBUTES = {one.customer_id: one.attributes for one in CUSTOMERS}


def scorer() -> PropensityScorer:
    choice = fitted()
    assert choice.model is not None
    return PropensityScorer(choice.model, choice.arrays)


def pasts() -> list[Past]:
    return list(read_pasts(table_of(*happenings()), OFFERS, RULES))


def test_every_propensity_is_that_of_the_library_to_the_ninth_digit() -> None:
    asked = scorer()
    plan = asked.model.plan
    of = make_examples(pasts(), OFFERS, ATTRIBUTES, plan, until=UNTIL)
    trees = boost(of.values, of.responded, seed=9)
    baseline, arrays = tree_arrays(trees)
    calibration = np.array([1.1, -0.2])
    served = PropensityScorer(
        replace(asked.model, baseline=baseline), {**arrays, "propensity_calibration": calibration}
    )
    wanted = {
        (one.sent_at, tuple(np.nan_to_num(numbers, nan=-9))): chance
        for one, numbers, chance in zip(
            of.sendings, of.values, calibrated(trees.raw(of.values), calibration), strict=True
        )
    }
    n_compared = 0
    for past in pasts():
        known = ATTRIBUTES.get(past.customer_id, {})
        for sending in past.sendings:
            if sending.ends_at > UNTIL:  # Of these, training saw less than serving would let them last.
                continue
            facts = served.facts(known, past.interactions, OFFERS, sending.sent_at)
            chances = served.propensities(facts, OFFERS, sending.channel)
            row = int(sending.item_id[1:])
            (alone,) = make_examples(
                [replace(past, sendings=[sending])], OFFERS, ATTRIBUTES, plan, until=UNTIL
            ).values
            chance = wanted[sending.sent_at, tuple(np.nan_to_num(alone, nan=-9))]
            assert abs(chances[row] - chance) < 1e-9
            n_compared += 1
    assert n_compared > 1_000


def test_all_offers_at_once_and_each_alone_have_the_same_chances() -> None:
    asked, past = scorer(), pasts()[7]
    facts = asked.facts({"age": 40}, past.interactions, OFFERS, UNTIL)
    together = asked.propensities(facts, OFFERS, Channel.WEB)
    alone = [asked.propensities(facts, (offer,), Channel.WEB)[0] for offer in OFFERS]
    assert np.array_equal(together, alone)
    assert len(set(together.tolist())) == len(OFFERS)


def test_who_spends_more_is_likelier_to_respond_and_an_easier_offer_is_likelier_taken() -> None:
    asked = scorer()
    spent = {past.customer_id: sum(float(one.value or 0) for one in past.interactions) for past in pasts()}
    by_id = {past.customer_id: past for past in pasts()}
    ordered = sorted(spent, key=spent.__getitem__)

    def mean_of(ids: list[str], row: int) -> float:
        chances = [
            asked.propensities(asked.facts({}, by_id[one].interactions, OFFERS, UNTIL), OFFERS, Channel.WEB)[
                row
            ]
            for one in ids
        ]
        return float(np.mean(chances))

    assert mean_of(ordered[-40:], 2) > mean_of(ordered[:40], 2) + 0.3
    assert mean_of(ordered, 0) > mean_of(ordered, 3) + 0.1


def test_a_new_offer_has_the_rate_of_its_category_for_its_own() -> None:
    asked = scorer()
    new = tuple(
        Item(name, ItemKind.OFFER, category=category, attributes={"difficulty": 15, "duration_days": 6})
        for name, category in (("n1", "cash"), ("n2", "points"), ("n3", "unheard-of"))
    )
    prepared = asked._prepared(new).table
    names = list(feature_names(asked.model.plan))
    first = names.index("value")
    rate, of_category, sendings = (
        prepared.values[:, names.index(name) - first]
        for name in ("offer_rate", "category_rate", "offer_sendings")
    )
    assert np.array_equal(rate, of_category) and not sendings.any()
    assert len(set(rate.tolist())) == 3
    facts = asked.facts({}, pasts()[3].interactions, new, UNTIL)
    chances = asked.propensities(facts, new, None)
    assert ((chances > 0) & (chances < 1)).all()
    assert asked.evidence((*OFFERS, *new)).tolist()[-3:] == [0, 0, 0]
    assert asked.evidence(OFFERS).min() > 50


def test_somebody_of_whom_nothing_is_known_has_a_chance_of_each_offer() -> None:
    asked = scorer()
    facts = asked.facts({}, (), OFFERS, UNTIL)
    chances = asked.propensities(facts, OFFERS, None)
    assert ((chances > 0.01) & (chances < 0.99)).all()


def test_no_offers_have_no_chances() -> None:
    asked = scorer()
    assert len(asked.propensities(asked.facts({}, (), (), UNTIL), (), None)) == 0
