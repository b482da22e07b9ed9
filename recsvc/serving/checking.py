"""Who checks a bundle before it serves. In: the folder of a bundle. Out: a model that passed, or a refusal.

A check reads a whole bundle and would hold a worker's interpreter and its core, so another process does it,
once for all workers of a server. Its verdict is kept in a folder that the server made anew for its own
workers. A verdict holds for the files as they were, by names, sizes and times; files that differ by any of
these are checked again. Afterwards a worker maps the files and reads none of them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from recsvc.apart import Children, is_ours, keep, lease_of, reason_of
from recsvc.bundles.opening import read_manifest
from recsvc.errors import BundleError, BundleUncheckedError
from recsvc.serving.verification import Model, fingerprint_of, load_model, map_model
from recsvc.typed_decoding import decode_json

log = structlog.get_logger()

COMMAND = (sys.executable, "-m", "recsvc.serving.checking_child")
MOST_SECONDS = 120.0
REST_SECONDS = 30.0
_LOOK_SECONDS = 0.02


class Verdict(msgspec.Struct, frozen=True):
    """What a check found: one sentence, or nothing of a bundle that is sound."""

    fault: str | None


def verdict_on(path: Path) -> Verdict:
    """Check the bundle in this process."""
    try:
        load_model(path)
    except Exception as error:  # Whatever is wrong with it, it is not sound.
        return Verdict(str(error) or type(error).__name__)
    return Verdict(None)


class Checker(Protocol):
    """Makes models of bundles that pass the full check."""

    def load(self, path: Path) -> Model:
        """The model, however long its check takes. Raises BundleError for what is refused."""
        ...

    def poll(self, path: Path) -> Model | None:
        """The model; None while it is being checked: ask again. Raises BundleError for what is refused."""
        ...

    def stop(self) -> None:
        """End what was begun."""
        ...


class CheckerHere:
    """Checks in the process that asks."""

    def load(self, path: Path) -> Model:
        """As `Checker` says."""
        return load_model(path)

    def poll(self, path: Path) -> Model | None:
        """As `Checker` says; it is never being checked."""
        return load_model(path)

    def stop(self) -> None:
        """Nothing goes on in the background."""


class CheckerApart:
    """Has a process check, one at a time for each bundle among all who share the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        monotonic: Callable[[], float],
        command: Sequence[str] = COMMAND,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        """`command` checks the bundle whose folder is added to it, within `most_seconds`."""
        self._folder = folder
        self._children = Children(folder)
        self._monotonic = monotonic
        self._command = tuple(command)
        self._most_seconds = most_seconds
        self._failed: dict[Path, tuple[float, str]] = {}

    def load(self, path: Path) -> Model:
        """As `Checker` says; raises BundleUncheckedError where the check takes too long or breaks off."""
        read_manifest(path)  # What is none, or is of another format, needs no process to be told.
        while (model := self._look_at(path)) is None:
            if self._children.stopped.wait(_LOOK_SECONDS):
                raise _unchecked(path, "was broken off")
        return model

    def poll(self, path: Path) -> Model | None:
        """As `Checker` says; raises BundleUncheckedError where the check took too long or broke off."""
        read_manifest(path)
        return self._look_at(path)

    def stop(self) -> None:
        """End every check that was begun here."""
        self._children.stop()

    def _look_at(self, path: Path) -> Model | None:
        fingerprint = fingerprint_of(path)
        kept = self._folder / _name_of(path, repr(fingerprint))
        verdict = _read(kept)
        if verdict is None:
            self._have_checked(path, kept)
            return None
        if verdict.fault is not None:
            raise BundleError(verdict.fault)
        model = map_model(path)
        return model if fingerprint_of(path) == fingerprint else None

    def _have_checked(self, path: Path, kept: Path) -> None:
        """Begin a check, unless somebody is at it or the last one failed a moment ago."""
        until, reason = self._failed.get(kept, (0.0, ""))
        if reason and self._monotonic() < until:
            raise _unchecked(path, reason)
        lease = lease_of(kept.with_suffix(".lock"))
        if lease is None:
            return
        if _read(kept) is not None:  # Told since this was asked.
            os.close(lease)
            return
        threading.Thread(target=self._check, args=(path, kept, lease), name="check", daemon=True).start()

    def _check(self, path: Path, kept: Path, lease: int) -> None:
        try:
            keep(kept, msgspec.json.encode(self._verdict(path)))
            self._failed.pop(kept, None)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._failed[kept] = (self._monotonic() + REST_SECONDS, reason_of(error))
            log.error("check_failed", version=path.name, reason=reason_of(error))
        finally:
            os.close(lease)

    def _verdict(self, path: Path) -> Verdict:
        try:
            said = self._children.run([*self._command, str(path)], most_seconds=self._most_seconds)
        except OSError as error:
            log.warning("checked_here", version=path.name, reason=str(error))
            return verdict_on(path)
        return decode_json(said, Verdict)


def checker_in(folder: Path | None, *, monotonic: Callable[[], float]) -> Checker:
    """What checks by way of the folder, or here where there is none or others could write to it."""
    if folder is None:
        return CheckerHere()
    if not is_ours(folder):
        log.warning("checks_folder_refused", folder=str(folder), reason="it is not ours alone to write to")
        return CheckerHere()
    return CheckerApart(folder, monotonic=monotonic)


def _name_of(path: Path, facts: str) -> str:
    digest = hashlib.sha256(f"{path.resolve()}\n{facts}".encode()).hexdigest()
    return f"{digest[:40]}.json"


def _read(kept: Path) -> Verdict | None:
    with suppress(OSError, msgspec.DecodeError):
        return decode_json(kept.read_bytes(), Verdict)
    return None


def _unchecked(path: Path, reason: str) -> BundleUncheckedError:
    return BundleUncheckedError(
        f"bundle {path.name} is not taken: its check {reason}; it is tried again in a while"
    )
