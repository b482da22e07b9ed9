"""Answers that another process makes, kept for all who share a folder. In: what to ask. Out: an answer.

One answer is made at a time among all who share the folder. What came out is kept for ten times as long as it
took: answers take a tenth of a core at most, however often they are asked for. One that was begun before a
customer was erased counts no more.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from errno import EACCES
from math import inf
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import structlog

from recsvc.apart import Children, is_ours, keep, lease_of, reason_of
from recsvc.errors import ReportNotReadyError, StoreError
from recsvc.typed_decoding import decode_json

log = structlog.get_logger()

WAIT_SECONDS = 2.0
"""So long a request waits for its answer: it holds one of the worker's threads meanwhile."""
RETRY_SECONDS = 5
MOST_SECONDS = 1_800.0
KEPT_TIMES = 10
FAILED_SECONDS = 60.0
MAX_KEPT = 200
_LOOK_SECONDS = 0.02

A = TypeVar("A")
Place = AbstractContextManager[object]
"""What is held while an answer is made here, or waited for."""


class Kept(msgspec.Struct, frozen=True):
    """What came of it: an answer as JSON, or the reason why there is none.

    It counts from one moment of the machine's monotonic clock until another, so not after the machine began
    anew, and while nobody was erased after `erasures`.
    """

    begun: float
    until: float
    erasures: int
    answer: msgspec.Raw = msgspec.Raw(b"null")
    fault: str | None = None


class KeptAnswers(Generic[A]):
    """Has a process make answers, one at a time among all who share the folder."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        read: Callable[[bytes | msgspec.Raw], A],
        last_erasure: Callable[[], int],
        *,
        monotonic: Callable[[], float],
        wait_seconds: float = WAIT_SECONDS,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        """`command` reads a line from its standard input, and writes within `most_seconds` what `read` reads.

        `read` raises ValueError where it cannot; `last_erasure` raises StoreError.
        """
        self._folder = folder
        self._children = Children(folder)
        self._command = tuple(command)
        self._read = read
        self._last_erasure = last_erasure
        self._monotonic = monotonic
        self._wait_seconds = wait_seconds
        self._most_seconds = most_seconds
        self._rests_until = -inf

    def find(self, name: str) -> A | None:
        """What is kept under the name and counts. Raises StoreError, and what went wrong, once."""
        return self._look_at(self._path_of(name), self._last_erasure())

    def wait_for(self, name: str, ask: Callable[[], bytes]) -> A:
        """The answer to the line that `ask` gives.

        Raises:
            ReportNotReadyError: it is being made, or could not be; it is made anew for who asks again.
            StoreError: the store cannot answer.
        """
        path, erasures = self._path_of(name), self._last_erasure()
        until = self._monotonic() + self._wait_seconds
        while True:
            self._have_made(path, ask, erasures)
            is_over = self._children.stopped.wait(_LOOK_SECONDS) or self._monotonic() >= until
            if (found := self._look_at(path, erasures)) is not None:
                return found
            if is_over:
                reason = "is being made, or waits until another one is"
                raise ReportNotReadyError(reason, RETRY_SECONDS)

    def stop(self) -> None:
        """End the answer that is being made, if this process has it made."""
        self._children.stop()

    def _look_at(self, path: Path, erasures: int) -> A | None:
        """What is kept and counts. What went wrong is told once, and then tried again."""
        answer, fault = self._counting(path, erasures) or (None, None)
        if fault is None:
            return answer
        try:
            path.unlink()
        except OSError:  # Somebody else was told.
            return None
        raise ReportNotReadyError(f"could not be made: it {fault}", RETRY_SECONDS)

    def _counting(self, path: Path, erasures: int) -> tuple[A | None, str | None] | None:
        """What is kept and counts, or why there is nothing; None where neither is kept."""
        with suppress(OSError, msgspec.DecodeError):  # Another release may have kept it.
            kept = decode_json(path.read_bytes(), Kept)
            if kept.erasures >= erasures and kept.begun <= self._monotonic() < kept.until:
                return (self._read(kept.answer) if kept.fault is None else None), kept.fault
        return None

    def _have_made(self, path: Path, ask: Callable[[], bytes], erasures: int) -> None:
        """Begin the answer, unless somebody is at one. The folder is made anew where it was taken away."""
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

    def _make(self, path: Path, ask: Callable[[], bytes], lease: int) -> None:
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

    def _made(self, ask: Callable[[], bytes]) -> Kept:
        begun, erasures = self._monotonic(), 0
        try:
            erasures = self._last_erasure()
            told = self._children.run(self._command, ask() + b"\n", most_seconds=self._most_seconds)
            self._read(told)
        except (OSError, ValueError, subprocess.SubprocessError, StoreError) as error:
            log.error("report_failed", reason=reason_of(error))
            return Kept(begun, self._monotonic() + FAILED_SECONDS, erasures, fault=reason_of(error))
        ended = self._monotonic()
        return Kept(begun, ended + KEPT_TIMES * (ended - begun), erasures, msgspec.Raw(told))

    def _let_go(self) -> None:
        """Keep the answers that were made last, and room for one more."""
        made = sorted(self._folder.glob("*.json"), key=_kept_at, reverse=True)
        for path in made[MAX_KEPT - 1 :]:
            path.unlink(missing_ok=True)

    def _path_of(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def name_of(*parts: object) -> str:
    """The name of the answer that depends on the parts."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:40]


def usable(folder: Path | None) -> Path | None:
    """The folder, where there is one and nobody else could write to it."""
    if folder is not None and not is_ours(folder):
        log.warning("reports_folder_refused", folder=str(folder), reason="it is not ours alone to write to")
        return None
    return folder


def _kept_at(path: Path) -> int:
    """When it was kept; 0 where somebody took it away meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
