"""An app of fakes for each test, and what it writes to the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from flask import Flask

from recsvc.api.app import create_app
from recsvc.observability import configure_logging
from recsvc.services import Services
from tests.api.fakes import fake_services

LogLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def services() -> Services:
    return fake_services()


@pytest.fixture
def app(services: Services) -> Flask:
    return create_app(services)


@pytest.fixture(autouse=True)
def log() -> Iterator[LogLines]:
    """The log of the test, as the objects that its lines hold."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    configure_logging("info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
