"""A customer is taken out of the rejects files, and everything else stays as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recsvc.errors import StoreError
from recsvc.stores.rejects_folder import RejectsFolder


def test_lines_that_mention_the_customer_go_and_the_others_stay_byte_for_byte(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_bytes('{"raw": {"a": "c1"}}\n{"raw": {"a": "c12"}}\n{"detail": "c1 is é"}\n'.encode())
    other.write_bytes(b'{"raw": {"a": "c2"}}\n')
    before = other.stat()
    assert RejectsFolder(tmp_path).forget("c1") == 2
    assert one.read_bytes() == b'{"raw": {"a": "c12"}}\n'
    assert other.stat().st_ino == before.st_ino
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.jsonl", "other.jsonl"]


@pytest.mark.parametrize("line", ["17.5", "170", "x17", "17-1", "1:17", "a_17"])
def test_a_short_id_within_another_word_is_not_a_mention(tmp_path: Path, line: str) -> None:
    (tmp_path / "one.jsonl").write_text(f'{{"raw": "{line}"}}\n')
    assert RejectsFolder(tmp_path).forget("17") == 0


@pytest.mark.parametrize("line", ["17", "17,5", "a;17;b", "[17]"])
def test_a_short_id_as_a_word_of_its_own_is_a_mention(tmp_path: Path, line: str) -> None:
    (tmp_path / "one.jsonl").write_text(f'{{"raw": "{line}"}}\n')
    assert RejectsFolder(tmp_path).forget("17") == 1


def test_a_long_id_is_found_within_another_word(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"raw": "crm:customer.17-web"}\n')
    assert RejectsFolder(tmp_path).forget("customer.17") == 1


def test_an_id_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"raw": "customerX17"}\n')
    assert RejectsFolder(tmp_path).forget("customer.17") == 0


def test_a_folder_that_was_never_made_holds_nothing(tmp_path: Path) -> None:
    assert RejectsFolder(tmp_path / "none").forget("c1") == 0


def test_a_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"cannot be rewritten .* give write access"):
        RejectsFolder(tmp_path).forget("c1")


def test_the_file_can_be_read_by_whoever_could_read_it(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"raw": "c1"}\n')
    RejectsFolder(tmp_path).forget("c1")
    assert os.stat(path).st_mode & 0o777 == 0o644
