"""What outdates slates, known to every process of a machine at once. In: customers. Out: stamps to compare.

A file of random numbers that every process maps into its memory: one for everybody, and one for each share
of the customers. To outdate a customer's slates is to write a new number; a copy that was made under the old
one no longer counts, in any process, from the moment of the write. There is nothing to send, nothing to wait
for and nothing to lose: reading costs as much as reading a list.

Numbers are drawn and never counted up: two processes that move one at the same moment, in whatever order
their writes arrive, leave a number that was not there before. Customers who share a number cost each other
a copy now and then, never a wrong answer.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import zlib
from collections.abc import Collection
from pathlib import Path

import structlog

from recsvc.domain.slates import EpochStamp
from recsvc.errors import StoreError
from recsvc.stores.slate_cache import Chance

log = structlog.get_logger()

N_CELLS = 65_536  # 512 KB: a thousand active customers share a number with one other in seventy times.
_EVERYBODY = 0
_DISTRUST = 1  # Milliseconds of the monotonic clock, which all processes of a machine share.
_FIRST = 2
_CELL_BYTES = 8


class MemoryEpochTable:
    """The stamps of one process alone."""

    def __init__(self, *, rng: Chance) -> None:
        self._rng = rng
        self._cells = memoryview(bytearray(N_CELLS * _CELL_BYTES)).cast("Q")

    @property
    def is_shared(self) -> bool:
        """Whether every process of the machine reads and writes what this one does."""
        return True

    @property
    def machine(self) -> str:
        """Names all processes that can share these stamps."""
        return "this process"

    def stamp(self, customer_id: str) -> EpochStamp:
        """What a slate of the customer that is begun now will be known by."""
        cells, place = self._cells, _place_of(customer_id)
        return EpochStamp(place, cells[place], cells[_EVERYBODY])

    def is_current(self, stamp: EpochStamp) -> bool:
        """Whether nothing has outdated the customer's slates since the stamp was taken."""
        cells = self._cells
        place, own, everybody = stamp
        return cells[place] == own and cells[_EVERYBODY] == everybody

    def move(self, customer_ids: Collection[str]) -> None:
        """Outdate every copy of the customers' slates."""
        for customer_id in customer_ids:
            self._cells[_place_of(customer_id)] = self._rng.getrandbits(64)

    def move_all(self) -> None:
        """Outdate every copy of everybody's slates."""
        self._cells[_EVERYBODY] = self._rng.getrandbits(64)

    @property
    def distrusted_until(self) -> float:
        """Until when nobody should take a slate from Redis, in seconds of the machine's monotonic clock."""
        return self._cells[_DISTRUST] / 1000

    def distrust(self, until: float) -> None:
        """Tell every process of the machine to take nothing from Redis until then."""
        self._cells[_DISTRUST] = max(0, int(until * 1000))

    def close(self) -> None:
        """Let go of the memory."""
        self._cells.release()


class EpochTable(MemoryEpochTable):
    """The stamps of every process that opens the same file on this machine."""

    def __init__(self, path: Path, *, rng: Chance) -> None:
        """Map the file, made where it is missing. Raises StoreError where that cannot be."""
        self._path = path
        self._rng = rng
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _fill(descriptor)
                self._file = os.fstat(descriptor)
                self._map = mmap.mmap(descriptor, N_CELLS * _CELL_BYTES, mmap.MAP_SHARED)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be mapped ({error}): make its folder writable") from error
        self._cells = memoryview(self._map).cast("Q")

    @property
    def is_shared(self) -> bool:
        """Whether the file still stands where others find it: what was removed is shared with nobody new."""
        try:
            found = os.stat(self._path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino, found.st_size) == (
            self._file.st_dev,
            self._file.st_ino,
            N_CELLS * _CELL_BYTES,
        )

    @property
    def machine(self) -> str:
        """Names all processes that can share this file: those of this start of this machine that have it."""
        try:
            start = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            start = socket.gethostname()
        return f"{start}:{self._file.st_dev}:{self._file.st_ino}"

    def close(self) -> None:
        """Let go of the memory. The file stays: others may have it open."""
        self._cells.release()
        self._map.close()


class _OwnEpochTable(MemoryEpochTable):
    """Stamps that other processes know nothing of."""

    @property
    def is_shared(self) -> bool:
        """They are not."""
        return False

    @property
    def machine(self) -> str:
        """Nobody else is on a machine of that name."""
        return f"alone:{self._rng.getrandbits(64)}"


def open_epoch_table(path: Path, *, rng: Chance) -> MemoryEpochTable:
    """The stamps of every process of the machine; where they cannot be had, stamps of one's own."""
    try:
        return EpochTable(path, rng=rng)
    except StoreError as error:
        log.warning("epoch_table_unusable", reason=str(error))
        return _OwnEpochTable(rng=rng)


def _fill(descriptor: int) -> None:
    """Give the file its length, in blocks that are really there: a full disk must not fail a later write."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    missing = N_CELLS * _CELL_BYTES - os.fstat(descriptor).st_size
    if missing > 0:
        os.pwrite(descriptor, bytes(missing), N_CELLS * _CELL_BYTES - missing)
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def _place_of(customer_id: str) -> int:
    # The same in every process, which `hash` is not.
    return zlib.crc32(customer_id.encode()) % (N_CELLS - _FIRST) + _FIRST
