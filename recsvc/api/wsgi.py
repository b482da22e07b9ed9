"""The factory that the web server calls in each worker. In: the environment. Out: a WSGI callable."""

from __future__ import annotations

from multiprocessing.util import Finalize

from recsvc.api.app import create_app
from recsvc.api.fast_path import FastPath
from recsvc.bootstrap import build_services
from recsvc.observability import collect_access_lines, configure_logging
from recsvc.settings import load_settings


def create() -> FastPath:
    """Build everything that one worker needs."""
    settings = load_settings()
    configure_logging(settings.log_level)
    collect_access_lines()
    services = build_services(settings)
    # A worker that is told to end is a child of the server, and such a process passes over `atexit`.
    Finalize(None, services.close, exitpriority=1)
    outermost = create_app(services).wsgi_app
    assert isinstance(outermost, FastPath)
    return outermost
