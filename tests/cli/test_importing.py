"""Importing: what is there already is counted and left alone, so an import can be run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.examples import Run, a_history, write_rows


def test_an_import_that_is_run_twice_doubles_nothing(events: Path, recsvc: Run) -> None:
    first = recsvc("import", "--events", events, "--json").report
    second = recsvc("import", "--events", events, "--json").report
    assert first["imported"] == {"items": 0, "customers": 0, "events": 600, "duplicates": 0}
    assert second["imported"] == {"items": 0, "customers": 0, "events": 0, "duplicates": 600}
    assert recsvc("train", "--no-promote", "--json").report["rows"]["interactions"] == 600


def test_an_import_that_was_interrupted_can_be_run_again(
    events: Path, recsvc: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("recsvc.cli.sources._BATCH", 100)
        asked = iter(range(1000))

        def interrupt_in_the_middle(stage: str, share: float) -> None:
            if stage == "store events" and next(asked) == 2:
                raise KeyboardInterrupt

        patch.setattr("recsvc.cli.importing.progress_bar", lambda: _Hears(interrupt_in_the_middle))
        assert recsvc("import", "--events", events).code == 130
    assert recsvc("import", "--events", events, "--json").report["imported"] == {
        **{"items": 0, "customers": 0, "events": 300, "duplicates": 300}
    }


class _Hears:
    """A progress bar that is told what to do with the progress."""

    def __init__(self, heard: object) -> None:
        self._heard = heard

    def __enter__(self) -> object:
        return self._heard

    def __exit__(self, *_: object) -> None:
        return None


def test_an_import_tells_what_it_brought(home: Path, events: Path, recsvc: Run) -> None:
    items = write_rows(home / "items.jsonl", [{"item_id": "i1", "kind": "content"}])
    customers = write_rows(home / "customers.csv", [{"customer_id": "c1"}, {"customer_id": "c2"}])
    outcome = recsvc("import", "--events", events, "--items", items, "--customers", customers)
    assert (outcome.code, outcome.out) == (0, "")
    assert "imported 1 items, 2 customers and 600 events (0 were there already)" in outcome.err


def test_too_many_bad_rows_import_nothing(home: Path, recsvc: Run) -> None:
    history = [{**row, "type": "gaze"} if number % 10 == 0 else row for number, row in enumerate(a_history())]
    path = write_rows(home / "events.csv", history)
    refused = recsvc("import", "--events", path, "--json")
    assert (refused.code, refused.out) == (1, "")
    assert "60 of 600 rows were rejected, over the limit of 2.0%" in refused.err
    report = recsvc("import", "--events", path, "--reject-limit", "0.1", "--json").report
    assert report["imported"]["events"] == 540
    assert report["rejects"]["reasons"] == {"unknown_type": 60}
