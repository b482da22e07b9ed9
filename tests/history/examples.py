"""Events, the files they stand in, and the moment at which the tests read them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from recsvc.history.mapping import FileMapping
from recsvc.history.readers import History

AS_OF = datetime(2026, 11, 22, 12, tzinfo=UTC)
MAPPINGS = Path(__file__).parents[2] / "scripts" / "mappings"
Event = Mapping[str, object]
Read = Callable[..., History]
Mapped = Callable[[str], FileMapping]


def an_event(**changes: object) -> dict[str, object]:
    """A good event with our own field names; None drops a field."""
    event: dict[str, object] = {
        "customer_id": "c1",
        "item_id": "i1",
        "type": "view",
        "occurred_at": "2026-11-01T09:00:00Z",
    } | changes
    return {name: value for name, value in event.items() if value is not None}


def many_events(n: int) -> list[dict[str, object]]:
    """Different good events, so that a few bad ones stay under the limit."""
    return [an_event(customer_id=f"c{i % 7}", item_id=f"i{i}") for i in range(n)]


def write_json_lines(path: Path, events: Sequence[object]) -> Path:
    text = "".join(json.dumps(event) + "\n" for event in events).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return path


def write_events(path: Path, events: Sequence[Event]) -> Path:
    """The events in the kind of file that the suffix says."""
    if path.name.endswith((".jsonl", ".jsonl.gz", ".json", ".ndjson")):
        return write_json_lines(path, events)
    frame = pl.DataFrame(events, infer_schema_length=None)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        text = frame.write_csv().encode()
        path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return path


def rejects_in(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
