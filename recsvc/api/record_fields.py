"""Fields that read JSON strictly. In: a JSON value. Out: its value in the domain, or why not.

marshmallow's own fields would take "5" for 5, "yes" for true and NaN for a number. Nobody means that who
writes JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields, validate

from recsvc.api.event_rules import read_moment
from recsvc.api.fields import WholeText
from recsvc.domain.event_limits import MONEY_PATTERN
from recsvc.domain.identifiers import ID_PATTERN, ID_RULE

_MONEY = re.compile(MONEY_PATTERN)
_MAX_WHOLE = 2**63
_MAX_ATTRIBUTES = 100
_MAX_LOCALES = 50
_MAX_ATTRIBUTE_CHARS = 1_000

Data = Mapping[str, Any] | None


class Whole(fields.Integer):
    """A whole number that is written as one, within a range."""

    def __init__(self, minimum: int, maximum: int, **options: Any) -> None:
        self._rule = f"must be a whole number from {minimum} to {maximum}"
        super().__init__(validate=validate.Range(minimum, maximum, error=self._rule), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> int:
        if type(value) is not int:
            raise ValidationError(self._rule)
        return value


class Number(fields.Float):
    """A number that is written as one, within a range."""

    def __init__(self, minimum: float, maximum: float, **options: Any) -> None:
        self._rule = f"must be a number from {minimum:g} to {maximum:g}"
        super().__init__(validate=validate.Range(minimum, maximum, error=self._rule), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> float:
        if type(value) not in (int, float):
            raise ValidationError(self._rule)
        try:
            return float(value)
        except OverflowError:  # A whole number of JSON has no end, a float has.
            raise ValidationError(self._rule) from None


class YesOrNo(fields.Boolean):
    """true or false."""

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> bool:
        if type(value) is not bool:
            raise ValidationError("must be true or false")
        return value


class Few(fields.List[Any]):
    """A list whose length is looked at before anything in it: what is too long costs nothing."""

    def __init__(self, inner: fields.Field[Any], least: int, most: int, **options: Any) -> None:
        self._least, self._most = least, most
        super().__init__(inner, validate=validate.Length(least, most), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> Any:
        if type(value) is not list or not self._least <= len(value) <= self._most:
            raise ValidationError(f"must be a list of {self._least} to {self._most}")
        return tuple(super()._deserialize(value, attr, data, **options))


class Texts(Few):
    """Texts; each counts once."""

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> Any:
        return tuple(dict.fromkeys(super()._deserialize(value, attr, data, **options)))


class Ids(Texts):
    """Ids; each counts once."""

    def __init__(self, least: int, most: int, **options: Any) -> None:
        rule = WholeText(f"^{ID_PATTERN}$", error=f"must be text of {ID_RULE}")
        super().__init__(fields.String(validate=rule), least, most, **options)


class IdsOnce(Ids):
    """Ids, of which none may stand twice."""

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> Any:
        ids = super()._deserialize(value, attr, data, **options)
        first: dict[str, int] = {}
        twice = {
            place: [f"it stands at place {first[one]} already"]
            for place, one in enumerate(value)
            if first.setdefault(one, place) != place
        }
        if twice:
            raise ValidationError(twice)
        return ids


class Money(fields.String):
    """An amount as decimal text, so that no cent is lost on the way."""

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> Any:
        if type(value) is not str or _MONEY.fullmatch(value) is None:
            raise ValidationError('must be a decimal number as text, such as "12.50"')
        return Decimal(value)


class Moment(fields.AwareDateTime):
    """A moment that says its offset from UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> datetime:
        try:
            moment = read_moment(value)
        except ValueError as error:
            raise ValidationError(str(error)) from error
        if not 1900 <= moment.year <= 9000:
            raise ValidationError("must be a time from the year 1900 to 9000")
        return moment


class Attributes(fields.Dict):
    """Free names with plain values."""

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > _MAX_ATTRIBUTES:
            raise ValidationError(f"must be an object of at most {_MAX_ATTRIBUTES} names")
        wrong = {name: [problem] for name, given in value.items() if (problem := _wrong_with(name, given))}
        if wrong:
            raise ValidationError(wrong)
        return value


def short_text(max_chars: int, **options: Any) -> fields.String:
    """Text on one line."""
    rule = f"must be 1 to {max_chars} characters, none a control"
    return fields.String(validate=WholeText(rf"^[^\x00-\x1f\x7f]{{1,{max_chars}}}$", error=rule), **options)


def texts_by_locale(max_chars: int, **options: Any) -> fields.Dict:
    """One text per locale."""
    locale = WholeText("^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", error="the locale must be a language tag")
    rule = f"must be 1 to {max_chars} characters without a NUL"
    text = fields.String(validate=WholeText(rf"(?s)^[^\x00]{{1,{max_chars}}}$", error=rule))
    few = validate.Length(max=_MAX_LOCALES)
    return TextsByLocale(keys=fields.String(validate=locale), values=text, validate=few, **options)


class TextsByLocale(fields.Dict):
    """Texts by locale, whose number is looked at before any of them: too many cost nothing."""

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> Any:
        if isinstance(value, dict) and len(value) > _MAX_LOCALES:
            raise ValidationError(f"must hold at most {_MAX_LOCALES} locales")
        return super()._deserialize(value, attr, data, **options)  # type: ignore[no-untyped-call]


def _wrong_with(name: str, value: Any) -> str | None:
    if not 1 <= len(name) <= 100 or "\x00" in name:
        return "the name must be 1 to 100 characters without a NUL"
    if isinstance(value, str) and (len(value) > _MAX_ATTRIBUTE_CHARS or "\x00" in value):
        return f"must be at most {_MAX_ATTRIBUTE_CHARS} characters without a NUL"
    if isinstance(value, dict | list):
        return "must be text, a number, true, false or null"
    if isinstance(value, int) and not -_MAX_WHOLE <= value < _MAX_WHOLE:
        return "must be a whole number of at most 64 bits"
    return None
