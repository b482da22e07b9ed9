"""Who answered surveys, in memory: for tests and trials. Same behaviour as the real store, nothing kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from recsvc.domain.experiments import Experiment
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.domain.surveys import SURVEYS, Scope, StudiedExperiment, SurveyAnswer, score_on_scale
from recsvc.stores.memory import MemoryCustomers, MemoryEvents

_Met = tuple[str, Channel | None, str | None]
"""A customer, the channel, and the variant that they met first."""


class MemorySatisfaction:
    """What is known of surveys; `customer_of` says whom a linked id stands for."""

    def __init__(
        self,
        events: MemoryEvents,
        customers: MemoryCustomers,
        *,
        experiments: Sequence[Experiment] = (),
        exposures: Iterable[Exposure] = (),
        customer_of: Mapping[str, str] | None = None,
    ) -> None:
        self._events = events
        self._customers = customers
        self._experiments = {one.key: one for one in experiments}
        self._exposures = tuple(exposures)
        self._customer_of = customer_of or {}

    def experiment(self, key: str) -> StudiedExperiment | None:
        """The experiment in the phase that it is in; None when there is none."""
        found = self._experiments.get(key)
        if found is None:
            return None
        return StudiedExperiment(key, found.phase, tuple(one.key for one in found.variants))

    def answers(self, scope: Scope) -> Iterator[SurveyAnswer]:
        """Every answer by time, then id."""
        for one, (customer_id, channel, variant) in self._happened(scope):
            if one.type in SURVEYS:
                score = score_on_scale(one.type, one.score, one.scale)
                yield SurveyAnswer(customer_id, one.type, score, one.occurred_at, channel, variant)

    def n_customers(self, scope: Scope) -> int:
        """How many customers did, or were shown, anything in the scope."""
        return len(self._ids(scope))

    def n_by_channel(self, scope: Scope) -> Mapping[Channel | None, int]:
        """The same by channel; None is for events that name none."""
        return Counter(channel for _, channel in {(met[0], met[1]) for met in self._present(scope)})

    def n_by_variant(self, scope: Scope) -> Mapping[str, int]:
        """The same by the variant that they met first."""
        return Counter(str(variant) for _, variant in {(met[0], met[2]) for met in self._present(scope)})

    def attributes(self, scope: Scope) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The same customers with their recorded attributes; without a record they have none."""
        for customer_id in self._ids(scope):
            kept = self._customers.get(customer_id)
            yield customer_id, kept.value.attributes if kept else {}

    def _ids(self, scope: Scope) -> set[str]:
        return {met[0] for met in self._present(scope)}

    def _present(self, scope: Scope) -> set[_Met]:
        did = {met for _, met in self._happened(scope)}
        shown = {
            (customer_id, one.channel, one.variant)
            for customer_id, one in self._first_met(scope).items()
            if scope.since <= one.exposed_at < scope.until and scope.channel in (None, one.channel)
        }
        return did | shown

    def _happened(self, scope: Scope) -> Iterator[tuple[Interaction, _Met]]:
        first = self._first_met(scope)
        for one in self._events.each(scope.since, scope.until):
            customer_id = self._canonical(one.customer_id)
            met = first.get(customer_id)
            if scope.channel not in (None, one.channel):
                continue
            if scope.experiment is None:
                yield one, (customer_id, one.channel, None)
            elif met is not None and one.occurred_at >= met.exposed_at:
                yield one, (customer_id, one.channel, met.variant)

    def _first_met(self, scope: Scope) -> Mapping[str, Exposure]:
        if scope.experiment is None:
            return {}
        wanted = (scope.experiment.key, scope.experiment.phase)
        first: dict[str, Exposure] = {}
        for one in sorted(self._exposures, key=_by_time):
            if (one.experiment, one.phase) == wanted:
                first.setdefault(self._canonical(one.customer_id), one)
        return first

    def _canonical(self, customer_id: str) -> str:
        return self._customer_of.get(customer_id, customer_id)


def _by_time(exposure: Exposure) -> tuple[datetime, str]:
    return exposure.exposed_at, exposure.variant
