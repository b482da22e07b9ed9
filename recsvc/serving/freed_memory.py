"""Give back to the system what loading a model left behind. In: what is served. Out: nothing.

To check and open a model takes far more memory for a moment than to hold it. The C library keeps what was
freed, in each worker, for a next time that may be weeks away; glibc can be told to let go of it. A model goes
with the last reference to it: nothing large in it waits for the collector, which would hold all threads up
for as long as it looks at everything else.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


class FreedMemory:
    """Lets go of freed memory whenever something else is served than before."""

    def __init__(self, served: Callable[[], str], trim: Callable[[], object]) -> None:
        """`served` names what is served; `trim` gives back what is free."""
        self._served = served
        self._trim = trim
        self._before: str | None = None

    def give_back(self) -> None:
        """Look, and let go. A worker does this again and again."""
        served = self._served()
        if served != self._before:
            self._before = served
            self._trim()


def trim_of_libc() -> Callable[[], object]:
    """What gives back freed memory here; nothing where the C library has no such thing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: trim(0)) if trim is not None else (lambda: None)
