"""Fit, calibrate and judge a propensity model. In: a history, offers, customers. Out: a model and its arrays.

Models that have not seen a customer predict the customer's sendings; these predictions calibrate the model
that is fitted on everything, and say how good it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.propensity import PropensityModel, PropensityPlan
from recsvc.bundles.propensity_features import OF_OFFER, RATES, feature_names, n_of_customer
from recsvc.bundles.propensity_offers import rate_values
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.propensity import PropensityRules
from recsvc.history.interactions import InteractionTable
from recsvc.training.propensity.boosting import Rows, boost, calibrate, calibrated, tree_arrays
from recsvc.training.propensity.examples import Examples, make_examples
from recsvc.training.propensity.judging import judge
from recsvc.training.propensity.pasts import counts_of, read_pasts, records_of
from recsvc.training.propensity.planning import plan_model

N_FOLDS = 5
_JUDGED_ON = "sendings to customers whom the judged models had not seen"


@dataclass(frozen=True, slots=True)
class PropensityChoice:
    """The model, None where there is none; why; the arrays of the bundle."""

    model: PropensityModel | None
    why: str
    arrays: Mapping[str, NDArray[Any]]


def fit_propensity(
    table: InteractionTable,
    items: Sequence[Item],
    customers: Sequence[Customer],
    rules: PropensityRules,
    *,
    since: datetime | None,
    until: datetime | None,
    seed: int,
    is_asked: Callable[[Item], bool] = lambda offer: True,
) -> PropensityChoice:
    """Learn from every sending of an offer, as far as it was seen from `since` to `until`.

    Args:
        is_asked: whose propensities will be asked for; what became of others is still part of a history.
    """
    offers = [item for item in items if item.kind is ItemKind.OFFER]
    if since is None or until is None or not offers:
        return _none("the history has no times" if offers else "there are no offers")
    attributes = {one.customer_id: one.attributes for one in customers}
    pasts = read_pasts(table, offers, rules)
    plan = plan_model(
        rules,
        (since, until),
        (attributes.get(past.customer_id, {}) for past in pasts),
        offers,
        records_of(pasts, offers, rules, until),
    )
    examples = make_examples(pasts, list(filter(is_asked, offers)), attributes, plan, until=until)
    if (reason := _why_too_few(examples, rules)) is not None:
        return _none(reason)
    return _fitted(examples, plan, seed=seed)


def _none(reason: str) -> PropensityChoice:
    return PropensityChoice(None, f"no propensity model: {reason}", {})


def _why_too_few(examples: Examples, rules: PropensityRules) -> str | None:
    n, n_closed = len(examples), int(examples.closed.sum())
    n_responses = int(examples.responded[examples.closed].sum())
    fewest = min(n_responses, n_closed - n_responses)
    needed = rules.offers
    if n_closed >= needed.least_sendings and fewest >= needed.least_responses:
        return None
    return (
        f"of {n:,} offers sent {n_closed:,} have had their time, and {n_responses:,} of these a response; "
        f"{needed.least_sendings:,} are needed, {needed.least_responses:,} of them with and as many without"
    )


def _fitted(examples: Examples, plan: PropensityPlan, *, seed: int) -> PropensityChoice:
    values = _with_rates_of_others(examples, plan)
    raw = np.empty(len(examples))
    for fold in range(N_FOLDS):
        held_out = examples.customers % N_FOLDS == fold
        trees = boost(values[~held_out], examples.responded[~held_out], seed=seed)
        raw[held_out] = trees.raw(values[held_out])
    closed = examples.closed
    calibration = calibrate(raw[closed], examples.responded[closed])
    report = judge(
        calibrated(raw[closed], calibration),
        examples.responded[closed],
        examples.customers[closed],
        judged_on=_JUDGED_ON,
        seed=seed,
    )
    baseline, arrays = tree_arrays(boost(values, examples.responded, seed=seed))
    model = PropensityModel(plan, feature_names(plan), baseline, report)
    auc = report.metrics["auc"]
    why = (
        f"propensities of {len(plan.offers):,} offers learned from {len(examples):,} sendings: "
        f"auc {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"
    )
    return PropensityChoice(model, why, {**arrays, "propensity_calibration": calibration})


def _with_rates_of_others(examples: Examples, plan: PropensityPlan) -> Rows:
    """The numbers where the rates of offers leave out the customers of the row's own fold.

    Else the rate of an offer that was sent to few would tell what these few did.
    """
    values = examples.values.copy()
    first = n_of_customer(plan) + len(OF_OFFER) - len(RATES)
    for fold in range(N_FOLDS):
        held_out = examples.customers % N_FOLDS == fold
        others = (examples.sendings[row] for row in np.flatnonzero(~held_out).tolist())
        rates = rate_values(examples.items, counts_of(others, plan.until), plan)
        values[held_out, first : first + len(RATES)] = rates[examples.offers[held_out]]
    return values
