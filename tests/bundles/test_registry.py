"""The shelf of bundles: nothing half-written is ever seen, and an alias always points at something."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundles.opening import open_bundle, read_manifest
from recsvc.bundles.registry import ALIASES_FILE, Aliases, Registry
from recsvc.errors import BundleError, BundleNotFoundError, RegistryError

from ..small_bank import Arrays, publish_changed


def arrays_of(bundle: Path) -> Arrays:
    return {file.stem: np.load(file) for file in bundle.glob("*.npy")}


def test_an_empty_shelf_holds_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "none")
    assert registry.versions() == ()
    assert list(registry.shelved()) == []
    assert registry.aliases() == Aliases()


def test_the_same_facts_are_published_under_the_same_version(
    shelf: tuple[Path, Path], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "another")
    manifest, arrays = read_manifest(shelf[0]), arrays_of(shelf[0])
    once, twice = (registry.publish(replace(manifest, version=""), arrays) for _ in range(2))
    assert once == twice == manifest
    assert registry.versions() == (shelf[0].name,)
    open_bundle(registry.path_of(once.version))


def test_other_facts_are_another_version(shelf: tuple[Path, Path]) -> None:
    assert publish_changed(shelf[0], lambda arrays: None) != shelf[0]


def test_versions_are_listed_newest_first_and_nothing_else_is(shelf: tuple[Path, Path]) -> None:
    registry = Registry(shelf[0].parent)
    for stray in (".staging-1", ".hidden", "lost+found", "a b"):
        (registry.folder / stray).mkdir()
    (registry.folder / "README.md").write_text("")
    assert registry.versions() == (shelf[1].name, shelf[0].name)


def test_a_bundle_that_cannot_be_read_stays_on_the_list_with_its_problem(shelf: tuple[Path, Path]) -> None:
    (shelf[0] / "manifest.json").write_text("{")
    good, bad = Registry(shelf[0].parent).shelved()
    assert good.manifest is not None
    assert good.problem is None
    assert bad.manifest is None
    assert bad.problem is not None
    assert shelf[0].name in bad.problem


PUBLISH_SLOWLY = """
import sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from recsvc.bundles import registry as shelf
from recsvc.bundles.opening import read_manifest

bundle, folder = map(Path, sys.argv[1:])
write = shelf._write_array
def slowly(*given):
    done = write(*given)
    print(given[1], flush=True)
    time.sleep(0.05)
    return done
