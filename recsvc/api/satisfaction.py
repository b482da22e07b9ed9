"""For analysts: how content customers are. In: a window, a grouping. Out: NPS, CSAT, CES with intervals."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from recsvc.api.bodies import JSON
from recsvc.api.documents import CHANGE_HEADERS
from recsvc.api.endpoints import Endpoints, services
from recsvc.api.long_reads import LONG_READS
from recsvc.api.problems import REPORT_NOT_READY
from recsvc.api.satisfaction_schemas import SatisfactionQuery, SatisfactionSchema
from recsvc.domain.access import Scope as AccessScope
from recsvc.domain.satisfaction import Interval, Share
from recsvc.domain.surveys import (
    CesFigure,
    CsatFigure,
    GroupSatisfaction,
    NpsFigure,
    SatisfactionReport,
    VariantDifference,
)
from recsvc.experimentation.satisfaction import SatisfactionQuestion

satisfaction = Endpoints("satisfaction", "How content customers are.")

_SHARE = {"value": 78.0, "interval": {"low": 68.93, "high": 85.0}}
_GROUP = {
    "name": None,
    "customers": 1250,
    "nps": {
        "value": 30.0,
        "interval": {"low": 14.05, "high": 44.2},
        "promoters": 50,
        "passives": 30,
        "detractors": 20,
        "n": 100,
        "response_rate": 0.08,
    },
    "csat": {**_SHARE, "n": 100, "response_rate": 0.08},
    "ces": None,
}
_EXAMPLE = {
    "as_of": "2026-11-22T10:20:00Z",
    "since": "2026-08-24T10:20:00Z",
    "until": "2026-11-22T10:20:00Z",
    "by": "channel",
    "channel": None,
    "experiment": None,
    "total": _GROUP,
    "groups": [{**_GROUP, "name": "web"}],
    "nps_differences": [],
    "off_scale": 0,
}


@satisfaction.get(
    "/v1/cx",
    requires=AccessScope.AUDIT_READ,
    query=SatisfactionQuery,
    answers=SatisfactionSchema,
    headers=CHANGE_HEADERS,
    example=_EXAMPLE,
    problems=(REPORT_NOT_READY,),
)
def get_satisfaction(query: dict[str, Any]) -> Response:
    """NPS, CSAT and CES from survey events, with 95 % intervals and response rates, in all and by group.

    Every customer counts once in a group, with the latest answer there. Days, weeks and months are those of
    UTC. Segments are by recorded attributes. Of an experiment, its present phase: an answer counts for the
    variant that the customer met first, and from then on. What reads much is made, and kept for a while, as
    results of experiments are: `as_of` says of which moment it is.
    """
    report = services().satisfaction.report(SatisfactionQuestion(**query), LONG_READS.place())
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(_shown(report)), mimetype=JSON, headers=headers)


def _shown(report: SatisfactionReport) -> dict[str, Any]:
    scope = report.scope
    experiment = scope.experiment
    return {
        "as_of": report.as_of,
        "since": scope.since,
        "until": scope.until,
        "by": report.by,
        "channel": scope.channel,
        "experiment": experiment and {"key": experiment.key, "phase": experiment.phase},
        "total": _group(report.total),
        "groups": [_group(one) for one in report.groups],
        "nps_differences": [_difference(one) for one in report.nps_differences],
        "off_scale": report.n_off_scale,
    }


def _group(group: GroupSatisfaction) -> dict[str, Any]:
    return {
        "name": group.name,
        "customers": group.n_customers,
        "nps": group.nps and _nps(group.nps),
        "csat": group.csat and _csat(group.csat),
        "ces": group.ces and _ces(group.ces),
    }


def _nps(figure: NpsFigure) -> dict[str, Any]:
    return {
        "value": figure.score.value,
        "interval": _interval(figure.score.adjusted),
        "promoters": figure.answers.promoters,
        "passives": figure.answers.passives,
        "detractors": figure.answers.detractors,
        "n": figure.score.n,
        "response_rate": figure.response_rate,
    }


def _csat(figure: CsatFigure) -> dict[str, Any]:
    return {**_share(figure.share), "n": figure.share.n, "response_rate": figure.response_rate}


def _ces(figure: CesFigure) -> dict[str, Any]:
    return {
        "value": figure.mean.value,
        "interval": figure.mean.interval and _interval(figure.mean.interval),
        "easy": _share(figure.easy),
        "n": figure.mean.n,
        "response_rate": figure.response_rate,
    }


def _share(share: Share) -> dict[str, Any]:
    return {"value": share.value, "interval": _interval(share.interval)}


def _interval(interval: Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high}


def _difference(one: VariantDifference) -> dict[str, Any]:
    found = one.nps
    return {
        "variant": one.variant,
        "control": one.control,
        "value": found and found.value,
        "standard_error": found and found.standard_error,
        "z": found and found.z,
        "p": found and found.p,
    }
