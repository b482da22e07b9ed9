"""Make an experiment with customers and events in the stores in memory, as the service would keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from recsvc.domain.customers import Customer
from recsvc.domain.experiments import Experiment, ExperimentStatus, ExperimentVariant
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.experimentation.reports import ExperimentReport
from recsvc.experimentation.results import ResultsReader
from recsvc.policy import Policy, load_policy
from recsvc.stores.memory import MemoryCustomers, MemoryEvents
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_outcomes import MemoryOutcomes

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
END = START + timedelta(days=14)
AFTER = END + timedelta(days=1)


def an_experiment(*weights: int, **fields: Any) -> Experiment:
    """A running one: control and as many arms as there are weights more."""
    names = ["control", *(f"arm{n}" for n in range(1, len(weights)))]
    variants = tuple(
        ExperimentVariant(name, "m", weight) for name, weight in zip(names, weights, strict=True)
    )
    plain = {"status": ExperimentStatus.RUNNING, "start": START, "end": END, "primary_metric": "clicks"}
    return Experiment("e1", variants, **{**plain, "phase": 1, "begun_at": START, **fields})


@dataclass
class Trial:
    """Stores in memory, and what happens in them."""

    policy: Policy = field(default_factory=load_policy)
    customers: MemoryCustomers = field(default_factory=MemoryCustomers)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    exposures: MemoryExposures = field(default_factory=MemoryExposures)
    numbers: Any = field(default_factory=count)

    @property
    def reader(self) -> ResultsReader:
        outcomes = MemoryOutcomes(self.exposures, self.events, self.customers)
        return ResultsReader(outcomes, self.policy)

    def report(self, experiment: Experiment, now: datetime = AFTER) -> ExperimentReport:
        return self.reader.report(experiment, now=now)

    def expose(
        self, variant: str, n: int, *, channel: Channel = Channel.WEB, prefix: str = "", **counts: int
    ) -> list[str]:
        """So many customers more who meet the variant at the start; their ids."""
        names = [f"{prefix}{variant}-{next(self.numbers)}" for _ in range(n)]
        first = Exposure("e1", 1, "", variant, START, channel, "m", **counts)
        self.exposures.record([replace(first, customer_id=name) for name in names])
        return names

    def happen(
        self, kind: str, names: Sequence[str], *, days: float = 1.0, value: float | None = None, **fields: Any
    ) -> None:
        """One event of each of these customers, so many days after the start."""
        moment = START + timedelta(days=days)
        money = None if value is None else Decimal(str(value))
        self.events.append(
            [
                Interaction(f"ev{next(self.numbers)}", kind, name, None, moment, value=money, **fields)
                for name in names
            ],
            received_at=moment,
        )

    def record(self, names: Sequence[str], **attributes: Any) -> None:
        """Attributes of these customers."""
        self.customers.put_many([Customer(name, attributes) for name in names], now=START)
