"""Make a decision again. In: a decision and its grounds, as kept. Out: its answer, and what differs."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from recsvc.domain.decisions import Decision, Grounds
from recsvc.serving.answers import render_slate
from recsvc.serving.offers.deciding import decide
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.slates import decision_of, slate_of
from recsvc.serving.offers.table import make_table
from recsvc.typed_decoding import decode_json


@dataclass(frozen=True, slots=True)
class Replayed:
    """A decision that was made again. `differs` names what came out otherwise, if anything did."""

    body: bytes
    differs: tuple[str, ...]


def replay(decision: Decision, grounds: Grounds) -> Replayed:
    """Decide again from what was kept alone: the facts, the offers as they were, and the policy.

    Raises:
        ValueError: the facts cannot be read, or were erased.
    """
    facts = _facts_of(decision)
    table = make_table(grounds.offers, grounds.fields)
    decided = decide(facts, table, grounds.policy)
    if facts.answer is None:
        raise ValueError("the facts hold no answer")
    slate = slate_of(facts, facts.answer, decided, table)
    again = decision_of(facts, decided, slate, grounds)
    differs = (name for name in Decision.__slots__ if getattr(again, name) != getattr(decision, name))
    return Replayed(render_slate(slate), tuple(differs))


def _facts_of(decision: Decision) -> Facts:
    try:
        return decode_json(decision.facts, Facts)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the facts cannot be read ({error})") from error
