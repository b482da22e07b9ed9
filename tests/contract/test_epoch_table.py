"""What every table of stamps does; one in a file does it for every process of the machine."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsvc.errors import StoreError
from recsvc.stores.epoch_table import EpochTable, MemoryEpochTable, open_epoch_table

Table = MemoryEpochTable
RNG = random.SystemRandom()


@pytest.fixture(params=["memory", "file"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    opened = MemoryEpochTable(rng=RNG) if request.param == "memory" else EpochTable(tmp_path / "e", rng=RNG)
    yield opened
    opened.close()


def test_a_stamp_is_current_until_its_customer_is_outdated(table: Table) -> None:
    mine, other = table.stamp("c1"), table.stamp("c2")
    assert table.is_current(mine)
    table.move(["c1"])
    assert not table.is_current(mine)
    assert table.is_current(other)
    assert table.is_current(table.stamp("c1"))


def test_what_outdates_everybody_outdates_each(table: Table) -> None:
    stamps = [table.stamp(f"c{number}") for number in range(100)]
    table.move_all()
    assert not any(map(table.is_current, stamps))


def test_a_stamp_never_comes_back(table: Table) -> None:
    stamps = [table.stamp("c1")]
    for _ in range(100):
        table.move(["c1"])
        assert not any(map(table.is_current, stamps))
        stamps.append(table.stamp("c1"))


def test_distrust_is_remembered_and_no_customers_stamp(table: Table) -> None:
    assert table.distrusted_until == 0
    stamps = [table.stamp(f"c{number}") for number in range(1_000)]
    table.distrust(12.5)
    table.move_all()
    assert table.distrusted_until == 12.5
    assert {stamp.place for stamp in stamps}.isdisjoint({0, 1})


def test_any_id_has_a_stamp(table: Table) -> None:
    for customer_id in ("", "x" * 256, "客户"):
        assert table.is_current(table.stamp(customer_id))


def test_what_another_process_outdates_is_outdated_here_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "epochs"
    here = EpochTable(path, rng=RNG)
    before, other = here.stamp("c1"), here.stamp("c2")
    code = (
        "import random, sys, pathlib; from recsvc.stores.epoch_table import EpochTable;"
        "table = EpochTable(pathlib.Path(sys.argv[1]), rng=random.SystemRandom());"
        "table.move(['c1']); table.distrust(7.0); print(table.stamp('c1').own)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert not here.is_current(before)
    assert here.is_current(other)
    assert here.stamp("c1").own == int(done.stdout)
    assert here.distrusted_until == 7.0
    here.close()


def test_processes_that_move_one_number_at_once_leave_none_that_was_there_before(tmp_path: Path) -> None:
    tables = [EpochTable(tmp_path / "e", rng=RNG) for _ in range(4)]
    stale: list[bool] = []

    def move(own: Table) -> None:
        for _ in range(500):
            before = own.stamp("c1")
            own.move(["c1"])
            stale.append(own.is_current(before))

    threads = [threading.Thread(target=move, args=[own]) for own in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stale == [False] * 2_000
    for own in tables:
        own.close()


def test_a_table_that_was_removed_or_replaced_is_shared_no_more(tmp_path: Path) -> None:
    path = tmp_path / "e"
    first = EpochTable(path, rng=RNG)
    assert first.is_shared
    path.unlink()
    assert not first.is_shared
    second = EpochTable(path, rng=RNG)
    assert second.is_shared and not first.is_shared
    first.close()
    second.close()


def test_a_file_takes_all_its_room_at_once(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_bytes(b"\x01" * 100)  # As a process that was killed at the first write may leave it.
    EpochTable(path, rng=RNG).close()
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size == 524_288
    assert path.read_bytes()[:100] == b"\x01" * 100


def test_a_folder_that_cannot_be_written_gives_stamps_that_nobody_shares(tmp_path: Path) -> None:
    blocked = tmp_path / "file" / "e"
    blocked.parent.write_bytes(b"")
    with pytest.raises(StoreError, match="make its folder writable"):
        EpochTable(blocked, rng=RNG)
    own = open_epoch_table(blocked, rng=RNG)
    assert not own.is_shared
    assert own.is_current(own.stamp("c1"))
