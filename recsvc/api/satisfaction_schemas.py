"""The shapes of satisfaction. In: a query. Out: NPS, CSAT and CES of all asked for and of each group."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields

from recsvc.api.event_rules import read_moment
from recsvc.api.fields import WholeText
from recsvc.api.schemas import AnswerSchema, QuerySchema
from recsvc.domain.identifiers import ID_PATTERN, ID_RULE
from recsvc.domain.items import Channel
from recsvc.domain.surveys import Grouping

_ONE_OF = {"unknown": "must be one of {choices}"}


class DayOrMoment(fields.AwareDateTime):
    """A day, which is its first moment in UTC, or a time with its offset, not before 2000 nor after 2100."""

    _RULE = "must be a day such as 2026-01-31, or a time with its offset such as 2026-01-31T09:00:00Z"
    _FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> datetime:
        try:
            # A + that was not percent-encoded reads as a space.
            moment = read_moment(f"{value}T00:00:00Z" if len(value) == 10 else value.replace(" ", "+"))
            if not self._FIRST <= moment <= self._LAST:
                raise ValidationError("must lie between 2000-01-01 and 2100-01-01")
        except (ValueError, OverflowError) as error:
            if isinstance(error, ValidationError):
                raise
            raise ValidationError(self._RULE) from None
        return moment


def _said(description: str, example: Any = None) -> dict[str, Any]:
    return {"description": description, **({} if example is None else {"example": example})}


def _absent_by_default(kind: type[fields.Field[Any]], *arguments: Any, **options: Any) -> fields.Field[Any]:
    return kind(*arguments, load_default=lambda: None, **options)


class SatisfactionQuery(QuerySchema):
    """What of satisfaction can be asked."""

    since = _absent_by_default(
        DayOrMoment, metadata=_said("Answers from then on; 90 days before `until` when absent.", "2026-09-01")
    )
    until = _absent_by_default(
        DayOrMoment, metadata=_said("Answers before then; now when absent.", "2026-11-22T00:00:00Z")
    )
    by = _absent_by_default(
        fields.Enum,
        Grouping,
        by_value=fields.String,
        error_messages=_ONE_OF,
        metadata=_said("Into which groups customers are put; at most 120 of them. None when absent."),
    )
    channel = _absent_by_default(
        fields.Enum,
        Channel,
        by_value=fields.String,
        error_messages=_ONE_OF,
        metadata=_said("Only what happened there."),
    )
    experiment = _absent_by_default(
        fields.String,
        validate=WholeText(f"^{ID_PATTERN}$", error=f"must be {ID_RULE}"),
        metadata=_said("Only customers exposed in this experiment's phase, since then. Needed by variant."),
    )


class IntervalSchema(AnswerSchema):
    """A 95 % interval."""

    low = fields.Float(required=True)
    high = fields.Float(required=True)


class ShareSchema(AnswerSchema):
    """A share in percent, with Wilson's interval."""

    value = fields.Float(required=True)
    interval = fields.Nested(IntervalSchema, required=True)


def _n() -> fields.Integer:
    return fields.Integer(required=True, metadata=_said("Customers who answered: the latest answer of each."))


def _response_rate() -> fields.Float:
    return fields.Float(
        required=True, metadata=_said("Share, 0 to 1, of the group's customers who answered this survey.")
    )


class NpsSchema(AnswerSchema):
    """Promoters (9 and 10 of 10) less detractors (0 to 6) in percent; the interval is adjusted Wald's."""

    value = fields.Float(required=True, metadata=_said("-100 to 100."))
    interval = fields.Nested(IntervalSchema, required=True)
    promoters = fields.Integer(required=True)
    passives = fields.Integer(required=True)
    detractors = fields.Integer(required=True)
    n = _n()
    response_rate = _response_rate()


class CsatSchema(ShareSchema):
    """The share of 4 and 5 of 5, in percent."""

    n = _n()
    response_rate = _response_rate()


class CesSchema(AnswerSchema):
    """How easy it was, 1 to 7, higher is easier: the mean with Student's interval."""

    value = fields.Float(required=True)
    interval = fields.Nested(
        IntervalSchema, required=True, allow_none=True, metadata=_said("null of a single answer.")
    )
    easy = fields.Nested(ShareSchema, required=True, metadata=_said("The share of 5 to 7."))
    n = _n()
    response_rate = _response_rate()


class GroupSatisfactionSchema(AnswerSchema):
    """One group, or all together. A figure is null where nobody answered."""

    name = fields.String(
        required=True,
        allow_none=True,
        metadata=_said("A variant, segment, channel, 2026-11-22, 2026-W47 or 2026-11; null: none, or all."),
    )
    customers = fields.Integer(
        required=True,
        metadata=_said("Who did, or was shown, anything: any event, or an exposure."),
    )
    nps = fields.Nested(NpsSchema, required=True, allow_none=True)
    csat = fields.Nested(CsatSchema, required=True, allow_none=True)
    ces = fields.Nested(CesSchema, required=True, allow_none=True)


class NpsDifferenceSchema(AnswerSchema):
    """The variant's NPS less that of control, the first variant. p is two-sided, for one look at one pair."""

    variant = fields.String(required=True)
    control = fields.String(required=True)
    value = fields.Float(required=True, allow_none=True, metadata=_said("null where it cannot be said."))
    standard_error = fields.Float(required=True, allow_none=True)
    z = fields.Float(required=True, allow_none=True)
    p = fields.Float(required=True, allow_none=True)


class SatisfactionExperimentSchema(AnswerSchema):
    """Whose exposed customers are meant."""

    key = fields.String(required=True)
    phase = fields.Integer(required=True)


class SatisfactionSchema(AnswerSchema):
    """How content customers are."""

    as_of = fields.AwareDateTime(required=True, metadata=_said("What was stored then is told of."))
    since = fields.AwareDateTime(required=True)
    until = fields.AwareDateTime(required=True)
    by = fields.Enum(Grouping, by_value=fields.String, required=True, allow_none=True)
    channel = fields.Enum(Channel, by_value=fields.String, required=True, allow_none=True)
    experiment = fields.Nested(SatisfactionExperimentSchema, required=True, allow_none=True)
    total = fields.Nested(GroupSatisfactionSchema, required=True)
    groups = fields.List(fields.Nested(GroupSatisfactionSchema), required=True)
    nps_differences = fields.List(
        fields.Nested(NpsDifferenceSchema), required=True, metadata=_said("With by=variant; else empty.")
    )
    off_scale = fields.Integer(
        required=True,
        metadata=_said("Answers left out: without a score, or not on 0-10 (NPS), 1-5 (CSAT), 1-7 (CES)."),
    )
