"""What a customer or item id may look like. In: text. Out: yes or no.

An id is an external text and stays one: a 32-digit hexadecimal id and a signed 64-bit id come out
exactly as they went in.
"""

from __future__ import annotations

import re

MAX_ID_CHARS = 256
ID_PATTERN = r"[A-Za-z0-9_.:-]{1,256}"
ID_RULE = f"1 to {MAX_ID_CHARS} characters out of A-Z a-z 0-9 _ . : -"

_FULL_ID = re.compile(ID_PATTERN)


def is_identifier(text: str) -> bool:
    """Whether the text may name a customer or an item."""
    return _FULL_ID.fullmatch(text) is not None


def check_identifier(text: str, field: str) -> None:
    """Raise ValueError, naming the field, when the text may not be an id."""
    if not is_identifier(text):
        raise ValueError(f"{field} must be {ID_RULE}")
