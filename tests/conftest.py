"""What holds for every test: it sees none of the settings of the shell that started it."""

from __future__ import annotations

import os

from recsvc.settings import TEST_PREFIX, setting_docs


def pytest_configure() -> None:
    documented = {doc.variable for doc in setting_docs()}
    for name in list(os.environ):
        if name in documented or (name.startswith("RECSVC_") and not name.startswith(TEST_PREFIX)):
            del os.environ[name]
