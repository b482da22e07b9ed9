"""Previews that another process makes: the same as here, kept while nothing that they depend on moved."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from recsvc.domain.contacts import is_counted
from recsvc.errors import (
    BundleNotFoundError,
    BundleRefusedError,
    BundleUncheckedError,
    ReportNotReadyError,
)
from recsvc.policy import load_policy
from recsvc.previewing import COMMAND, _maker
from recsvc.sample_bank import SampleBank
from recsvc.serving.checking import CheckerHere
from recsvc.serving.kept_previews import PreviewAsked, PreviewsApart, PreviewsHere, previews_in
from recsvc.serving.preview import Preview
from recsvc.serving.preview_making import PreviewAnswer, PreviewAsk, PreviewMaker
from recsvc.serving.verification import Model
from recsvc.settings import load_settings
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import open_database

from ..small_bank import flip

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
PLENTY = 60.0
POLICY = load_policy()


@pytest.fixture
def maker(
    shelf: tuple[Path, Path], bank_in_small: SampleBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PreviewMaker]:
    """Over a store of SQL and a shelf that the other process finds too."""
    monkeypatch.setenv("RECSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RECSVC_MODELS_DIR", str(shelf[0].parent))
    settings = load_settings()
    with closing(open_database(settings.store_url)) as database:
        SqlCatalogue(database).put_many(bank_in_small.items)
        SqlCustomers(database).put_many(bank_in_small.customers, now=NOW)
        yield _maker(settings, database, POLICY, CheckerHere())


@pytest.fixture
def ask(shelf: tuple[Path, Path]) -> PreviewAsk:
    return PreviewAsk(shelf[1].name, shelf[0].name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "previews"
    folder.mkdir(mode=0o700)
    return folder


class Apart:
    """Previews by way of a folder; who was erased is made up."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.folder = folder
        self.erasures = 0
        self.n_places = 0
        self.previews = PreviewsApart(
            folder,
            command,
            POLICY.version,
            lambda: self.erasures,
            "a store",
            clock=lambda: NOW,
            monotonic=monotonic,
            wait_seconds=PLENTY,
        )

    @contextmanager
    def place(self) -> Iterator[None]:
        self.n_places += 1
        yield

    def preview(self, ask: PreviewAsk) -> Preview:
        return self.previews.preview(ask, self.place())

    @property
    def asked(self) -> list[PreviewAsked]:
        """What `saying` was asked so far."""
        lines = (self.folder / "asked").read_bytes().splitlines()
        return [msgspec.json.decode(line, type=PreviewAsked) for line in lines]


def saying(folder: Path, answer: PreviewAnswer) -> list[str]:
    """A process that notes what it was asked, and says the same each time."""
    (folder / "said").write_bytes(msgspec.json.encode(answer))
    code = (
        "import pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with (folder / 'asked').open('ab') as log: log.write(sys.stdin.buffer.readline())\n"
        "sys.stdout.buffer.write((folder / 'said').read_bytes())"
    )
    return [sys.executable, "-I", "-S", "-c", code, str(folder)]


def test_what_goes_from_one_process_to_another_comes_out_the_same(
    maker: PreviewMaker, ask: PreviewAsk
) -> None:
    asked = PreviewAsked(ask, NOW, POLICY.version)
    assert msgspec.json.decode(msgspec.json.encode(asked), type=PreviewAsked) == asked
    here = maker.answer(ask, now=NOW)
    there = msgspec.json.decode(msgspec.json.encode(here), type=PreviewAnswer)
    assert there == here and msgspec.json.encode(there) == msgspec.json.encode(here)


def test_another_process_says_what_this_one_would(
    maker: PreviewMaker, ask: PreviewAsk, folder: Path, bank_in_small: SampleBank
) -> None:
    found = Apart(folder, COMMAND).preview(ask)
    assert found == PreviewsHere(maker, clock=lambda: NOW).preview(ask, nullcontext())
    assert (found.version, found.champion, found.catalogue_revision) == (ask.version, ask.champion, 1)
    assert found.overlap is not None and found.categories
    counted = {item.item_id for item in bank_in_small.items if is_counted(item)}
    assert counted & {one.name for one in found.offers}  # Somebody counts their contacts there.


