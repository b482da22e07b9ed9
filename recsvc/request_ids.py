"""Ids of requests that bring none of their own. In: what was drawn for this process. Out: an id for each.

Made in blocks whose ids differ in their last two digits, so that one costs a request next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, count

_ENDS = tuple(f"{number:02x}" for number in range(256))


def request_ids(drawn: str) -> Callable[[], str]:
    """What makes ids that begin with `drawn`, and end in 16 hexadecimal digits that count.

    Threads may share it: no two ever get the same id.
    """
    return chain.from_iterable(map(_block_after(drawn), count())).__next__


def _block_after(drawn: str) -> Callable[[int], Iterator[str]]:
    return lambda number: map(f"{drawn}{number:014x}".__add__, _ENDS)
