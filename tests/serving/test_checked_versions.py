"""A version may be named where serving would take it, and nobody waits twice to be told."""

from __future__ import annotations

from pathlib import Path

from recsvc.bundles.registry import Registry
from recsvc.serving.checked_versions import CheckedVersions
from tests.small_bank import flip


def test_a_sound_version_may_be_named_and_what_is_none_may_not(shelf: tuple[Path, Path]) -> None:
    versions = CheckedVersions(Registry(shelf[0].parent))
    assert versions.fault_of(shelf[0].name) is None
    assert versions.fault_of("nope") == "there is no model version nope; see recsvc models list"
    assert "is not a model version" in (versions.fault_of("../keys") or "")


def test_a_damaged_version_is_refused_until_it_is_mended(shelf: tuple[Path, Path]) -> None:
    versions, damaged = CheckedVersions(Registry(shelf[0].parent)), shelf[0] / "popularity.npy"
    sound = damaged.read_bytes()
    assert versions.fault_of(shelf[0].name) is None
    flip(damaged, len(sound) - 1)
    assert "is refused" in (versions.fault_of(shelf[0].name) or "")
    assert versions.fault_of(shelf[1].name) is None
    damaged.write_bytes(sound)
    assert versions.fault_of(shelf[0].name) is None