def test_a_version_that_fails_its_check_there_is_refused_here(
    maker: PreviewMaker, ask: PreviewAsk, folder: Path, shelf: tuple[Path, Path]
) -> None:
    flip(shelf[1] / "popularity.npy", 200)
    apart = Apart(folder, COMMAND)
    with pytest.raises(BundleRefusedError, match=r"popularity\.npy has another checksum"):
        apart.preview(ask)
    with pytest.raises(BundleRefusedError, match=r"popularity\.npy has another checksum"):
        maker.answer(ask, now=NOW).or_refusal()
    with pytest.raises(BundleNotFoundError):
        maker.answer(PreviewAsk(shelf[0].name, "20300101T000000Z-als-000000"), now=NOW)


def test_a_preview_is_kept_while_nothing_moved_that_it_depends_on(
    maker: PreviewMaker, ask: PreviewAsk, folder: Path
) -> None:
    answer = maker.answer(ask, now=NOW)
    command = saying(folder, answer)
    apart, another = Apart(folder, command), Apart(folder, command)
    for worker in (apart, another, apart):
        assert worker.preview(ask) == answer.preview
    assert apart.asked == [PreviewAsked(ask, NOW, POLICY.version)]
    assert (apart.n_places, another.n_places) == (1, 0)
    moved = [PreviewAsk("another", ask.champion), PreviewAsk(ask.version, None)]
    for one in moved:
        apart.preview(one)
    assert [one.ask for one in apart.asked[1:]] == moved
    apart.erasures = 1
    apart.preview(ask)
    assert len(apart.asked) == 4


def test_a_preview_that_breaks_off_is_told_as_beside_a_champion_that_cannot_be_read(
    maker: PreviewMaker, ask: PreviewAsk, folder: Path, shelf: tuple[Path, Path]
) -> None:
    flip(shelf[0] / "popularity.npy", 200)
    with pytest.raises(ReportNotReadyError, match="broke off with code 1"):
        Apart(folder, COMMAND).preview(ask)
    with pytest.raises(ReportNotReadyError, match="could not be made"):
        Apart(folder, ["/nowhere/python"]).preview(PreviewAsk(ask.version, None))


def test_a_version_that_could_not_be_checked_is_not_refused(maker: PreviewMaker, ask: PreviewAsk) -> None:
    """A refusal is kept for ten times as long as the check took, and this one may be sound."""

    class Unchecking(CheckerHere):
        def load(self, path: Path) -> Model:
            raise BundleUncheckedError(f"bundle {path.name} could not be checked")

    unchecking = PreviewMaker(maker._registry, Unchecking(), maker._previewer, POLICY.version)
    with pytest.raises(BundleUncheckedError):
        unchecking.answer(PreviewAsk(ask.version, None), now=NOW)


def test_previews_are_trusted_only_where_nobody_else_can_write(maker: PreviewMaker, folder: Path) -> None:
    def kind(place: Path | None) -> type:
        return type(previews_in(place, maker, [], lambda: 0, "a", clock=lambda: NOW, monotonic=monotonic))

    assert kind(folder) is PreviewsApart
    assert kind(None) is kind(folder / "none") is PreviewsHere
    folder.chmod(0o777)
    assert kind(folder) is PreviewsHere


def test_a_catalogue_that_moves_meanwhile_is_told_with_its_revision(
    maker: PreviewMaker, ask: PreviewAsk, bank_in_small: SampleBank
) -> None:
    item = replace(bank_in_small.items[0], category="another")
    SqlCatalogue(maker._previewer._catalogue._database).put_many([item])  # type: ignore[attr-defined]
    assert maker.answer(ask, now=NOW).or_refusal().catalogue_revision == 2
