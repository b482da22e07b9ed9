"""What a chain of decisions says of entries that are sealed and yet cannot be followed."""

from __future__ import annotations

import zlib
from dataclasses import replace
from hashlib import sha256

import pytest

from recsvc.domain.decision_chain import EMPTY, ChainCheck, Entry, head_after, link

SALT = b"s" * 16


def sealed(body: bytes, personal: bytes) -> Entry:
    body, personal = zlib.compress(body), zlib.compress(personal)
    commitment = sha256(SALT + personal).digest()
    return link(Entry(0, "s1", "c1", body, personal, SALT, commitment, b""), EMPTY)


@pytest.mark.parametrize("body", [b'{"judged": [{"offer_id": "loan"}]}', b"[]", b"no JSON", b'"\xff"'])
def test_an_entry_of_another_release_is_named_and_no_error(body: bytes) -> None:
    entry = sealed(body, b"{}")
    check = ChainCheck(head_after(entry))
    found = check.follow(entry)
    assert found is not None and (found.sequence, found.decision_id) == (1, "s1")
    assert "cannot be read" in found.what


def test_so_is_one_that_was_erased_since() -> None:
    entry = replace(sealed(b"{}", b"{}"), customer_id=None, personal=None, salt=None)
    found = ChainCheck(head_after(entry)).follow(entry)
    assert found is not None and "cannot be read" in found.what
