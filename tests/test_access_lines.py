"""Every answered request leaves one whole line, also when lines are written some at a time."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from recsvc.access_lines import AccessLines, RequestRecord

# The interpreter ends while lines wait; a worker's process ends in the same way after a graceful stop.
ENDING = """
import sys
from recsvc.access_lines import AccessLines, RequestRecord
lines = AccessLines()
lines.write_to(sys.stdout)
lines.collect()
for number in range(50):
    record = RequestRecord(f"r-{number}", "GET", 0.0)
    lines.tell(record.request_id, lines.end_of(record, 200), 0.0, 0.001)
"""


class Pieces(io.StringIO):
    """A stream that remembers what was written in one go, and takes nothing when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.is_broken = False

    def write(self, text: str) -> int:
        if self.is_broken:
            raise BrokenPipeError
        self.pieces.append(text)
        return len(text)


def a_record(request_id: str = "r-1", method: str = "GET") -> RequestRecord:
    return RequestRecord(request_id, method, perf_counter(), "/v1/<id>", "popular", "local")


def tell(lines: AccessLines, record: RequestRecord, status: int = 200) -> None:
    lines.tell(record.request_id, lines.end_of(record, status), record.started, perf_counter())


def test_a_process_that_ends_writes_every_line_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60, check=True
    )
    assert [json.loads(line)["request_id"] for line in done.stdout.splitlines()] == [
        f"r-{number}" for number in range(50)
    ]


def test_lines_are_written_whole_and_in_pieces_that_a_pipe_takes_whole() -> None:
    lines, stream = AccessLines(), Pieces()
    lines.write_to(stream)
    lines._collects = True
    for number in range(500):
        record = a_record(f"r-{number:0{62 - number % 7}d}", "DELETE")
        record.route = "/v1/customers/<customer_id>/offers/<offer_id>/explanation"
        record.source, record.cache = "segment_popular", "bypassed"
        lines.tell(record.request_id, lines.end_of(record, 200), record.started, record.started + 12.345678)
    lines.flush()
    assert len(stream.pieces) > 10
    assert all(len(piece) <= 4_096 and piece.endswith("\n") for piece in stream.pieces)
    told = [json.loads(line)["request_id"] for line in "".join(stream.pieces).splitlines()]
    assert [int(each.removeprefix("r-")) for each in told] == list(range(500))


def test_whoever_leaves_the_last_line_of_a_piece_writes_it() -> None:
    lines, stream = AccessLines(), Pieces()
    lines.write_to(stream)
    lines._collects = True
    for number in range(1, 101):
        tell(lines, a_record(f"r-{number}"))
        n_written = "".join(stream.pieces).count("\n")
        assert number - n_written < 10


def test_a_reader_who_is_slow_holds_up_no_request_and_misses_nothing() -> None:
    reader, writer = os.pipe()
    lines = AccessLines()
    with open(reader, encoding="utf-8") as told, open(writer, "w", encoding="utf-8") as stream:
        lines.write_to(stream)
        lines._collects = True
        for number in range(2_000):  # Several times what a pipe holds.
            tell(lines, a_record(f"r-{number}"))
        assert lines._waiting
        flushing = threading.Thread(target=lambda: (lines.flush(), stream.close()))
        flushing.start()
        for number in range(2_000, 2_100):
            tell(lines, a_record(f"r-{number}"))
        ids = [json.loads(line)["request_id"] for line in told]
        flushing.join()
    assert ids == [f"r-{number}" for number in range(2_100)]


def test_no_line_is_lost_or_told_twice_when_many_threads_leave_them() -> None:
    lines, stream = AccessLines(), Pieces()
    lines.write_to(stream)

    def ask(worker: int) -> None:
        for number in range(200):
            tell(lines, a_record(f"r-{worker}-{number}"))

    threads = [threading.Thread(target=ask, args=[worker]) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [json.loads(line)["request_id"] for line in "".join(stream.pieces).splitlines()]
    assert len(told) == len(set(told)) == 800


def test_a_line_tells_the_time_of_the_clock() -> None:
    lines, stream = AccessLines(), Pieces()
    lines.write_to(stream)
    before = datetime.now(UTC)
    tell(lines, a_record())
    told = datetime.fromisoformat(json.loads(stream.pieces[0])["timestamp"])
    slack = timedelta(milliseconds=1)
    assert before - slack <= told <= datetime.now(UTC) + slack


def test_a_line_that_waits_tells_when_its_request_ended() -> None:
    lines, stream = AccessLines(), Pieces()
    lines.write_to(stream)
    lines._collects = True
    now, ended = datetime.now(UTC), perf_counter()
    for seconds in (3.25, 0.5, 0.0):
        lines.tell("r-1", '"x":1}\n', ended - seconds - 0.002, ended - seconds)
    lines.flush()
    told = [json.loads(line) for line in "".join(stream.pieces).splitlines()]
    ago = [(now - datetime.fromisoformat(line["timestamp"])).total_seconds() for line in told]
    assert ago == pytest.approx([3.25, 0.5, 0.0], abs=0.01)
    assert [line["duration_ms"] for line in told] == [2.0] * 3


def test_a_log_that_nobody_reads_fails_no_request() -> None:
    lines, stream = AccessLines(), Pieces()
    lines.write_to(stream)
    stream.is_broken = True
    tell(lines, a_record())


def test_a_made_up_method_is_other_and_is_not_remembered() -> None:
    lines, stream = AccessLines(), Pieces()
    lines.write_to(stream)
    for number in range(100):
        tell(lines, a_record(method=f'X"{number}'), 405)
    assert {json.loads(piece)["method"] for piece in stream.pieces} == {"other"}
    assert not lines._ends
