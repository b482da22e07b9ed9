"""Remember where customers were put while the same experiments deal. In: a request. Out: its arms.

An arm is a pure function of the dealing and the unit, and costs a hash for each experiment. Whoever asks
again while nothing was begun, changed or ended is found here; a login that makes them another unit is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from recsvc.domain.slates import Arm, SlateRequest
from recsvc.experimentation.running import Dealing

MAX_REMEMBERED = 8_192


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a request stands: the arm of the hold-out, the arm that decides, and what to ask for in it."""

    unit: str
    held: Arm | None
    arm: Arm | None
    request: SlateRequest


@dataclass(frozen=True, slots=True)
class _Memory:
    """What was found while one dealing deals: one reference, so that no two are ever mixed."""

    dealing: Dealing
    placed: dict[SlateRequest, Placed] = field(default_factory=dict)


class RememberedArms:
    """The arms of at most `max_remembered` requests. Threads may share it."""

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max_remembered = max_remembered
        self._memory: _Memory | None = None

    def of(self, request: SlateRequest, unit: str, dealing: Dealing, now: datetime) -> Placed:
        """Where the request of the unit stands at this moment."""
        memory = self._memory
        if memory is None or memory.dealing is not dealing:
            memory = self._memory = _Memory(dealing)
        found = memory.placed.get(request)
        is_over = dealing.until is not None and now >= dealing.until
        if found is not None and found.unit == unit and not is_over:
            return found
        held, arm = dealing.arms_of(unit, now)
        placed = Placed(unit, held, arm, request if arm is None else _in_arm(request, arm))
        if not is_over:  # Then each moment may be another.
            if len(memory.placed) >= self._max_remembered:
                memory.placed.clear()
            memory.placed[request] = placed
        return placed


def _in_arm(request: SlateRequest, arm: Arm) -> SlateRequest:
    # Half the price of `replace`, and every answer of an arm that is not remembered pays it.
    return SlateRequest(
        request.kind,
        request.customer_id,
        request.limit,
        request.channel,
        request.placement,
        request.locale,
        request.categories,
        request.exclude,
        request.diversity,
        request.explain,
        arm,
    )
