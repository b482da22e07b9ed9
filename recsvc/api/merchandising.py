"""For marketers: what lists shall do for a time. In: rules as JSON. Out: the same, and how they stand now."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from recsvc.api.bodies import JSON, JsonBody
from recsvc.api.documents import CHANGE_HEADERS, RECORD_HEADERS, RULE_EXAMPLE
from recsvc.api.endpoints import Answered, BodyForm, Endpoints, services
from recsvc.api.problems import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, PRECONDITION_REQUIRED
from recsvc.api.record_schemas import MerchandisingRuleSchema, MerchandisingRulesSchema
from recsvc.api.records import expected_version, load_body, rule_of, show_gone, show_record, show_written
from recsvc.domain.access import Scope
from recsvc.domain.records import Versioned
from recsvc.errors import NotFoundError
from recsvc.serving.desks import RuleStanding

merchandising = Endpoints("merchandising", "Pin, boost, bury or block items and categories for a time.")

_RULES = "/v1/merchandising-rules"
_RULE = f"{_RULES}/<rule_id>"
_ANSWERED = {**RULE_EXAMPLE, "position": None, "item_id": None, "is_on": True, "matches": 41}


@merchandising.get(
    _RULES,
    requires=Scope.CATALOGUE_WRITE,
    answers=MerchandisingRulesSchema,
    headers=CHANGE_HEADERS,
    example={"rules": [_ANSWERED]},
)
def get_merchandising_rules() -> Response:
    """Every rule, whether it is on now, and how many items it names."""
    rules = [_shown(one) for one in services().merchandising.standings()]
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode({"rules": rules}), mimetype=JSON, headers=headers)


@merchandising.get(
    _RULE,
    requires=Scope.CATALOGUE_WRITE,
    answers=MerchandisingRuleSchema,
    headers=RECORD_HEADERS,
    example=_ANSWERED,
    problems=(NOT_FOUND,),
)
def get_merchandising_rule(rule_id: str) -> Response:
    """The rule as it is stored, and how it stands now."""
    found = services().merchandising.get(rule_id)
    shown = None if found is None else Versioned(_shown(found.value), found.etag)
    return show_record(shown, "rule")


@merchandising.change(
    "PUT",
    _RULE,
    requires=Scope.CATALOGUE_WRITE,
    takes=(BodyForm(JSON, MerchandisingRuleSchema, RULE_EXAMPLE),),
    answer=Answered(200, MerchandisingRuleSchema, RECORD_HEADERS, _ANSWERED),
    more_answers={201: "There was no such rule; Location says where it is now."},
    problems=(CONFLICT, PRECONDITION_FAILED, PRECONDITION_REQUIRED),
)
def put_merchandising_rule(rule_id: str, body: JsonBody) -> Response:
    """Create the rule, or replace it whole. Lists know it within a second.

    To replace one, send its ETag as If-Match. No rule shows what a customer may not be shown. At most 1,000
    rules may stand that have not ended; one more is a conflict until one of them is deleted or ends.
    """
    rule = rule_of(load_body(MerchandisingRuleSchema(), body.value), rule_id)
    desk = services().merchandising
    written = desk.put(rule, expected=expected_version(desk.get, rule_id))
    return show_written(_shown(desk.standing(rule)), written)


@merchandising.change(
    "DELETE",
    _RULE,
    requires=Scope.CATALOGUE_WRITE,
    answer=Answered(204, headers=CHANGE_HEADERS),
    problems=(NOT_FOUND, PRECONDITION_FAILED, PRECONDITION_REQUIRED),
)
def delete_merchandising_rule(rule_id: str) -> Response:
    """Remove the rule, before its end if need be. Send its ETag as If-Match."""
    desk = services().merchandising
    if not desk.delete(rule_id, expected=expected_version(desk.get, rule_id)):
        raise NotFoundError("there is no such rule")
    return show_gone()


def _shown(standing: RuleStanding) -> dict[str, Any]:
    rule: dict[str, Any] = msgspec.to_builtins(standing.rule)
    return {**rule, "is_on": standing.is_on, "matches": standing.matches}
