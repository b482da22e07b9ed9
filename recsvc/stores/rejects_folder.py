"""Take a customer out of the rejects files. In: a customer id. Out: the files without the lines that name it.

A rejects file keeps rows as they were read, so an id may stand anywhere in a line. A long id is looked for
anywhere; a short one only as a word of its own, for as a part it is found in half of all numbers.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from recsvc.errors import StoreError

_LONG = 6


class RejectsFolder:
    """The rejects files of imports and training runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def forget(self, customer_id: str) -> int:
        """Remove the lines that mention the customer; how many there were. Raises StoreError."""
        wanted = _mention_of(customer_id)
        try:
            return sum(_rewrite(path, wanted) for path in sorted(self._folder.glob("*.jsonl")))
        except OSError as error:
            raise StoreError(
                f"the rejects files in {self._folder} cannot be rewritten ({error.strerror}): "
                "give write access, or remove them"
            ) from error


def _mention_of(customer_id: str) -> re.Pattern[bytes]:
    name = re.escape(customer_id.encode())
    if len(customer_id) >= _LONG:
        return re.compile(name)
    return re.compile(rb"(?<![A-Za-z0-9_.:-])" + name + rb"(?![A-Za-z0-9_.:-])")


def _rewrite(path: Path, wanted: re.Pattern[bytes]) -> int:
    with path.open("rb") as lines:
        n_meant = sum(wanted.search(line) is not None for line in lines)
    if n_meant == 0:
        return 0
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with path.open("rb") as lines, os.fdopen(handle, "wb") as kept:
            kept.writelines(line for line in lines if wanted.search(line) is None)
            kept.flush()
            os.fsync(kept.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return n_meant
