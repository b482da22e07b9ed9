"""Say what happens, one JSON line at a time, on standard error. In: facts of a request. Out: log lines.

A line names the route's template and never the path, so no customer id, no query and no key can stand
in it; JSON escapes line ends, so no input can make a second line.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from contextlib import suppress
from time import perf_counter
from typing import TextIO

import structlog

from recsvc.access_lines import AccessLines
from recsvc.access_lines import RequestRecord as RequestRecord

# Where the WSGI environment of a request carries its record, from the outermost layer inwards.
RECORD_KEY = "recsvc.request_record"

_MAX_FRAMES = 8
_MAX_CAUSES = 5

_access = AccessLines()


class _Lines:
    """Writes whole lines. One that nobody reads any more is lost, and costs nobody an answer or a thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Write one line."""
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send every log line, the libraries' ones included, to the stream (standard error) as JSON."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    stamp: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render, lines = structlog.processors.JSONRenderer(), _Lines(stream or sys.stderr)
    structlog.configure(
        processors=[*stamp, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *stamp],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Local variables stay out of the log: they hold ids and keys.
                structlog.processors.ExceptionRenderer(
                    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
                ),
                render,
            ],
        )
    )
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    logging.captureWarnings(True)
    _access.write_to(stream or sys.stderr if threshold <= logging.INFO else None)


def collect_access_lines() -> None:
    """Write the lines of requests some at a time from now on: a moment late, and all before the end."""
    _access.collect()


def log_access(record: RequestRecord, status: int) -> None:
    """One line per answered request."""
    _access.tell(record.request_id, _access.end_of(record, status), record.started, perf_counter())


log_answer = _access.tell
"""The same where `end_of_line` was asked for before. Times are perf_counter's."""


def end_of_line(record: RequestRecord, status: int) -> str:
    """How the lines of all requests end that went the way of this one."""
    return _access.end_of(record, status)


def log_failure(record: RequestRecord, error: BaseException, *, expected: bool) -> None:
    """One line about a request that could not be answered as it should.

    The error's text is left out, since it may quote an id: its type, its causes and the place where it
    was raised are enough to find it.
    """
    log = _logger().warning if expected else _logger().error
    log(
        "unavailable" if expected else "unexpected_error",
        request_id=record.request_id,
        route=record.route,
        error=_names_of_causes(error),
        frames=[
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
        ],
    )


def _names_of_causes(error: BaseException) -> list[str]:
    names: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(names) < _MAX_CAUSES:
        names.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return names


def _logger() -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
