"""How many threads the libraries under a training take. In: nothing. Out: a context with one thread of BLAS.

To find the libraries of a process is to read its whole map of memory, which a training of a small bank would
do some two hundred times; they are found once here, after both that bring a BLAS are loaded.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np  # noqa: F401 - it brings a BLAS
import scipy.linalg  # noqa: F401 - it brings one of its own
from threadpoolctl import ThreadpoolController

_LIBRARIES = ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """BLAS keeps to one thread within: more add up in another order, and fight with threads of our own."""
    limited: AbstractContextManager[object] = _LIBRARIES.limit(limits=1, user_api="blas")
    return limited
