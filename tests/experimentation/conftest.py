"""What the tests of experiments share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Golden = Callable[[str], Mapping[str, Any]]


@pytest.fixture(scope="session")
def golden() -> Golden:
    """A reference case by its id; they are not part of the project."""
    beside = Path(__file__).parents[2].parent / "shared" / "golden"
    folder = Path(os.environ.get("RECSVC_TEST_GOLDEN_DIR", beside))
    if not folder.is_dir():
        pytest.skip("no reference cases: set RECSVC_TEST_GOLDEN_DIR to their folder")
    files = [json.loads((folder / name).read_text("utf-8")) for name in ("ab.json", "ope.json")]
    cases = {case["id"]: case for file in files for case in file["cases"]}
    return lambda name: cases[name]
