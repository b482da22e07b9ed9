"""Every answered request leaves one whole line, also when lines are written some at a time."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
import threading
from contextlib import suppress
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
        flushing = threading.Thread(target=lambda: (lines.write_to(None), stream.close()))
        flushing.start()
        for number in range(2_000, 2_100):
            tell(lines, a_record(f"r-{number}"))
        ids = [json.loads(line)["request_id"] for line in told]
        flushing.join()
    assert ids == [f"r-{number}" for number in range(2_100)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pipe cannot be opened anew")
def test_another_process_that_is_quicker_holds_up_no_request() -> None:
    reader, writer = os.pipe()

    class Meanwhile(str):
        """The end of a line; while it is put into a piece another process fills the pipe."""

        def __format__(self, _: str) -> str:
            os.set_blocking(writer, False)
            with suppress(BlockingIOError):
                while os.write(writer, b"\n" * 4_096):
                    pass
            os.set_blocking(writer, True)
            return str(self)

    lines = AccessLines()
    with open(reader, "rb", buffering=0) as told, open(writer, "w", encoding="utf-8") as stream:
        lines.write_to(stream)
        lines._collects = True

        def leave() -> None:
            for number in range(25):
                lines.tell(f"r-{number}", Meanwhile('"x":1}\n'), 0.0, 0.001)

        leaving = threading.Thread(target=leave, daemon=True)
        leaving.start()
        leaving.join(10)
        was_held_up = leaving.is_alive()
        text = told.read(1_000_000)
        flushing = threading.Thread(target=lambda: (lines.write_to(None), stream.close()))
        flushing.start()
        while piece := told.read(1_000_000):
            text += piece
        flushing.join()
    assert not was_held_up
    told_ids = [json.loads(line)["request_id"] for line in text.split()]
    assert told_ids == [f"r-{number}" for number in range(25)]


def test_what_a_slow_reader_held_up_is_not_written_by_one_request() -> None:
    reader, writer = os.pipe()
    lines = AccessLines()
    with open(reader, "rb", buffering=0) as told, open(writer, "w", encoding="utf-8") as stream:
        lines.write_to(stream)
        lines._collects = True
        for _ in range(2_000):
            tell(lines, a_record())
        while told.read(65_536).count(b"\n") and select.select([told], [], [], 0)[0]:
            pass
        n_before = len(lines._waiting)
        for _ in range(10):
            tell(lines, a_record())
        assert n_before > 100 and n_before + 10 - len(lines._waiting) == 20
        lines._waiting.clear()


def test_a_pipe_is_left_as_it_was_for_whoever_else_writes_to_it() -> None:
    reader, writer = os.pipe()
    lines = AccessLines()
    with open(reader, "rb") as told, open(writer, "w", encoding="utf-8") as stream:
        lines.write_to(stream)
        assert os.get_blocking(writer)
        lines.write_to(None)
        stream.close()
        assert told.read() == b""  # Nobody holds its other end any more.


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
