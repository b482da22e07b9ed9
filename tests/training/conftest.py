"""What the tests of training share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real public data, which is not part of the project."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSVC_TEST_DATA_DIR", beside))
    if not folder.is_dir():
        pytest.skip("no real data: set RECSVC_TEST_DATA_DIR to its folder")
    return folder
