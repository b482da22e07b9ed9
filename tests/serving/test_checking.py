"""Another process checks a bundle, once for all workers; whatever becomes of it, nothing unsound serves."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from recsvc.bundles.registry import Registry
from recsvc.errors import BundleError, BundleNotFoundError, BundleUncheckedError
from recsvc.serving.checking import COMMAND, CheckerApart, CheckerHere, checker_in
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.verification import Model

from ..small_bank import flip

PLENTY = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checks"
    made.mkdir(mode=0o700)
    return made


def counting(folder: Path, then: Sequence[str] = COMMAND) -> list[str]:
    """A command that leaves a line for every check, and then does what it is for."""
    code = "import os, sys; open(sys.argv[1], 'a').write('checked\\n'); os.execv(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-c", code, str(folder / "log"), *then]


def n_checks(folder: Path) -> int:
    log = folder / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def checker(folder: Path, command: Sequence[str] = COMMAND, seconds: float = PLENTY) -> CheckerApart:
    return CheckerApart(folder, monotonic=time.monotonic, command=command, most_seconds=seconds)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def until(holds: Callable[[], bool]) -> None:
    for _ in range(int(PLENTY / 0.02)):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to hold")


def test_a_sound_bundle_is_checked_once_for_all_who_ask_at_the_same_time(
    shelf: tuple[Path, Path], folder: Path
) -> None:
    found: list[Model] = []
    workers = [checker(folder, counting(folder)) for _ in range(4)]
    threads = [threading.Thread(target=lambda one=one: found.append(one.load(shelf[0]))) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    here = CheckerHere().load(shelf[0])
    assert [one.version for one in found] == [here.version] * 4
    assert all(one.bundle.stamps == here.bundle.stamps for one in found)
    assert n_checks(folder) == 1


def test_what_the_other_process_found_is_what_a_check_here_would_say(
    shelf: tuple[Path, Path], folder: Path
) -> None:
    flip(shelf[0] / "popularity.npy", 200)
    one, other = (checker(folder, counting(folder)) for _ in range(2))
    for worker in (one, other):
        with pytest.raises(BundleError, match=r"popularity\.npy has another checksum"):
            worker.load(shelf[0])
    assert n_checks(folder) == 1
    with pytest.raises(BundleNotFoundError):
        one.load(shelf[0].parent / "nowhere")


def test_files_that_were_touched_are_checked_again(shelf: tuple[Path, Path], folder: Path) -> None:
    one = checker(folder, counting(folder))
    one.load(shelf[0])
    file = shelf[0] / "popularity.npy"
    before = file.stat()
    flip(file, 200)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(BundleError, match="another checksum"):
        one.load(shelf[0])
    flip(file, 200)
    assert one.load(shelf[0]).version == shelf[0].name
    assert n_checks(folder) == 3


def test_a_check_that_hangs_or_breaks_off_is_no_verdict_and_what_serves_goes_on(
    shelf: tuple[Path, Path], folder: Path
) -> None:
    registry, (older, newer) = Registry(shelf[0].parent), shelf
    registry.promote(older.name)
    hung = python("import time; time.sleep(600)")
    for command, said in ((hung, "took more than"), (python("raise SystemExit(3)"), "broke off with code 3")):
        checker(folder).load(older)
        bundles = LiveBundles(registry, checker=checker(folder, command, 0.2))
        bundles.refresh()
        registry.promote(newer.name)
        until(lambda one=bundles: (one.refresh(), bool(one.refused))[1])
        assert bundles.model is not None and bundles.model.version == older.name
        assert [one.version for one in bundles.refused] == [newer.name]
        assert said in bundles.refused[0].reason
        registry.promote(older.name)


def test_what_could_not_be_checked_is_tried_again_and_taken(shelf: tuple[Path, Path], folder: Path) -> None:
    registry, now = Registry(shelf[0].parent), [0.0]
    marker = folder / "broke"
    code = (
        "import os, pathlib, sys\n"
        "first = pathlib.Path(sys.argv[1])\n"
        "if not first.exists(): first.touch(); sys.exit(3)\n"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    apart = CheckerApart(
        folder, monotonic=lambda: now[0], command=[sys.executable, "-c", code, str(marker), *COMMAND]
    )
    registry.promote(shelf[0].name)
    bundles = LiveBundles(registry, checker=apart)
    bundles.refresh()
    bundles.refresh()
    assert bundles.model is None and bundles.refused
    now[0] += 1000.0
    bundles.refresh()
    assert bundles.model is not None and not bundles.refused


def test_what_serves_goes_on_while_a_new_champion_is_checked(shelf: tuple[Path, Path], folder: Path) -> None:
    registry, gate = Registry(shelf[0].parent), folder / "go"
    code = (
        "import os, pathlib, sys, time\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.02)\n"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    checker(folder).load(shelf[0])
    registry.promote(shelf[0].name)
    bundles = LiveBundles(
        registry, checker=checker(folder, [sys.executable, "-c", code, str(gate), *COMMAND])
    )
    bundles.refresh()
    registry.promote(shelf[1].name)
    for _ in range(3):
        bundles.refresh()
        assert bundles.model is not None and bundles.model.version == shelf[0].name
        assert not bundles.refused
    gate.touch()
    until(lambda: (bundles.refresh(), bundles.model and bundles.model.version == shelf[1].name)[1] or False)


def test_where_no_process_can_be_started_the_check_is_made_here(
    shelf: tuple[Path, Path], folder: Path
) -> None:
    one = checker(folder, ["/nowhere/python"])
    assert one.load(shelf[0]).version == shelf[0].name
    flip(shelf[1] / "popularity.npy", 200)
    with pytest.raises(BundleError, match="another checksum"):
        one.load(shelf[1])


def test_a_check_that_is_stopped_ends_and_lets_nobody_wait(shelf: tuple[Path, Path], folder: Path) -> None:
    one = checker(folder, python("import time; time.sleep(600)"))
    assert one.poll(shelf[0]) is None
    one.stop()
    with pytest.raises(BundleUncheckedError):
        one.load(shelf[0])
    assert checker(folder).load(shelf[0]).version == shelf[0].name


def test_half_a_verdict_and_an_empty_one_are_none(shelf: tuple[Path, Path], folder: Path) -> None:
    one = checker(folder, counting(folder))
    one.load(shelf[0])
    (kept,) = folder.glob("*.json")
    assert json.loads(kept.read_bytes()) == {"fault": None}
    for broken in (b"", b'{"fau', b"{}"):
        kept.write_bytes(broken)
        one.load(shelf[0])
    assert n_checks(folder) == 4


def test_verdicts_are_trusted_only_where_nobody_else_can_write(tmp_path: Path, folder: Path) -> None:
    def kind(place: Path | None) -> type:
        return type(checker_in(place, monotonic=time.monotonic))

    assert kind(folder) is CheckerApart
    assert kind(None) is kind(tmp_path / "none") is CheckerHere
    folder.chmod(0o777)
    assert kind(folder) is CheckerHere
    folder.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert kind(link) is CheckerHere
