"""How long selection may take. In: seconds and a clock. Out: whether they are spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Budget:
    """Seconds on a clock, from the moment that this was made; None for the plan as it stands.

    The plan is made to cost less than ten fits of ALS on a history of a million pairs; on a small one what
    does not shrink with the data costs more of them. A budget cuts it short where the clock says so, and what
    is found then hangs on the machine: only the whole plan gives the same model everywhere.
    """

    seconds: float | None
    clock: Callable[[], float]
    started: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started", self.clock())

    def is_spent(self) -> bool:
        return self.seconds is not None and self.clock() - self.started >= self.seconds
