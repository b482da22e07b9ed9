"""Rules on customers as typed expressions. In: JSON, the known fields. Out: a condition, asked of facts.

    {"all": [{"field": "attributes.age", "op": "between", "value": [18, 65]},
             {"not": {"field": "segment", "op": "in", "value": ["rfm:lost", "lifecycle:churned"]}}]}

Nothing is executed: a condition is data. Logic has three values (Kleene): a comparison with what is not
known, or is of another type than its field, is neither true nor false, and nor is its `not`. Only what is
true holds, so a rule is closed to a customer of whom too little is known, however it is put.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Plain = str | int | float | bool
Fact = Plain | tuple[str, ...] | None
"""What is known of a customer in one field. Several texts are all true; none of them, or None, is unknown."""
Facts = Mapping[str, Fact]

NO_FACTS: Facts = {}


class FieldKind(StrEnum):
    """What the values of a field are."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field holds. `words` that are not empty are all the texts there are."""

    kind: FieldKind
    words: tuple[str, ...] = ()


class Op(StrEnum):
    """How a fact is compared with a value. `between` includes both of its ends."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    IN = "in"
    NOT_IN = "not_in"
    AT_LEAST = "at_least"
    ABOVE = "above"
    AT_MOST = "at_most"
    BELOW = "below"
    BETWEEN = "between"


_SAID = {
    Op.EQUALS: "be",
    Op.IN: "be one of",
    Op.AT_LEAST: "be at least",
    Op.ABOVE: "be above",
    Op.AT_MOST: "be at most",
    Op.BELOW: "be below",
    Op.BETWEEN: "be between",
}
_OPPOSITE = {Op.NOT_EQUALS: Op.EQUALS, Op.NOT_IN: Op.IN}
_BOUNDS: Mapping[Op, Callable[[float, float], bool]] = {
    Op.AT_LEAST: operator.ge,
    Op.ABOVE: operator.gt,
    Op.AT_MOST: operator.le,
    Op.BELOW: operator.lt,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field against one value; of `in`, `not_in` and `between` the value is a tuple.

    `pointer` is its place in the document.
    """

    field: str
    kind: FieldKind
    op: Op
    value: Plain | tuple[Plain, ...]
    pointer: str

    def truth(self, facts: Facts) -> bool | None:
        """Whether it is so; None where that is not known."""
        found = known_values(facts.get(self.field), self.kind)
        if not found:
            return None
        if self.op in _OPPOSITE:
            return not self._is_met(found, _OPPOSITE[self.op])
        return self._is_met(found, self.op)

    def _is_met(self, found: tuple[Plain, ...], op: Op) -> bool:
        if op is Op.EQUALS:
            return self.value in found
        wanted = self.value if isinstance(self.value, tuple) else (self.value,)
        if op is Op.IN:
            return any(one in wanted for one in found)
        number = float(found[0])
        if op is Op.BETWEEN:
            return float(wanted[0]) <= number <= float(wanted[1])
        return _BOUNDS[op](number, float(wanted[0]))

    def demand(self, facts: Facts, *, wanted: bool) -> str:
        """What would have to be, and what is: `attributes.age must be at least 18, and is 16`."""
        op = _OPPOSITE.get(self.op, self.op)
        must = "must" if wanted is (op is self.op) else "must not"
        found = known_values(facts.get(self.field), self.kind)
        is_now = "is not known" if not found else f"is {_listed(found)}"
        joined = " and " if op is Op.BETWEEN else ", "
        return f"{self.field} {must} {_SAID[op]} {_listed(self.value, joined)}, and {is_now}"


@dataclass(frozen=True, slots=True)
class All:
    """Each of its parts is so."""

    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of its parts at least is so."""

    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Its part is known not to be so."""

    of: Node


Node = Comparison | All | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Failure:
    """A comparison that stands in the way: what was found, and what it was compared with.

    `wanted` is what it would have to come to; False within a `not`.
    """

    comparison: Comparison
    found: Fact
    wanted: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """A rule that was read: every field of it is known, and every value of its field's type."""

    root: Node

    def holds(self, facts: Facts) -> bool:
        """Whether the rule is known to be fulfilled."""
        return _truth(self.root, facts) is True

    def findings(self, facts: Facts) -> tuple[Failure, ...]:
        """The comparisons that stand in the way, in the order of the document; empty where the rule holds."""
        return _failures(self.root, facts, wanted=True)

    def remedy(self, facts: Facts) -> str | None:
        """What would have to change for the rule to hold, as one sentence; None where it holds."""
        return _remedy(self.root, facts, wanted=True) or None

    def fields(self) -> frozenset[str]:
        """The fields that it asks for."""
        return frozenset(comparison.field for comparison in _comparisons(self.root))


def known_values(fact: Fact, kind: FieldKind) -> tuple[Plain, ...]:
    """The values of a fact that are of the kind; empty where there is none."""
    if not isinstance(fact, tuple):
        return () if fact is None or not is_of_kind(fact, kind) else (fact,)
    return tuple(value for value in fact if is_of_kind(value, kind))


def is_of_kind(value: object, kind: FieldKind) -> bool:
    """Whether a value of JSON is of the kind. true is no number, and what is not finite is none."""
    if kind is FieldKind.BOOLEAN:
        return isinstance(value, bool)
    if kind is FieldKind.TEXT:
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # A whole number of JSON has no end, a float has.
        return False


def _truth(node: Node, facts: Facts) -> bool | None:
    if isinstance(node, Comparison):
        return node.truth(facts)
    if isinstance(node, Not):
        inner = _truth(node.of, facts)
        return None if inner is None else not inner
    truths = [_truth(part, facts) for part in node.of]
    settles = isinstance(node, AnyOf)
    if settles in truths:
        return settles
    return None if None in truths else not settles


def _failures(node: Node, facts: Facts, *, wanted: bool) -> tuple[Failure, ...]:
    if _truth(node, facts) is wanted:
        return ()
    if isinstance(node, Comparison):
        return (Failure(node, facts.get(node.field), wanted),)
    if isinstance(node, Not):
        return _failures(node.of, facts, wanted=not wanted)
    return tuple(failure for part in node.of for failure in _failures(part, facts, wanted=wanted))


def _remedy(node: Node, facts: Facts, *, wanted: bool) -> str:
    """What stands in the way; empty where nothing does, so that no part's truth is found twice."""
    if isinstance(node, Comparison):
        return "" if node.truth(facts) is wanted else node.demand(facts, wanted=wanted)
    if isinstance(node, Not):
        return _remedy(node.of, facts, wanted=not wanted)
    parts = [_remedy(part, facts, wanted=wanted) for part in node.of]
    if isinstance(node, All) is wanted:
        return "; and ".join(filter(None, parts))
    return "; or ".join(parts) if all(parts) else ""


def _comparisons(node: Node) -> tuple[Comparison, ...]:
    if isinstance(node, Comparison):
        return (node,)
    parts = (node.of,) if isinstance(node, Not) else node.of
    return tuple(comparison for part in parts for comparison in _comparisons(part))


def _listed(value: Plain | tuple[Plain, ...], joined: str = ", ") -> str:
    values = value if isinstance(value, tuple) else (value,)
    return joined.join(str(one).lower() if isinstance(one, bool) else str(one) for one in values)
