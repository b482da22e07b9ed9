"""Places in arrays, of whatever is counted."""

from __future__ import annotations

NO_ROW = -1
"""Of what has none. No array has such a place from its beginning."""
