"""A carrier of training runs that carries nothing."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class FakeJobs:
    """Keeps the ids that it is to carry, and fails when told to."""

    carried: list[str] = field(default_factory=list)
    failure: Exception | None = None

    def put(self, run_id: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.carried.append(run_id)

    def holds(self, run_id: str) -> bool:
        if self.failure is not None:
            raise self.failure
        return run_id in self.carried
