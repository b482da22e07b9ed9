"""Small histories, matrices and families to train and judge with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import Parameter
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix
from recsvc.policy import load_policy
from recsvc.training.evaluation import HeldOut
from recsvc.training.families import Popularity
from recsvc.training.families.base import Family, Fitted, FloatArray, TrainingData, training_data

AS_OF = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = load_policy()


def did(
    type: str,
    item_id: str | None = "i1",
    *,
    customer_id: str = "c1",
    days_ago: float = 0.0,
    value: str | None = None,
    channel: Channel | None = None,
) -> Interaction:
    """One interaction, so many days before `AS_OF`."""
    when = AS_OF - timedelta(days=days_ago)
    event_id = f"{type}-{item_id}-{customer_id}-{days_ago}"
    money = None if value is None else Decimal(value)
    return Interaction(event_id, type, customer_id, item_id, when, value=money, channel=channel)


def table_of(*interactions: Interaction) -> InteractionTable:
    return InteractionTable.from_interactions(interactions)


def without_times(table: InteractionTable) -> InteractionTable:
    return InteractionTable.from_frame(table.frame.drop("occurred_at"))


def shuffled(table: InteractionTable, seed: int = 3) -> InteractionTable:
    return InteractionTable.from_frame(table.frame.sample(fraction=1.0, shuffle=True, seed=seed))


@cache
def busy_history(n_customers: int = 200, n_items: int = 40, n: int = 4000, seed: int = 5) -> InteractionTable:
    """Customers of two tastes, over ninety days, on several channels, some of them saying no."""
    rng = np.random.default_rng(seed)
    customers = rng.integers(0, n_customers, n)
    items = rng.integers(0, n_items // 2, n) * 2 + (customers + (rng.random(n) < 0.1)) % 2
    types = rng.choice(["view", "click", "like", "purchase", "impression", "dismiss"], n)
    channels = rng.integers(0, len(Channel), n)
    return table_of(
        *(
            did(
                str(types[i]),
                f"i{items[i]:03}",
                customer_id=f"c{customers[i]:03}",
                days_ago=round(float(rng.random() * 90), 3),
                value="12.10" if types[i] == "purchase" else None,
                channel=list(Channel)[channels[i]],
            )
            for i in range(n)
        )
    )


def matrix_of(strengths: NDArray[Any]) -> InteractionMatrix:
    """A matrix from a dense one: (n_customers, n_items)."""
    sparse = csr_matrix(strengths.astype(np.float32))
    return InteractionMatrix(
        customer_ids=tuple(f"c{row:04}" for row in range(sparse.shape[0])),
        item_ids=tuple(f"i{row:04}" for row in range(sparse.shape[1])),
        strengths=sparse,
        popularity=np.bincount(sparse.indices, minlength=sparse.shape[1]).astype(np.float32),
        refused=csr_matrix(sparse.shape, dtype=np.bool_),
    )


def data_of(strengths: NDArray[Any]) -> TrainingData:
    return training_data(matrix_of(strengths))


def held_out_of(relevant: Sequence[Sequence[int]], n_items: int, n_unseen: Sequence[int]) -> HeldOut:
    """By customer the rows that are relevant, and how many relevant items training never saw."""
    dense = np.zeros((len(relevant), n_items), dtype=np.float32)
    for row, items in enumerate(relevant):
        dense[row, list(items)] = 1
    n_relevant = dense.sum(axis=1).astype(np.int64) + np.array(n_unseen, dtype=np.int64)
    return HeldOut(np.arange(len(relevant)), csr_matrix(dense), n_relevant, "by hand")


def blocks_with_one_withheld(
    n_blocks: int = 4, n_customers: int = 12, n_items: int = 12
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A checkerboard: everybody has all of their block but one item, the one returned beside it."""
    strengths = np.kron(np.eye(n_blocks), np.ones((n_customers, n_items))).astype(np.float32)
    customers = np.arange(n_blocks * n_customers)
    withheld = customers // n_customers * n_items + customers % n_items
    strengths[customers, withheld] = 0
    return strengths, withheld


@dataclass(frozen=True)
class Scripted(Fitted):
    """A fitted family that scores by a rule on histories."""

    rule: Callable[[csr_matrix], FloatArray]
    family: Family = field(default_factory=Popularity)
    facts: Mapping[str, Parameter] = field(default_factory=dict)
    on_arrays: Callable[[], None] = lambda: None
    others: tuple[Fitted, ...] = ()

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return self.facts

    def score(self, histories: csr_matrix) -> FloatArray:
        return self.rule(histories)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        self.on_arrays()
        return {}

    def variations(self) -> Iterator[Fitted]:
        return iter(self.others)


@dataclass(frozen=True)
class ScriptedFamily(Family):
    """A family that fits to what the test says."""

    on_fit: Callable[[TrainingData], Scripted]
    name: str = "scripted"
    is_personal: bool = False
    choices: tuple[Family, ...] | None = None

    def fit(self, data: TrainingData, *, seed: int) -> Scripted:
        return replace(self.on_fit(data), family=self)

    def settings(self, data: TrainingData) -> tuple[Family, ...]:
        return (self,) if self.choices is None else self.choices


SILENT = Scripted(lambda histories: np.zeros(histories.shape, dtype=np.float32), Popularity())
"""Says the same of everything."""
