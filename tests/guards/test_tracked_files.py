"""What no file of the tree may hold: addresses of package indexes, and paths of somebody's machine."""

from __future__ import annotations

import re
from collections.abc import Mapping

INDEX = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|conda\.anaconda\.org|--(extra-)?index-url\b"
)
MACHINE = re.compile(r"(?<![\w.$}/-])/(?:home|root|work|Users)/\w")
LOCKS = ("requirements.lock", "requirements-dev.lock")


def lines_with(pattern: re.Pattern[str], texts: Mapping[str, str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_index(texts: Mapping[str, str]) -> None:
    assert lines_with(INDEX, texts) == []


def test_no_file_holds_a_path_of_somebodys_machine(texts: Mapping[str, str]) -> None:
    assert lines_with(MACHINE, texts) == []


def test_the_lock_files_hold_no_addresses(texts: Mapping[str, str]) -> None:
    assert lines_with(re.compile(r"://|find-links| @ "), {name: texts[name] for name in LOCKS}) == []


def test_every_locked_package_has_one_version_and_hashes(texts: Mapping[str, str]) -> None:
    pinned = re.compile(r"[\w.-]+==\S+( ; .+)? \\\n +--hash=sha256:")
    for name in LOCKS:
        packages = [entry for entry in re.split(r"\n(?=\S)", texts[name]) if not entry.startswith("#")]
        assert packages
        assert [entry for entry in packages if not pinned.match(entry)] == [], name


def test_the_development_lock_holds_the_versions_that_production_runs(texts: Mapping[str, str]) -> None:
    production, development = (set(re.findall(r"^[\w.-]+==\S+", texts[name], re.MULTILINE)) for name in LOCKS)
    assert production - development == set()
