"""`recsvc serve`: the web service, with the embedded Redis beside it where none is given."""

from __future__ import annotations

import errno
import gc
import importlib
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from wsgiref.types import WSGIApplication

import click
import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from recsvc.bundles.registry import Registry
from recsvc.cli.direct_answers import answer_directly, answers_directly
from recsvc.cli.metrics import metrics_served
from recsvc.cli.terminal import models_option, say, settings_with
from recsvc.cli.workers import Workers
from recsvc.clock_and_ids import now
from recsvc.errors import RedisError, ServeError
from recsvc.observability import configure_logging
from recsvc.policy import load_policy
from recsvc.settings import Settings, load_settings, set_environment
from recsvc.stores.database import open_database
from recsvc.stores.redis_server import EmbeddedRedis, open_redis

log = structlog.get_logger()

APPLICATION = "recsvc.cli.serving:create_worker"
STOP_SECONDS = 5
MAX_WAITING = 256  # Requests in each worker; more wait in the socket's queue.
WATCH_SECONDS = 1
SWITCH_SECONDS = 0.0005
"""So long a thread may hold the interpreter while others wait. What is made in the background holds it for as
long as it may, and a request waits for it each time that it comes back from the store or from Redis."""
_PORT_REMEDIES = {
    errno.EADDRINUSE: "stop what listens there or choose another with --port",
    errno.EACCES: "choose one from 1024 upwards with --port",
}
# What granian says goes the way of all our log lines, and none of it to standard output.
GRANIAN_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {name: {"handlers": [], "propagate": True} for name in ("_granian", "granian.access")},
}


@click.command(epilog="\b\nExample:\n  recsvc serve --models models --port 8000 --workers 2\n")
@models_option
@click.option("--host", help="Address to listen on.  [default: RECSVC_HOST or 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port.  [default: RECSVC_PORT or 8000]")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes.  [default: RECSVC_WORKERS or 2]")
def serve(models: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve recommendations over HTTP until interrupted."""
    settings = settings_with(models=models, host=host, port=port, workers=workers)
    load_policy(settings.policy_file)
    check_port_is_free(settings.host, settings.port)
    redis_url, server = open_redis(settings)
    with ExitStack() as stack:
        if server:
            stack.callback(server.stop)
            stack.enter_context(kept_running(server))
        set_environment({"REDIS_URL": redis_url})
        open_database(settings.store_url).close()  # Made and migrated once, before the workers open it.
        _tell(settings, embedded=server is not None)
        configure_logging(settings.log_level)
        stack.enter_context(_counted(settings))
        # Have one check of a bundle, and one report, do for all workers.
        stack.enter_context(_shared(settings, "checks", "RECSVC_CHECKS_DIR"))
        stack.enter_context(_shared(settings, "reports", "RECSVC_REPORTS_DIR"))
        run_workers(settings)


def run_workers(settings: Settings) -> None:
    """Run the web workers until a signal ends them."""
    os.register_at_fork(after_in_child=_forget_handlers)
    _share_code()
    Workers(
        APPLICATION,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.threads + answers_directly(),
        backpressure=MAX_WAITING,
        http=HTTPModes.http1,
        factory=True,
        websockets=False,
        log_level=LogLevels.warning,
        log_dictconfig=GRANIAN_LOG,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=65_536),
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    ).serve()


@contextmanager
def kept_running(server: EmbeddedRedis) -> Iterator[None]:
    """Start the embedded Redis again, at the same address, whenever it dies."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(WATCH_SECONDS):
            try:
                if server.ensure_running():
                    log.warning("embedded_redis_restarted")
            except RedisError as error:
                log.error("embedded_redis_not_restarted", reason=str(error))

    watcher = threading.Thread(target=watch, name="redis watch", daemon=True)
    watcher.start()
    yield
    is_over.set()
    watcher.join()


@contextmanager
def _counted(settings: Settings) -> Iterator[None]:
    """Answer `/metrics` for the workers meanwhile."""
    port = settings.metrics_port or settings.port % 65_535 + 1
    if port < 0:
        yield
        return
    # In the data folder, and begun anew: a server that is killed leaves nothing that the next does not find.
    folder = settings.metrics_dir or settings.data_dir.resolve() / "metrics" / str(settings.port)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    set_environment({"RECSVC_METRICS_DIR": folder})
    try:
        with metrics_served(settings.host, port, folder, now):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _shared(settings: Settings, name: str, variable: str) -> Iterator[None]:
    """A folder of what the workers tell one another meanwhile: it begins empty, and is ours."""
    folder = settings.data_dir.resolve() / name / str(settings.port)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    set_environment({variable: folder})
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _share_code() -> None:
    """Load and make what all workers need before they fork, and keep the collector off its pages."""
    importlib.import_module("recsvc.api.wsgi")
    importlib.import_module("recsvc.api.app").description()
    gc.collect()
    gc.freeze()


def create_worker() -> WSGIApplication:
    """What each worker runs: the API, for as long as the server that started it lives."""
    from recsvc.api.wsgi import create  # Only a worker needs it.

    sys.setswitchinterval(SWITCH_SECONDS)
    if server := multiprocessing.parent_process():
        _end_with(server.pid)
    application, settings = create(), load_settings()
    if answers_directly():
        answer_directly(application, settings.threads)
    return application


def _end_with(server: int | None) -> None:
    """The workers of a server that was killed would go on answering, and nobody could take the port."""

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="server watch", daemon=True).start()


def _forget_handlers() -> None:
    """A worker that still starts must end when told to, and not keep the word for the server's handler."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the server too, which then ends its workers.


def check_port_is_free(host: str, port: int) -> None:
    """Raises ServeError, with the remedy, where somebody else listens or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = _PORT_REMEDIES.get(error.errno or 0, "give an address of this machine with --host")
            raise ServeError(f"cannot listen on {host}:{port} ({error.strerror}); {remedy}") from error


def _tell(settings: Settings, *, embedded: bool) -> None:
    champion = Registry(settings.models_dir).aliases().champion
    say(f"recsvc on http://{settings.host}:{settings.port} with {settings.workers} workers")
    say(f"  champion {champion}" if champion else "  no champion yet: popular and editorial lists only")
    say("  Redis embedded, on a private socket" if embedded else "  Redis as REDIS_URL says")
