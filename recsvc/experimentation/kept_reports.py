"""Who makes a report that reads much. In: what is asked. Out: the report, or when to ask again.

A worker has few threads, and one interpreter for all of them. So what reads little is made where it is asked
for, anew each time; anything else another process makes, and each says which moment it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from recsvc.domain.outcomes import Reading
from recsvc.experimentation.report_making import Answer, Ask, ReportMaker
from recsvc.kept_answers import MOST_SECONDS, WAIT_SECONDS, KeptAnswers, Place, name_of, usable
from recsvc.typed_decoding import decode_json


class Asked(msgspec.Struct, frozen=True):
    """What the other process is told: the report is of the moment `as_of`, by the policy of that version."""

    ask: Ask
    as_of: datetime
    policy_version: str


class Reports(Protocol):
    """Has reports made."""

    def report(self, ask: Ask, place: Place) -> Answer:
        """The report. `place` is held while it is made here, or waited for.

        Raises:
            InvalidRequestError, ConflictError: what is asked, or what the store holds, allows none.
            ReportNotReadyError: it is being made, or could not be; it is made anew for who asks again.
            StoreError: the store cannot answer.
        """
        ...

    def stop(self) -> None:
        """End what was begun."""
        ...


class ReportsHere:
    """Makes reports in the process that asks."""

    def __init__(self, maker: ReportMaker, *, clock: Callable[[], datetime]) -> None:
        self._maker = maker
        self._clock = clock

    def report(self, ask: Ask, place: Place) -> Answer:
        """As `Reports` says; it is never being made."""
        now = self._clock()
        self._maker.reading(ask, now=now)
        with place:
            return self._maker.make(ask, now=now)

    def stop(self) -> None:
        """Nothing goes on in the background."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides where a report is made, and whether a kept one still counts. Both raise StoreError.

    `store` tells one store from another: reports of several may come to stand in one folder.
    """

    is_small: Callable[[Reading], bool]
    last_erasure: Callable[[], int]
    store: str


class ReportsApart:
    """Has a process make what reads much."""

    def __init__(
        self,
        maker: ReportMaker,
        facts: Facts,
        folder: Path,
        command: Sequence[str],
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        wait_seconds: float = WAIT_SECONDS,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        """`command` reads `Asked` from its standard input, and writes an `Answer` within `most_seconds`."""
        self._maker = maker
        self._facts = facts
        self._clock = clock
        self._kept = KeptAnswers(
            folder,
            command,
            partial(decode_json, kind=Answer),
            facts.last_erasure,
            monotonic=monotonic,
            wait_seconds=wait_seconds,
            most_seconds=most_seconds,
        )

    def report(self, ask: Ask, place: Place) -> Answer:
        """As `Reports` says."""
        now = self._clock()
        reading = self._maker.reading(ask, now=now)
        name = self._name_of(ask, reading)
        found = self._kept.find(name)
        if found is None:
            with place:
                if self._facts.is_small(reading):
                    return self._maker.make(ask, now=now)
                found = self._kept.wait_for(name, lambda: self._asked(ask))
        return found.or_refusal()

    def stop(self) -> None:
        """End the report that is being made, if this process has it made."""
        self._kept.stop()

    def _asked(self, ask: Ask) -> bytes:
        return msgspec.json.encode(Asked(ask, self._clock(), self._maker.policy_version))

    def _name_of(self, ask: Ask, reading: Reading) -> str:
        # Satisfaction names an experiment by its key alone; what is read knows the phase it is in.
        return name_of(self._facts.store, self._maker.policy_version, reading.exposed, ask)


def reports_in(
    folder: Path | None,
    maker: ReportMaker,
    facts: Facts,
    command: Sequence[str],
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> Reports:
    """What has reports made by way of the folder, or here where there is none or others could write to it."""
    folder = usable(folder)
    if folder is None:
        return ReportsHere(maker, clock=clock)
    return ReportsApart(maker, facts, folder, command, clock=clock, monotonic=monotonic)
