"""Who makes a report that reads much. In: what is asked. Out: the report, or when to ask again.

A worker has few threads, and one interpreter for all of them. So what reads little is made where it is asked
for, anew each time; anything else another process makes, one report at a time for all workers of a server.
What came out is kept for ten times as long as it took: reports take a tenth of a core at most, however often
they are asked for, and each says which moment it is of. A report that was begun before a customer was erased
counts no more.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from errno import EACCES
from math import inf
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from recsvc.apart import Children, is_ours, keep, lease_of, reason_of
from recsvc.domain.outcomes import Reading
from recsvc.errors import ReportNotReadyError, StoreError
from recsvc.experimentation.report_making import Answer, Ask, ReportMaker
from recsvc.typed_decoding import decode_json

log = structlog.get_logger()

WAIT_SECONDS = 2.0
"""So long a request waits for its report: it holds one of the worker's threads meanwhile."""
RETRY_SECONDS = 5
MOST_SECONDS = 1_800.0
KEPT_TIMES = 10
FAILED_SECONDS = 60.0
MAX_KEPT = 200
_LOOK_SECONDS = 0.02

Place = AbstractContextManager[object]


class Asked(msgspec.Struct, frozen=True):
    """What the other process is told: the report is of the moment `as_of`, by the policy of that version."""

    ask: Ask
    as_of: datetime
    policy_version: str


class Kept(msgspec.Struct, frozen=True):
    """What came of a report: an answer, or the reason why there is none.

    It counts from one moment of the machine's monotonic clock until another, so not after the machine began
    anew, and while nobody was erased after `erasures`.
    """

    begun: float
    until: float
    erasures: int
    answer: Answer | None = None
    fault: str | None = None


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
    """Has a process make what reads much, one report at a time among all who share the folder."""

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
        self._folder = folder
        self._children = Children(folder)
        self._command = tuple(command)
        self._clock = clock
        self._monotonic = monotonic
        self._wait_seconds = wait_seconds
        self._most_seconds = most_seconds
        self._rests_until = -inf

    def report(self, ask: Ask, place: Place) -> Answer:
        """As `Reports` says."""
        now = self._clock()
        reading = self._maker.reading(ask, now=now)
        erasures, path = self._facts.last_erasure(), self._path_of(ask, reading)
        found = self._look_at(path, erasures)
        if found is None:
            with place:
                if self._facts.is_small(reading):
                    return self._maker.make(ask, now=now)
                found = self._wait_for(path, ask, erasures)
        return found.or_refusal()

    def stop(self) -> None:
        """End the report that is being made, if this process has it made."""
        self._children.stop()

    def _wait_for(self, path: Path, ask: Ask, erasures: int) -> Answer:
        until = self._monotonic() + self._wait_seconds
        while True:
            self._have_made(path, ask, erasures)
            is_over = self._children.stopped.wait(_LOOK_SECONDS) or self._monotonic() >= until
            if (found := self._look_at(path, erasures)) is not None:
                return found
            if is_over:
                reason = "is being made, or waits until another one is"
                raise ReportNotReadyError(reason, RETRY_SECONDS)

    def _look_at(self, path: Path, erasures: int) -> Answer | None:
        """What is kept and counts. What went wrong is told once, and then tried again."""
        found = self._counting(path, erasures)
        if found is None or found.fault is None:
            return None if found is None else found.answer
        try:
            path.unlink()
        except OSError:  # Somebody else was told.
            return None
        raise ReportNotReadyError(f"could not be made: it {found.fault}", RETRY_SECONDS)

    def _counting(self, path: Path, erasures: int) -> Kept | None:
        with suppress(OSError, msgspec.DecodeError):
            found = decode_json(path.read_bytes(), Kept)
            if found.erasures >= erasures and found.begun <= self._monotonic() < found.until:
                return found
        return None

    def _have_made(self, path: Path, ask: Ask, erasures: int) -> None:
        """Begin the report, unless somebody is at one. The folder is made anew where it was taken away."""
        if self._monotonic() < self._rests_until:
            raise ReportNotReadyError("could not be kept", RETRY_SECONDS)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if not is_ours(self._folder):
                raise PermissionError(EACCES, "its folder is not ours alone to write to")
            lease = lease_of(self._folder / "making.lock")
        except OSError as error:
            raise ReportNotReadyError(f"could not be made ({error.strerror})", RETRY_SECONDS) from error
        if lease is None:
            return
        if self._children.stopped.is_set() or self._counting(path, erasures) is not None:
            os.close(lease)
            return
        threading.Thread(target=self._make, args=(path, ask, lease), name="report", daemon=True).start()

    def _make(self, path: Path, ask: Ask, lease: int) -> None:
        try:
            kept = self._made(ask)
            if not self._children.stopped.is_set():
                self._let_go()
                keep(path, msgspec.json.encode(kept))
        except OSError as error:
            log.error("report_not_kept", reason=str(error))
            self._rests_until = self._monotonic() + FAILED_SECONDS
        finally:
            os.close(lease)

    def _made(self, ask: Ask) -> Kept:
        begun, erasures = self._monotonic(), 0
        try:
            erasures = self._facts.last_erasure()
            said = msgspec.json.encode(Asked(ask, self._clock(), self._maker.policy_version)) + b"\n"
            told = self._children.run(self._command, said, most_seconds=self._most_seconds)
            answer = decode_json(told, Answer)
        except (OSError, ValueError, subprocess.SubprocessError, StoreError) as error:
            log.error("report_failed", reason=reason_of(error))
            return Kept(begun, self._monotonic() + FAILED_SECONDS, erasures, fault=reason_of(error))
        ended = self._monotonic()
        return Kept(begun, ended + KEPT_TIMES * (ended - begun), erasures, answer)

    def _let_go(self) -> None:
        """Keep the reports that were made last, and room for one more."""
        made = sorted(self._folder.glob("*.json"), key=_kept_at, reverse=True)
        for path in made[MAX_KEPT - 1 :]:
            path.unlink(missing_ok=True)

    def _path_of(self, ask: Ask, reading: Reading) -> Path:
        # Satisfaction names an experiment by its key alone; what is read knows the phase it is in.
        place = (self._facts.store, self._maker.policy_version, reading.exposed, ask)
        asked = msgspec.json.encode(place, order="deterministic")
        return self._folder / f"{hashlib.sha256(asked).hexdigest()[:40]}.json"


def _kept_at(path: Path) -> int:
    """When it was kept; 0 where somebody took it away meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


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
    if folder is None:
        return ReportsHere(maker, clock=clock)
    if not is_ours(folder):
        log.warning("reports_folder_refused", folder=str(folder), reason="it is not ours alone to write to")
        return ReportsHere(maker, clock=clock)
    return ReportsApart(maker, facts, folder, command, clock=clock, monotonic=monotonic)
