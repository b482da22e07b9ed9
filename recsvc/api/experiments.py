"""For analysts: experiments as they are registered. In: experiments as JSON. Out: them in their phases."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from recsvc.api.bodies import JSON, JsonBody
from recsvc.api.documents import CHANGE_HEADERS, RECORD_HEADERS
from recsvc.api.endpoints import Answered, BodyForm, Endpoints, services
from recsvc.api.experiment_examples import ASSIGNMENT_EXAMPLE, EXPERIMENT_ANSWERED, EXPERIMENT_EXAMPLE
from recsvc.api.experiment_rules import experiment_of
from recsvc.api.experiment_schemas import (
    AnsweredExperimentSchema,
    AssignmentQuery,
    AssignmentSchema,
    ExperimentSchema,
    ExperimentsSchema,
)
from recsvc.api.problems import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, PRECONDITION_REQUIRED
from recsvc.api.records import expected_version, show_record, show_written
from recsvc.domain.access import Scope
from recsvc.domain.experiments import Experiment
from recsvc.domain.records import Versioned, Written
from recsvc.errors import NotFoundError

experiments = Endpoints("experiments", "Compare model versions: register, begin, pause, stop.")

_ALL = "/v1/experiments"
_ONE = f"{_ALL}/<key>"
_UNCACHED = {"Cache-Control": "no-store"}


@experiments.get(
    _ALL,
    requires=Scope.EXPERIMENTS_WRITE,
    answers=ExperimentsSchema,
    headers=CHANGE_HEADERS,
    example={"experiments": [EXPERIMENT_ANSWERED]},
)
def get_experiments() -> Response:
    """Every experiment by key, the stopped ones included; the policy's hold-out comes first."""
    shown = [_shown(one) for one in services().experiments.experiments()]
    return Response(msgspec.json.encode({"experiments": shown}), mimetype=JSON, headers=_UNCACHED)


@experiments.get(
    _ONE,
    requires=Scope.EXPERIMENTS_WRITE,
    answers=AnsweredExperimentSchema,
    headers=RECORD_HEADERS,
    example=EXPERIMENT_ANSWERED,
    problems=(NOT_FOUND,),
)
def get_experiment(key: str) -> Response:
    """The experiment as it is kept, with its phase and its salts."""
    found = services().experiments.get(key)
    return show_record(None if found is None else Versioned(_shown(found), found.etag), "experiment")


@experiments.change(
    "PUT",
    _ONE,
    requires=Scope.EXPERIMENTS_WRITE,
    takes=(BodyForm(JSON, ExperimentSchema, EXPERIMENT_EXAMPLE),),
    answer=Answered(200, AnsweredExperimentSchema, RECORD_HEADERS, EXPERIMENT_ANSWERED),
    more_answers={201: "There was no such experiment; Location says where it is now."},
    problems=(CONFLICT, PRECONDITION_FAILED, PRECONDITION_REQUIRED),
)
def put_experiment(key: str, body: JsonBody) -> Response:
    """Register the experiment, or replace it whole. A status of running begins a phase.

    To replace one, send its ETag as If-Match. While a phase goes on, variants, place in the layer and what
    decides are held to (409); coverage may rise. Draft goes to running, running to paused or stopped, paused
    to running or stopped, and stopped to draft or to running, which begins the next phase. To pause or stop
    one needs none of what it names: neither its models nor its metrics have to be there any more.
    """
    desk = services().experiments
    before = desk.get(key)
    experiment = experiment_of(
        body.value,
        key,
        services().policy,
        desk.fault_of,
        before.value if before else None,
        now=services().clock(),
    )
    registered = desk.put(experiment, expected=expected_version(desk.get, key))
    kept = registered.experiment
    return show_written(_shown(kept), Written(kept.etag, registered.created))


@experiments.get(
    f"{_ONE}/assignment",
    requires=Scope.EXPERIMENTS_WRITE,
    answers=AssignmentSchema,
    query=AssignmentQuery,
    headers=CHANGE_HEADERS,
    example=ASSIGNMENT_EXAMPLE,
    problems=(NOT_FOUND,),
)
def get_assignment(key: str, query: dict[str, Any]) -> Response:
    """Which variant a customer falls in, whatever the status. Nobody is exposed by asking.

    Of several experiments that a customer falls in, the one that was begun first decides their answers.
    """
    found = services().experiments.assignment(key, query["customer_id"])
    if found is None:
        raise NotFoundError("there is no such experiment")
    return Response(msgspec.json.encode(found), mimetype=JSON, headers=_UNCACHED)


def _shown(kept: Versioned[Experiment]) -> dict[str, Any]:
    experiment = kept.value
    shown: dict[str, Any] = msgspec.to_builtins(experiment)
    return {
        **shown,
        "salt": experiment.salt,
        "layer_salt": experiment.layer_salt,
        "updated_at": kept.written_at,
        "is_on": experiment.is_on(services().clock()),
    }
