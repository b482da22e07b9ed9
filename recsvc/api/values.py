"""Domain values of loaded bodies. In: what a schema let pass. Out: a value, or the place of a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from typing import Any, TypeVar

from recsvc.domain.offer_terms import Budget, Cap, Disclosure, OfferTerms, SuppressionTerms, TargetMarket
from recsvc.errors import FieldError, InvalidRequestError

T = TypeVar("T")

_PARTS: Mapping[str, Callable[..., Any]] = {
    "target_market": TargetMarket,
    "negative_target_market": TargetMarket,
    "suppression": SuppressionTerms,
    "budget": Budget,
}
_LISTS: Mapping[str, Callable[..., Any]] = {"disclosures": Disclosure, "caps": Cap}


def made(kind: Callable[..., T], place: str, given: Mapping[str, Any]) -> T:
    """The value. Raises InvalidRequestError naming the field that its sentence names."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return kind(**plain)
    except ValueError as error:
        raise InvalidRequestError([FieldError(f"{place}/{_field_in(error, kind)}", str(error))]) from error


def terms_of(given: Mapping[str, Any], place: str) -> OfferTerms:
    """The terms of an offer, with every value within them. Raises InvalidRequestError."""
    whole = dict(given)
    for name, kind in _PARTS.items():
        if whole.get(name) is not None:
            whole[name] = made(kind, f"{place}/{name}", whole[name])
    for name, kind in _LISTS.items():
        parts = enumerate(whole.get(name, ()))
        whole[name] = [made(kind, f"{place}/{name}/{number}", part) for number, part in parts]
    _check_currency(whole, place)
    return made(OfferTerms, place, whole)


def _check_currency(whole: Mapping[str, Any], place: str) -> None:
    budget, currency = whole.get("budget"), whole.get("currency", OfferTerms().currency)
    if budget is not None and budget.currency not in (None, currency):
        fault = f"must be {currency}, which is the currency of the terms"
        raise InvalidRequestError([FieldError(f"{place}/budget/currency", fault)])


def _field_in(error: ValueError, kind: Any) -> str:
    """The last field that the domain's sentence names: `valid_from must be before valid_to`."""
    names = {field.name for field in fields_of(kind)}
    return next((word for word in reversed(str(error).replace(",", "").split()) if word in names), "")
