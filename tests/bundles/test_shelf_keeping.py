"""What else the shelf keeps: reports beside bundles, a challenger, and no more bundles than are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsvc.bundles.gate_report import Decision, GateReason, GateReport
from recsvc.bundles.opening import open_bundle, read_manifest
from recsvc.bundles.registry import Registry
from recsvc.errors import BundleCorruptError, BundleNotFoundError

from ..small_bank import publish_changed


def report_on(version: str, decision: Decision = Decision.HOLD) -> GateReport:
    return GateReport(version, "champion", decision, (GateReason("coverage", "too little of it"),))


def more_versions(bundle: Path, n: int) -> list[str]:
    """So many more bundles beside one, newest last: the names differ by their digests."""
    made = []
    for number in range(n):
        manifest = read_manifest(bundle)
        facts = {"created_at": manifest.created_at.replace(year=2030 + number)}
        made.append(publish_changed(bundle, lambda arrays: None, facts).name)
    return made


def test_a_report_is_kept_beside_its_bundle_and_is_no_part_of_it(shelf: tuple[Path, Path]) -> None:
    registry, version = Registry(shelf[0].parent), shelf[0].name
    assert registry.report_of(version) is None
    registry.keep_report(report_on(version))
    assert registry.report_of(version) == report_on(version)
    registry.keep_report(report_on(version, Decision.PROMOTE))
    assert registry.report_of(version) == report_on(version, Decision.PROMOTE)
    assert open_bundle(shelf[0]).version == version
    assert sorted(registry.folder.glob(".*")) == [registry.folder / ".lock"]


def test_a_report_that_cannot_be_read_is_named(shelf: tuple[Path, Path]) -> None:
    registry = Registry(shelf[0].parent)
    (shelf[0] / "gate.json").write_text("{")
    with pytest.raises(BundleCorruptError, match=r"gate\.json cannot be read"):
        registry.report_of(shelf[0].name)
    open_bundle(shelf[0])  # The bundle itself is as sound as before.


def test_there_is_no_report_on_what_is_not_there(shelf: tuple[Path, Path]) -> None:
    with pytest.raises(BundleNotFoundError):
        Registry(shelf[0].parent).keep_report(report_on("20300101T000000Z-als-000000"))


def test_a_challenger_that_is_promoted_is_none_any_more(shelf: tuple[Path, Path]) -> None:
    registry, (older, newer) = Registry(shelf[0].parent), (shelf[0].name, shelf[1].name)
    registry.promote(older)
    assert registry.challenge(newer).challenger == newer
    assert registry.promote(older).challenger == newer
    aliases = registry.promote(newer)
    assert (aliases.champion, aliases.challenger, aliases.former_champions) == (newer, None, (older,))
    registry.challenge(older)
    aliases = registry.roll_back()
    assert (aliases.champion, aliases.challenger) == (older, None)


def test_the_newest_stay_and_with_them_whatever_is_needed(shelf: tuple[Path, Path]) -> None:
    registry = Registry(shelf[0].parent)
    names = [shelf[0].name, shelf[1].name, *more_versions(shelf[0], 5)]
    before, champion, challenger, pinned, gone, *newest = names
    registry.promote(before)
    registry.promote(champion)
    registry.challenge(challenger)
    assert registry.keep_last(2, {pinned}) == (gone,)
    assert set(registry.versions()) == {*names} - {gone}
    assert registry.roll_back().champion == before
    assert registry.keep_last(2) == (pinned, champion)
    assert set(registry.versions()) == {before, challenger, *newest}
