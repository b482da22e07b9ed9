"""What the tests of the domain share."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def golden() -> Mapping[str, Any]:
    """The reference cases by id, which are not part of the project."""
    beside = Path(__file__).parents[2].parent / "shared" / "golden"
    file = Path(os.environ.get("RECSVC_TEST_GOLDEN_DIR", beside)) / "cx.json"
    if not file.is_file():
        pytest.skip("no reference cases: set RECSVC_TEST_GOLDEN_DIR to their folder")
    return {case["id"]: case for case in json.loads(file.read_text("utf-8"))["cases"]}
