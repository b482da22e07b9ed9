"""What an experiment may say beyond its shape. In: a parsed body. Out: an experiment, or every fault in it.

Faults of shape and of value are told together. So each rule here reads values of any shape, and passes over
what the schema finds at fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recsvc.api.event_rules import read_moment
from recsvc.api.experiment_schemas import MAX_LEVERS, MAX_METRICS, ExperimentSchema
from recsvc.api.records import load_body, pointer_token
from recsvc.domain.experiments import (
    MAX_VARIANTS,
    N_LAYER_BUCKETS,
    Analysis,
    Direction,
    Experiment,
    ExperimentStatus,
    ExperimentVariant,
    GuardrailMetric,
)
from recsvc.errors import FieldError, InvalidRequestError
from recsvc.policy import Policy
from recsvc.policy_lists import ListsPolicy

FaultOf = Callable[[str], str | None]
"""Why a model version may not be named; None where it may."""

_ANSWERED_ONLY = frozenset(
    {
        "salt",
        "layer_salt",
        "phase",
        "begun_at",
        "paused_at",
        "stopped_at",
        "paused_because",
        "updated_at",
        "is_on",
    }
)
_LEVERS = ListsPolicy.__struct_fields__
_ENDING = (ExperimentStatus.PAUSED, ExperimentStatus.STOPPED)
_WHOLE_LAYER = [0, N_LAYER_BUCKETS]
_MOST = {"variants": MAX_VARIANTS, "secondary": MAX_METRICS, "guardrails": MAX_METRICS, "layer_range": 2}


@dataclass(frozen=True, slots=True)
class _Known:
    """What may be named. `spared` are names that are not asked about."""

    policy: Policy
    fault_of: FaultOf
    spared: frozenset[str]

    def fault_of_version(self, version: str) -> str | None:
        """Why the model version may not be named; None where it may."""
        return None if version in self.spared else self.fault_of(version)

    def has_metric(self, name: str) -> bool:
        """Whether the metric may be named."""
        return name in self.spared or self.policy.metric(name) is not None


def experiment_of(
    body: Any,
    key: str,
    policy: Policy,
    fault_of: FaultOf,
    before: Experiment | None = None,
    *,
    now: datetime,
) -> Experiment:
    """The experiment of a body, that is to come after `before`, `now`.

    Whoever pauses or stops one that is open is not told that what it names is gone: a model that was
    withdrawn is a reason to stop.

    Raises:
        InvalidRequestError: naming each place that breaks a rule.
    """
    if isinstance(body, dict) and (too_long := list(_faults_of_length(body))):
        raise InvalidRequestError(too_long)  # What is in there is not read: a body of it costs seconds.
    loaded: dict[str, Any] = {}
    errors: list[FieldError] = []
    try:
        loaded = load_body(ExperimentSchema(), body)
    except InvalidRequestError as error:
        errors += error.errors
    if isinstance(body, dict):
        found = {error.pointer for error in errors}
        known = _Known(policy, fault_of, _spared(body, before))
        faults = [*_faults(body, key, known), *_faults_of_beginning(body, before, now)]
        errors += [error for error in faults if error.pointer not in found]
    if errors:
        raise InvalidRequestError(errors)
    return _made(loaded, key, policy)


def _faults_of_length(body: Mapping[str, Any]) -> Iterator[FieldError]:
    for name, most in _MOST.items():
        given = body.get(name)
        if isinstance(given, list) and len(given) > most:
            yield FieldError(f"/{name}", f"must be at most {most}, these are {len(given)}")
    variants = body.get("variants")
    for place, one in enumerate(variants[:MAX_VARIANTS] if isinstance(variants, list) else ()):
        levers = one.get("policy") if isinstance(one, dict) else None
        if isinstance(levers, dict) and len(levers) > MAX_LEVERS:
            yield FieldError(f"/variants/{place}/policy", f"must be at most {MAX_LEVERS} levers")


def _made(loaded: Mapping[str, Any], key: str, policy: Policy) -> Experiment:
    said = {name: value for name, value in loaded.items() if name not in _ANSWERED_ONLY}
    said["variants"] = tuple(ExperimentVariant(**variant) for variant in said["variants"])
    said["guardrails"] = tuple(_guardrail(one, policy) for one in said.get("guardrails", ()))
    said["secondary"] = tuple(said.get("secondary", ()))
    said["layer_range"] = tuple(said.get("layer_range", _WHOLE_LAYER))
    try:
        return Experiment(**{**said, "key": key})
    except ValueError as error:
        raise InvalidRequestError([FieldError("", str(error))]) from error


def _guardrail(given: Mapping[str, Any], policy: Policy) -> GuardrailMetric:
    metric = policy.metric(given["metric"])
    own = {} if metric is None else {"direction": Direction(metric.better)}  # None: its name was spared.
    return GuardrailMetric(**{**own, **given})


def _spared(body: Mapping[str, Any], before: Experiment | None) -> frozenset[str]:
    if before is None or not before.is_open or body.get("status") not in _ENDING:
        return frozenset()
    versions = [one.model_version for one in before.variants if one.model_version is not None]
    levers = [name for one in before.variants for name in one.policy]
    guards = [one.metric for one in before.guardrails]
    return frozenset([*versions, *levers, before.primary_metric, *before.secondary, *guards])


def _faults(body: Mapping[str, Any], key: str, known: _Known) -> Iterator[FieldError]:
    if body.get("key", key) != key:
        yield FieldError("/key", "must be the key in the path")
    yield from _faults_of_variants(body.get("variants"), known)
    yield from _faults_of_layer(body)
    yield from _faults_of_time(body)
    yield from _faults_of_metrics(body, known)
    if body.get("power") in (0, 1):
        yield FieldError("/power", "must be above 0 and below 1")


def _faults_of_variants(variants: Any, known: _Known) -> Iterator[FieldError]:
    given = [one for one in variants if isinstance(one, dict)] if isinstance(variants, list) else []
    weights: list[Any] = [one.get("weight") for one in given]
    in_percent = all(type(weight) is int and 0 <= weight <= 100 for weight in weights)
    if given and in_percent and sum(weights) != 100:
        yield FieldError("/variants", f"the weights must sum to 100, these sum to {sum(weights)}")
    first: dict[str, int] = {}
    faults: dict[str, str | None] = {}
    for place, variant in enumerate(variants if given else ()):
        if not isinstance(variant, dict):
            continue
        key, version = variant.get("key"), variant.get("model_version")
        if isinstance(key, str) and first.setdefault(key, place) != place:
            yield FieldError(f"/variants/{place}/key", f"stands at /variants/{first[key]} already")
        if isinstance(version, str):
            if version not in faults:
                faults[version] = known.fault_of_version(version)
            if fault := faults[version]:
                yield FieldError(f"/variants/{place}/model_version", fault)
        if isinstance(variant.get("policy"), dict):
            yield from _faults_of_levers(variant["policy"], f"/variants/{place}/policy", known.spared)


def _faults_of_levers(levers: Mapping[str, Any], place: str, spared: frozenset[str]) -> Iterator[FieldError]:
    for name, value in levers.items():
        if name in spared:
            continue
        pointer = f"{place}/{pointer_token(name)}"
        if name not in _LEVERS:
            yield FieldError(pointer, f"is not a lever{_hint(name, _LEVERS)}")
        elif type(value) in (int, float):
            try:
                ListsPolicy(**{name: value})
            except ValueError as error:
                yield FieldError(pointer, str(error))


def _faults_of_layer(body: Mapping[str, Any]) -> Iterator[FieldError]:
    given = body.get("layer_range", _WHOLE_LAYER)
    if not (isinstance(given, list) and len(given) == 2 and all(type(bound) is int for bound in given)):
        return
    if given[0] >= given[1]:
        yield FieldError("/layer_range", "the first must be below the second")
    elif body.get("layer") is None and given != _WHOLE_LAYER:
        yield FieldError("/layer_range", "needs a layer: name one, or leave the range out")


def _faults_of_time(body: Mapping[str, Any]) -> Iterator[FieldError]:
    start, end = _moment(body.get("start")), _moment(body.get("end"))
    if start and end and start >= end:
        yield FieldError("/end", "must be after start")
    is_judged_once = body.get("analysis") == Analysis.FIXED and body.get("status") == ExperimentStatus.RUNNING
    if is_judged_once and body.get("end") is None:
        yield FieldError(
            "/end", "must be given where the analysis is fixed: the test is judged then, and once"
        )


def _faults_of_beginning(
    body: Mapping[str, Any], before: Experiment | None, now: datetime
) -> Iterator[FieldError]:
    """A phase cannot begin when it is over: nobody would be in it, and a fixed test be judged at once."""
    begins = body.get("status") == ExperimentStatus.RUNNING and not (before and before.is_open)
    end = _moment(body.get("end"))
    if begins and end is not None and end <= now:
        yield FieldError("/end", "must lie ahead when the experiment begins")


def _faults_of_metrics(body: Mapping[str, Any], known: _Known) -> Iterator[FieldError]:
    named: list[tuple[str, Any]] = [("/primary_metric", body.get("primary_metric"))]
    for name in ("secondary", "guardrails"):
        if isinstance(body.get(name), list):
            named += [(f"/{name}/{place}", one) for place, one in enumerate(body[name])]
    first: dict[tuple[str, str], str] = {}
    for pointer, one in named:
        among = pointer.rpartition("/")[0]
        if isinstance(one, dict):
            if one.get("margin") == 0:
                yield FieldError(f"{pointer}/margin", "must be above 0")
            pointer, one = f"{pointer}/metric", one.get("metric")
        if isinstance(one, str) and (earlier := first.setdefault((among, one), pointer)) != pointer:
            yield FieldError(pointer, f"stands at {earlier} already")
        elif isinstance(one, str) and not known.has_metric(one):
            metrics = [*known.policy.experiments.all_metrics(), *known.policy.interaction_types]
            yield FieldError(
                pointer, f"is no metric of the policy and no interaction type{_hint(one, metrics)}"
            )


def _moment(value: Any) -> datetime | None:
    try:
        return read_moment(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _hint(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name[:64], known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; it takes {', '.join(dict.fromkeys(known))}"
