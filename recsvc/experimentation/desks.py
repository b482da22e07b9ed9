"""What the API may ask of experiments and identities. In: both, as sent. Out: both, as kept; assignments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recsvc.domain.experiments import HOLDOUT_KEY, Experiment
from recsvc.domain.identities import IdentityLink, Linked
from recsvc.domain.records import Versioned
from recsvc.domain.registration import Registered
from recsvc.experimentation.allocations import allocation_of, holdout_experiment, is_held_out
from recsvc.experimentation.units import Units
from recsvc.policy_experiments import ExperimentsPolicy


class ExperimentStore(Protocol):
    """Keeps experiments. Everything raises StoreError."""

    def versions(self) -> tuple[Versioned[Experiment], ...]:
        """Every experiment by key."""
        ...

    def get(self, key: str) -> Versioned[Experiment] | None:
        """The experiment; None without one."""
        ...

    def put(self, experiment: Experiment, *, expected: str | None, now: datetime) -> Registered:
        """Register the experiment, or replace the version `expected`."""
        ...


class IdentityStore(Protocol):
    """Keeps which ids belong to which customers. Everything raises StoreError."""

    def of_customer(self, customer_id: str) -> tuple[IdentityLink, ...]:
        """The identities that belong to the customer."""
        ...

    def link(self, customer_id: str, identity_id: str, *, now: datetime) -> Linked:
        """Let the identity belong to the customer."""
        ...


@dataclass(frozen=True, slots=True)
class CustomerAssignment:
    """Where a customer falls in an experiment, and by which id they are dealt."""

    variant: str | None
    bucket: int | None
    layer_bucket: int | None
    unit: str
    is_on: bool
    held_out: bool


class ExperimentDesk:
    """Keeps experiments, and says who falls where. The hold-out is shown beside them, and never written.

    `fault_of` says why a model version may not be named by a variant; None where it may.
    """

    def __init__(
        self,
        store: ExperimentStore,
        units: Units,
        policy: ExperimentsPolicy,
        *,
        fault_of: Callable[[str], str | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._units = units
        self._holdout = holdout_experiment(policy)
        self._clock = clock
        self.fault_of = fault_of

    def experiments(self) -> tuple[Versioned[Experiment], ...]:
        """The hold-out, where there is one, and every experiment by key. Raises StoreError."""
        holdout = self._kept_holdout()
        return (*((holdout,) if holdout else ()), *self._store.versions())

    def get(self, key: str) -> Versioned[Experiment] | None:
        """The experiment; None without one. Raises StoreError."""
        return self._kept_holdout() if key == HOLDOUT_KEY else self._store.get(key)

    def put(self, experiment: Experiment, *, expected: str | None) -> Registered:
        """Register the experiment, or replace the version `expected` ("*" is any version there is).

        Raises PreconditionRequiredError, PreconditionFailedError, ConflictError, StoreError.
        """
        return self._store.put(experiment, expected=expected, now=self._clock())

    def assignment(self, key: str, customer_id: str) -> CustomerAssignment | None:
        """Where the customer falls, whatever the status; None without the experiment. Raises StoreError."""
        kept = self.get(key)
        if kept is None:
            return None
        unit = self._units.unit_of(customer_id)
        found = allocation_of(kept.value).assign(unit)
        holdout = None if self._holdout is None else allocation_of(self._holdout)
        held_out = is_held_out(holdout, unit)
        variant = None if held_out and key != HOLDOUT_KEY else found.variant
        is_on = kept.value.is_on(self._clock())
        return CustomerAssignment(variant, found.bucket, found.layer_bucket, unit, is_on, held_out)

    def _kept_holdout(self) -> Versioned[Experiment] | None:
        # Nothing but the policy can change it, and of that the percentage alone.
        return None if self._holdout is None else Versioned(self._holdout, f"{self._holdout.phase:x}")


class IdentityDesk:
    """Keeps which ids are one customer, so that this process knows a new link at once."""

    def __init__(self, store: IdentityStore, units: Units, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._units = units
        self._clock = clock

    def of_customer(self, customer_id: str) -> tuple[IdentityLink, ...]:
        """The identities that belong to the customer, by id. Raises StoreError."""
        return self._store.of_customer(customer_id)

    def link(self, customer_id: str, identity_id: str) -> Linked:
        """Let the identity belong to the customer from now on. Twice is the same answer.

        Raises ConflictError, StoreError.
        """
        linked = self._store.link(customer_id, identity_id, now=self._clock())
        self._units.tell()
        return linked
