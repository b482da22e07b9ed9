"""Give back what loading a model left behind, and let what stays lie. In: what is served. Out: nothing.

To check and open a model takes far more memory for a moment than to hold it. The C library keeps what was
freed, in each worker, for a next time that may be weeks away; glibc can be told to let go of it.

The collector holds all threads up for as long as it looks at everything: for 14 ms where there are 41,000
items, and more where they have texts. What serves now is left out of its looks after a last one: what is in
a circle then, as a request that broke off may be with the model before, could never be freed later. A model
goes all the same, with the last reference to it: nothing large in it waits for the collector.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable


def collect_and_freeze() -> None:
    """Free what nobody can reach, and leave all else to the references to it."""
    gc.collect()
    gc.freeze()


class FreedMemory:
    """Lets go of freed memory, and of what stays, whenever something else is served than before."""

    def __init__(
        self,
        served: Callable[[], str],
        trim: Callable[[], object],
        let_lie: Callable[[], object] = collect_and_freeze,
    ) -> None:
        """`served` names what is served; `trim` gives back what is free, `let_lie` spares the collector."""
        self._served = served
        self._trim = trim
        self._let_lie = let_lie
        self._before: str | None = None

    def give_back(self) -> None:
        """Look, and let go. A worker does this again and again."""
        served = self._served()
        if served != self._before:
            self._before = served
            self._let_lie()
            self._trim()


def trim_of_libc() -> Callable[[], object]:
    """What gives back freed memory here; nothing where the C library has no such thing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: trim(0)) if trim is not None else (lambda: None)
