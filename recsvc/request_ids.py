"""Ids of requests that bring none of their own. In: what was drawn for this process. Out: an id for each.

Made in blocks whose ids differ in their last two digits, so that one costs a request next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, count, repeat
from operator import add

_ENDS = tuple(f"{number:02x}" for number in range(256))


def request_ids(drawn: str) -> Callable[[], str]:
    """What makes ids that begin with `drawn`, and end in 16 hexadecimal digits that count.

    Threads may share it: no two ever get the same id. Nothing in it is written in Python, so that no thread
    comes between when another one begins a block.
    """
    blocks = map(f"{drawn}{{:014x}}".format, count())
    return chain.from_iterable(map(map, repeat(add), map(repeat, blocks), repeat(_ENDS))).__next__
