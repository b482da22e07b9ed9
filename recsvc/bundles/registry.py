"""The shelf of bundles. In: a folder of models. Out: bundles published, listed, promoted, rolled back.

A bundle becomes visible by one rename and an alias moves by one atomic write, so a reader sees the old
state or the new one and never half of either.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from recsvc.bundles.bundle import AnyArray
from recsvc.bundles.gate_report import REPORT_FILE, GateReport, decode_report, encode_report
from recsvc.bundles.manifest import ArrayFact, Manifest, encode_manifest
from recsvc.bundles.opening import MANIFEST_FILE, read_manifest
from recsvc.errors import BundleCorruptError, BundleError, BundleNotFoundError, RegistryError
from recsvc.typed_decoding import decode_json

ALIASES_FILE = "aliases.json"
_ALIASES_DRAFT = ".aliases.json.part"  # One writer at a time holds the lock, so one name will do.
_REPORT_DRAFT = ".gate.json.part"
_LOCK_FILE = ".lock"
_STAGING_PREFIX = ".staging-"
_KEPT_HISTORY = 50
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Aliases:
    """Where the aliases point. `former_champions` is newest first: what a roll-back returns to."""

    champion: str | None = None
    challenger: str | None = None
    former_champions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shelved:
    """One entry of the registry: a readable manifest, or the reason why it cannot be read."""

    version: str
    manifest: Manifest | None
    problem: str | None


class Registry:
    """The bundles in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, version: str) -> Path:
        """Where a version's bundle is. Raises BundleNotFoundError for what cannot be a version."""
        if not _VERSION.fullmatch(version):
            raise BundleNotFoundError(f"{version!r} is not a model version; see recsvc models list")
        return self.folder / version

    def versions(self) -> tuple[str, ...]:
        """Every published version, newest first. Raises RegistryError."""
        try:
            found = [entry.name for entry in self.folder.iterdir() if entry.is_dir()]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreadable(error) from error
        return tuple(sorted(filter(_VERSION.fullmatch, found), reverse=True))

    def shelved(self) -> Iterator[Shelved]:
        """Every published version with its manifest, newest first."""
        for version in self.versions():
            try:
                yield Shelved(version, read_manifest(self.folder / version), None)
            except BundleError as error:
                yield Shelved(version, None, str(error))

    def aliases(self) -> Aliases:
        """Where the aliases point now. Raises RegistryError."""
        try:
            return decode_json((self.folder / ALIASES_FILE).read_bytes(), Aliases)
        except FileNotFoundError:
            return Aliases()
        except OSError as error:
            raise self._unreadable(error) from error
        except msgspec.DecodeError as error:
            raise RegistryError(
                f"{self.folder / ALIASES_FILE} cannot be read ({error}); "
                "mend it, or delete it and promote again"
            ) from error

    def check_writable(self) -> None:
        """Raise RegistryError, with the remedy, when nothing can be published here."""
        with self._locked(), self._writing():
            self._staging.mkdir()
            self._staging.rmdir()

    def sweep(self) -> None:
        """Remove what writers that were killed left behind. Raises RegistryError."""
        if self.folder.is_dir():
            with self._locked():
                pass

    def publish(self, manifest: Manifest, arrays: Mapping[str, AnyArray]) -> Manifest:
        """Write a bundle and put it on the shelf; its manifest under its final version.

        Raises:
            RegistryError: the folder cannot be written to; nothing of the bundle is left then.
        """
        staging = self._staging
        with self._locked(), self._writing():
            try:
                staging.mkdir()
                facts = {name: _write_array(staging, name, array) for name, array in arrays.items()}
                complete = replace(manifest, arrays=facts).with_version()
                _write_durably(staging / MANIFEST_FILE, encode_manifest(complete))
                _sync_folder(staging)
                target = self.folder / complete.version
                if not target.exists():  # The same facts make the same version: it is there already.
                    staging.rename(target)
                    _sync_folder(self.folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return complete

    def keep_report(self, report: GateReport) -> None:
        """Keep what the promotion gate found with its version. Raises BundleNotFoundError, RegistryError."""
        path = self.path_of(report.version)
        read_manifest(path)
        with self._locked(), self._writing():
            _replace_durably(path / REPORT_FILE, self.folder / _REPORT_DRAFT, encode_report(report))

    def report_of(self, version: str) -> GateReport | None:
        """What the promotion gate found of a version; None of one that was never judged.

        Raises:
            BundleCorruptError: it cannot be read.
        """
        try:
            return decode_report((self.path_of(version) / REPORT_FILE).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise BundleCorruptError(version, REPORT_FILE, f"cannot be read ({error})") from error

    def withdraw(self, version: str) -> None:
        """Take a bundle that must not serve off the shelf for good. Raises RegistryError."""
        with self._locked():
            self._take_off(version)

    def keep_last(self, n: int, pinned: Collection[str] = ()) -> tuple[str, ...]:
        """Withdraw all but the newest `n` versions, and say which went.

        The champion, the challenger and what a roll-back would return to stay, and so does what is `pinned`.
        Raises RegistryError.
        """
        with self._locked():
            now = self.aliases()
            before = next((v for v in now.former_champions if self.path_of(v).is_dir()), None)
            needed = {now.champion, now.challenger, before, *pinned}
            old = tuple(version for version in self.versions()[n:] if version not in needed)
            for version in old:
                self._take_off(version)
        return old

    def challenge(self, version: str) -> Aliases:
        """Point `challenger` at a version that may be promoted later. Raises BundleError."""
        read_manifest(self.path_of(version))
        with self._locked():
            return self._point(replace(self.aliases(), challenger=version))

    def promote(self, version: str) -> Aliases:
        """Point `champion` at a version. The caller has checked the bundle. Raises BundleError.

        It is no challenger any more.
        """
        read_manifest(self.path_of(version))
        with self._locked():
            now = self.aliases()
            challenger = None if now.challenger == version else now.challenger
            if now.champion == version:
                return now if challenger == now.challenger else self._point(replace(now, challenger=None))
            former = tuple(v for v in (now.champion, *now.former_champions) if v and v != version)
            return self._point(Aliases(version, challenger, former[:_KEPT_HISTORY]))

    def roll_back(self, is_fit: Callable[[str], bool] = lambda version: True) -> Aliases:
        """Point `champion` at the last one before it that still stands and is fit to serve.

        Raises:
            BundleNotFoundError: there is no such one.
            RegistryError: the folder cannot be read or written to; nothing was changed.
        """
        with self._locked():
            now = self.aliases()
            former = now.former_champions
            places = (n for n, v in enumerate(former) if self.path_of(v).is_dir() and is_fit(v))
            place = next(places, None)
            if place is None:
                raise BundleNotFoundError(
                    "there is no former champion to roll back to; use recsvc models promote VERSION"
                )
            challenger = None if now.challenger == former[place] else now.challenger
            return self._point(Aliases(former[place], challenger, former[place + 1 :]))

    def _point(self, aliases: Aliases) -> Aliases:
        with self._writing():
            content = msgspec.json.encode(aliases) + b"\n"
            _replace_durably(self.folder / ALIASES_FILE, self.folder / _ALIASES_DRAFT, content)
        return aliases

    def _take_off(self, version: str) -> None:
        with self._writing():
            if self.path_of(version).is_dir():
                self.path_of(version).rename(self._staging)  # Gone at once, whatever becomes of the rest.
                shutil.rmtree(self._staging, ignore_errors=True)

    def _unreadable(self, error: OSError) -> RegistryError:
        return RegistryError(
            f"the models folder {self.folder} cannot be read ({error.strerror}); "
            "give read access or choose another with --models"
        )

    @property
    def _staging(self) -> Path:
        return self.folder / f"{_STAGING_PREFIX}{os.getpid()}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. What a killed writer left behind is swept away here."""
        with ExitStack() as stack:
            with self._writing():
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((self.folder / _LOCK_FILE).open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                for stale in self.folder.glob(f"{_STAGING_PREFIX}*"):
                    shutil.rmtree(stale, ignore_errors=True)
                for draft in (_ALIASES_DRAFT, _REPORT_DRAFT):
                    (self.folder / draft).unlink(missing_ok=True)
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RegistryError(
                f"the models folder {self.folder} cannot be written to ({error.strerror}); "
                "give write access or choose another with --models"
            ) from error


def _write_array(folder: Path, name: str, array: AnyArray) -> ArrayFact:
    little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    file = folder / f"{name}.npy"
    with file.open("wb") as stream:
        np.save(stream, little_endian, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ArrayFact(dtype=little_endian.dtype.str, shape=little_endian.shape, sha256=digest)


def _write_durably(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _replace_durably(file: Path, draft: Path, content: bytes) -> None:
    """Readers see the old content or the new one, whole."""
    _write_durably(draft, content)
    draft.replace(file)
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