shelf._write_array = slowly
arrays = {file.stem: np.load(file) for file in sorted(bundle.glob("*.npy"))}
shelf.Registry(folder).publish(read_manifest(bundle), arrays)
"""


def test_a_killed_publication_leaves_nothing_to_see_and_is_swept_up(
    published: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    registry = Registry(folder)
    command = [sys.executable, "-c", PUBLISH_SLOWLY, str(published[0]), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
        assert publisher.stdout is not None
        for _ in range(3):
            assert publisher.stdout.readline()
        publisher.send_signal(signal.SIGKILL)
    assert registry.versions() == ()
    assert [path.name[:9] for path in folder.iterdir() if path.is_dir()] == [".staging-"]
    manifest = registry.publish(read_manifest(published[0]), arrays_of(published[0]))
    assert registry.versions() == (manifest.version,)
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [manifest.version]


def test_a_publication_that_fails_leaves_nothing(published: tuple[Path, Path], tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    unwritable = {"popularity": np.array([object()])}
    with pytest.raises(ValueError, match="pickle"):
        registry.publish(read_manifest(published[0]), unwritable)
    assert [path.name for path in registry.folder.iterdir()] == [".lock"]


# --- aliases ---------------------------------------------------------------------------------------


def test_promoting_and_rolling_back_go_there_and_back(shelf: tuple[Path, Path]) -> None:
    registry = Registry(shelf[0].parent)
    older, newer = shelf[0].name, shelf[1].name
    assert registry.promote(older) == Aliases(champion=older)
    assert registry.promote(newer) == Aliases(champion=newer, former_champions=(older,))
    assert registry.promote(newer) == Aliases(champion=newer, former_champions=(older,))
    assert registry.roll_back() == registry.aliases() == Aliases(champion=older)
    with pytest.raises(BundleNotFoundError, match="recsvc models promote"):
        registry.roll_back()


def test_promoting_a_former_champion_lists_nobody_twice(shelf: tuple[Path, Path]) -> None:
    registry = Registry(shelf[0].parent)
    older, newer = shelf[0].name, shelf[1].name
    for version in (older, newer, older, newer, older):
        registry.promote(version)
    assert registry.aliases() == Aliases(champion=older, former_champions=(newer,))


def test_rolling_back_passes_over_what_is_no_longer_there(shelf: tuple[Path, Path]) -> None:
    registry = Registry(shelf[0].parent)
    third = publish_changed(shelf[0], lambda arrays: None)
    for path in (shelf[0], shelf[1], third):
        registry.promote(path.name)
    shutil.rmtree(shelf[1])
    assert registry.roll_back().champion == shelf[0].name


def test_rolling_back_passes_over_what_is_not_fit_to_serve(shelf: tuple[Path, Path]) -> None:
    registry = Registry(shelf[0].parent)
    third = publish_changed(shelf[0], lambda arrays: None)
    for path in (shelf[0], shelf[1], third):
        registry.promote(path.name)
    before = registry.aliases()
    with pytest.raises(BundleNotFoundError, match="recsvc models promote"):
        registry.roll_back(lambda version: False)
    assert registry.aliases() == before
    assert registry.roll_back(lambda version: version != shelf[1].name) == Aliases(champion=shelf[0].name)


@pytest.mark.parametrize(
    "version",
    [
        "",
        ".",
        "..",
        "/etc",
        "../models",
        "a/b",
        "a\\b",
        ".hidden",
        "a\0b",
        "a\n",
        "x" * 1000,
        "ü",
        "{}",
        "-x",
    ],
)
def test_what_cannot_be_a_version_is_refused(shelf: tuple[Path, Path], version: str) -> None:
    registry = Registry(shelf[0].parent)
    for ask in (registry.path_of, registry.promote):
        with pytest.raises(BundleNotFoundError, match="not a model version; see recsvc models list"):
            ask(version)
    assert registry.aliases() == Aliases()


@pytest.mark.parametrize("version", ["nothing", "aliases.json", "README.md"])
def test_what_is_not_on_the_shelf_is_not_promoted(shelf: tuple[Path, Path], version: str) -> None:
    registry = Registry(shelf[0].parent)
    registry.promote(shelf[0].name)
    (registry.folder / "README.md").write_text("")
    with pytest.raises(BundleNotFoundError):
        registry.promote(version)
    assert registry.aliases().champion == shelf[0].name


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"champion": 3}', b"\xff"])
def test_aliases_that_cannot_be_read_say_what_to_do(shelf: tuple[Path, Path], raw: bytes) -> None:
    registry = Registry(shelf[0].parent)
    (registry.folder / ALIASES_FILE).write_bytes(raw)
    for ask in (registry.aliases, registry.roll_back, lambda: registry.promote(shelf[0].name)):
        with pytest.raises(RegistryError, match=r"aliases\.json cannot be read.*delete it and promote again"):
            ask()
    assert (registry.folder / ALIASES_FILE).read_bytes() == raw


def test_a_folder_that_cannot_be_written_to_says_what_to_do(
    published: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")  # Below a file there is no folder, not even for root.
    registry = Registry(tmp_path / "file" / "models")
    for write in (
        registry.check_writable,
        registry.roll_back,
        lambda: registry.publish(read_manifest(published[0]), {}),
    ):
        with pytest.raises(RegistryError, match=r"cannot be written to .*choose another with --models"):
            write()
    with pytest.raises(RegistryError, match="cannot be read"):
        registry.versions()


def test_a_shelf_that_is_a_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(RegistryError, match="cannot be written to"):
        Registry(tmp_path / "models").check_writable()


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    registry.check_writable()
    assert [path.name for path in registry.folder.iterdir()] == [".lock"]


PROMOTE_OFTEN = """
import sys
from pathlib import Path
from recsvc.bundles.registry import Registry

registry = Registry(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(100):
    registry.promote(sys.argv[2 + turn % 2])
"""


def test_two_processes_that_promote_at_once_leave_one_whole_state(shelf: tuple[Path, Path]) -> None:
    registry = Registry(shelf[0].parent)
    names = [path.name for path in shelf]
    registry.promote(names[0])
    commands = [
        [sys.executable, "-c", PROMOTE_OFTEN, str(registry.folder), *order] for order in (names, names[::-1])
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    promoters = [subprocess.Popen(command, text=True, **pipes) for command in commands]  # type: ignore[call-overload]
    try:
        for promoter in promoters:
            assert promoter.stdout.readline() == "ready\n"
        for promoter in promoters:
            promoter.stdin.write("\n")
            promoter.stdin.flush()
        deadline = time.monotonic() + 30
        while any(promoter.poll() is None for promoter in promoters) and time.monotonic() < deadline:
            state = registry.aliases()  # A reader never sees half a state.
            assert {state.champion, *state.former_champions} <= set(names)
        assert [promoter.wait(5) for promoter in promoters] == [0, 0]
    finally:
        for promoter in promoters:
            promoter.kill()
            promoter.communicate()
    state = registry.aliases()
    assert sorted({state.champion, *state.former_champions}, key=str) == sorted(names)
    assert sorted(path.name for path in registry.folder.iterdir()) == sorted([".lock", ALIASES_FILE, *names])


def test_every_refusal_of_the_registry_is_a_bundle_error() -> None:
    assert issubclass(RegistryError, BundleError)
