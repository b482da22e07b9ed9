"""For analysts: what an experiment says, and how long one must run. In: a key or a wish. Out: figures."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from recsvc.api.bodies import JSON, JsonBody
from recsvc.api.documents import CHANGE_HEADERS
from recsvc.api.endpoints import Answered, BodyForm, Endpoints, services
from recsvc.api.long_reads import LONG_READS
from recsvc.api.problems import CONFLICT, NOT_FOUND, REPORT_NOT_READY
from recsvc.api.records import load_body
from recsvc.api.result_examples import PLAN_EXAMPLE, REPORT_EXAMPLE, WISH_EXAMPLE
from recsvc.api.result_schemas import ExperimentReportSchema, PlanSchema, PlanWishSchema, ResultsQuery
from recsvc.api.results_page import answer_page
from recsvc.domain.access import Scope
from recsvc.errors import FieldError, InvalidRequestError
from recsvc.experimentation.plans import PlanWish

experiment_results = Endpoints("experiment results", "What experiments say, and how long they must run.")

_NOT_KEPT = {"Cache-Control": "no-store"}


@experiment_results.get(
    "/v1/experiments/<key>/results",
    requires=Scope.EXPERIMENTS_WRITE,
    query=ResultsQuery,
    answers=ExperimentReportSchema,
    headers=CHANGE_HEADERS,
    example=REPORT_EXAMPLE,
    problems=(NOT_FOUND, REPORT_NOT_READY),
)
def get_experiment_results(key: str, query: dict[str, Any]) -> Response:
    """One verdict for each arm of the experiment's present phase, and everything that it stands on.

    Counted from exposures and events, per customer. `holdout` is the hold-out across all experiments. The
    checks come first; where they fail, or there is nothing to compare, the reason is told and no figure that
    looks like one. `view=page` is the same as a page for people, without scripts. What reads much is made by
    another process and kept for a while: `as_of` says of which moment it is. While it is made, and this
    worker makes or waits for another such answer, the answer is 503 with Retry-After.
    """
    report = services().experiment_results.report(key, LONG_READS.place())
    if query["view"] == "page":
        return answer_page(report)
    return Response(msgspec.json.encode(report), mimetype=JSON, headers=_NOT_KEPT)


@experiment_results.change(
    "POST",
    "/v1/experiments/plan",
    requires=Scope.EXPERIMENTS_WRITE,
    takes=(BodyForm(JSON, PlanWishSchema, WISH_EXAMPLE),),
    answer=Answered(200, PlanSchema, CHANGE_HEADERS, PLAN_EXAMPLE),
    problems=(CONFLICT, REPORT_NOT_READY),
)
def plan_experiment(body: JsonBody) -> Response:
    """How many customers and days it takes to find an effect, by the store's own rates.

    The baseline is what customers did from their first event in the lookback on, to `until`. A store that
    cannot say is a conflict that names what is missing. What reads much is made, and kept for a while, as
    results are.
    """
    wish = _wish_of(load_body(PlanWishSchema(), body.value))
    plan = services().experiment_results.plan(wish, LONG_READS.place())
    return Response(msgspec.json.encode(plan), mimetype=JSON, headers=_NOT_KEPT)


def _wish_of(given: dict[str, Any]) -> PlanWish:
    weights = tuple(given.pop("weights", (50, 50)))
    try:
        return PlanWish(**given, weights=weights)
    except ValueError as error:
        place = "/weights" if "weights" in str(error) else "/minimum_effect"
        raise InvalidRequestError([FieldError(place, str(error))]) from error
