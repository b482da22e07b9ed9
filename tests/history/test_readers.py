"""Reading events: every bad row has a named reason, nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from recsvc.errors import SourceError, TooManyRejectsError
from recsvc.history.checks import CHECKS
from recsvc.history.mapping import FileMapping
from recsvc.history.readers import read_interactions
from recsvc.policy import Policy
from tests.history.examples import (
    AS_OF,
    Mapped,
    Read,
    an_event,
    many_events,
    rejects_in,
    write_events,
    write_json_lines,
)

LONG = "x" * 257
BAD_EVENTS: list[tuple[dict[str, object], str]] = [
    ({"customer_id": None}, "missing_customer_id"),
    ({"customer_id": ""}, "missing_customer_id"),
    ({"customer_id": "two words"}, "bad_customer_id"),
    ({"customer_id": LONG}, "bad_customer_id"),
    ({"customer_id": "c1\n"}, "bad_customer_id"),
    ({"customer_id": "客户"}, "bad_customer_id"),
    ({"customer_id": "1.0e18"}, "rounded_customer_id"),
    ({"type": ""}, "missing_type"),
    ({"type": "stare"}, "unknown_type"),
    ({"type": "VIEW"}, "unknown_type"),
    ({"item_id": ""}, "missing_item_id"),
    ({"item_id": "a/b"}, "bad_item_id"),
    ({"item_id": "1.5E+18"}, "rounded_item_id"),
    ({"occurred_at": ""}, "missing_time"),
    ({"occurred_at": "soon"}, "bad_time"),
    ({"occurred_at": "2026-11-01T09:00:00"}, "bad_time"),
    ({"occurred_at": "1999-12-31T23:59:59Z"}, "time_too_early"),
    ({"occurred_at": "2026-11-22T12:05:01Z"}, "time_in_future"),
    ({"channel": "pigeon"}, "bad_channel"),
    ({"value": "nan"}, "bad_value"),
    ({"value": "-inf"}, "bad_value"),
    ({"value": "1e13"}, "bad_value"),
    ({"value": "dear"}, "bad_value"),
    ({"currency": "euro"}, "bad_currency"),
    ({"quantity": 0}, "bad_quantity"),
    ({"quantity": "1.5"}, "bad_quantity"),
    ({"quantity": 1_000_001}, "bad_quantity"),
    ({"score": -1}, "bad_score"),
    ({"score": "NaN"}, "bad_score"),
    ({"scale": 0}, "bad_scale"),
    ({"score": 11, "scale": 10}, "score_above_scale"),
    ({"position": 0}, "bad_position"),
    ({"position": "first"}, "bad_position"),
    ({"placement": LONG}, "placement_too_long"),
    ({"slate_id": LONG}, "slate_id_too_long"),
    ({"event_id": LONG}, "event_id_too_long"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_EVENTS)
def test_a_bad_row_has_a_named_reason_and_its_neighbours_stay(
    change: dict[str, object], reason: str, tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    path = write_json_lines(tmp_path / "e.jsonl", [*many_events(2), an_event(**change), *many_events(4)[2:]])
    history = read(path)
    assert history.report.reasons == ((reason, 1),)
    assert len(history.table) == 4 and history.report.n_rows == 5
    (reject,) = rejects_in(rejects_path)
    assert (reject["source"], reject["row"], reject["reason"]) == (str(path), 3, reason)


def test_every_check_is_tried_here(tmp_path: Path) -> None:
    ratings = {"missing_rating", "bad_rating"}
    assert {check.code for check in CHECKS} - ratings == {reason for _, reason in BAD_EVENTS}


@pytest.mark.parametrize(
    ("stars", "reason"), [("", "missing_rating"), ("five", "bad_rating"), ("nan", "bad_rating")]
)
def test_a_rating_must_be_a_number(
    stars: str, reason: str, tmp_path: Path, read: Read, mapped: Mapped
) -> None:
    mapping = mapped('[events.rating]\ncolumn = "stars"\nbands = [{type = "view"}]')
    events = [an_event(type=None, stars="5"), an_event(type=None, stars=stars)]
    report = read(write_events(tmp_path / "e.csv", events), mapping=mapping).report
    assert report.reasons == ((reason, 1),)


def test_floats_that_are_no_numbers_are_rejects_in_parquet_too(
    tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    events = [an_event(value=value, item_id=f"i{value}") for value in (1.5, float("nan"), float("inf"))]
    history = read(write_events(tmp_path / "e.parquet", events))
    assert history.report.reasons == (("bad_value", 2),)
    raws = [reject["raw"] for reject in rejects_in(rejects_path)]
    assert [raw["value"] for raw in raws if isinstance(raw, dict)] == ["NaN", "inf"]


def test_a_time_five_minutes_ahead_is_a_clock_and_no_mistake(tmp_path: Path, read: Read) -> None:
    events = [an_event(occurred_at="2026-11-22T12:05:00Z"), an_event(occurred_at="2000-01-01T00:00:00Z")]
    assert len(read(write_events(tmp_path / "e.csv", events)).table) == 2


def test_the_first_failing_check_names_the_reason(tmp_path: Path, read: Read) -> None:
    events = [*many_events(1), an_event(customer_id="", type="stare", occurred_at="soon", value="dear")]
    report = read(write_json_lines(tmp_path / "e.jsonl", events)).report
    assert report.reasons == (("missing_customer_id", 1),)


def test_a_reject_shows_the_row_as_it_was(tmp_path: Path, read: Read, rejects_path: Path) -> None:
    event = an_event(customer_id=-8845298781299428018, value="dear")
    read(write_events(tmp_path / "e.csv", [*many_events(2), event]))
    (reject,) = rejects_in(rejects_path)
    assert reject["raw"] == {
        "customer_id": "-8845298781299428018",
        "item_id": "i1",
        "type": "view",
        "occurred_at": "2026-11-01T09:00:00Z",
        "value": "dear",
    }
    assert str(reject["detail"]).endswith(": 'dear'")


def test_some_types_need_no_item(tmp_path: Path, read: Read) -> None:
    events = [
        an_event(type="transaction", item_id=None, value=12.5),
        an_event(type="nps", item_id=None, score=9, scale=10),
        an_event(type="complaint", item_id="ignored"),
        an_event(type="transaction", item_id="i9"),
    ]
    table = read(write_json_lines(tmp_path / "e.jsonl", events)).table
    assert table.frame["item_id"].to_list() == [None, None, None, "i9"]


def test_a_clean_read_leaves_no_rejects_file_not_even_an_old_one(
    tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    bad = write_events(tmp_path / "bad.csv", [*many_events(2), an_event(type="stare")])
    assert read(bad).report.path == rejects_path
    assert read(write_events(tmp_path / "good.csv", many_events(2))).report.path is None
    assert not rejects_path.exists()


def test_over_the_limit_the_read_stops_with_the_five_commonest_reasons(
    tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    changes: list[tuple[dict[str, object], int]] = [
        ({"type": "stare"}, 6),
        ({"customer_id": ""}, 5),
        ({"channel": "pigeon"}, 4),
        ({"item_id": "a b"}, 3),
        ({"value": "dear"}, 2),
        ({"position": 0}, 1),
    ]
    bad = [an_event(**change) for change, n in changes for _ in range(n)]
    path = write_json_lines(tmp_path / "e.jsonl", [*many_events(400), *bad])
    with pytest.raises(TooManyRejectsError) as refused:
        read(path, limit=0.02)
    assert refused.value.n_rejected == 21 and refused.value.n_rows == 421
    wanted = "unknown_type (6), missing_customer_id (5), bad_channel (4), bad_item_id (3), bad_value (2);"
    assert wanted in str(refused.value) and "bad_position" not in str(refused.value)
    assert len(rejects_in(rejects_path)) == 21


def test_at_the_limit_the_read_goes_on(tmp_path: Path, read: Read) -> None:
    path = write_events(tmp_path / "e.csv", [*many_events(98), an_event(type="a"), an_event(type="b")])
    assert read(path, limit=0.02).report.n_rejected == 2
    with pytest.raises(TooManyRejectsError):
        read(path, limit=0.0199)


def test_the_same_event_twice_counts_once(tmp_path: Path, read: Read) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.jsonl"
    write_events(first, [*many_events(5), *many_events(5)])
    write_events(second, many_events(6))
    report = read(first, second).report
    assert (report.n_rows, report.n_duplicates, report.n_rejected) == (16, 10, 0)
    table = read(first, second).table
    assert table.frame["item_id"].to_list() == [f"i{i}" for i in range(6)]


def test_the_same_content_under_two_event_ids_is_two_events(tmp_path: Path, read: Read) -> None:
    events = [an_event(event_id="e1"), an_event(event_id="e2"), an_event(event_id="e1")]
    history = read(write_events(tmp_path / "e.csv", events))
    assert history.table.frame["event_id"].to_list() == ["e1", "e2"]
    assert history.report.n_duplicates == 1


def test_one_event_id_for_two_events_is_a_conflict_that_the_first_wins(
    tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    first = write_events(
        tmp_path / "a.csv", [an_event(event_id="e1", item_id="first"), an_event(event_id="e2")]
    )
    second = write_events(tmp_path / "b.csv", [an_event(event_id="e1", item_id="second")])
    history = read(first, second)
    assert history.table.frame["item_id"].to_list() == ["first", "i1"]
    (reject,) = rejects_in(rejects_path)
    assert (reject["reason"], reject["source"], reject["row"]) == ("conflicting_event_id", str(second), 1)
    assert isinstance(reject["raw"], dict) and reject["raw"]["item_id"] == "second"


def test_events_without_an_id_are_not_in_conflict_with_each_other(tmp_path: Path, read: Read) -> None:
    events = [an_event(event_id="e1"), an_event(item_id="i2"), an_event(item_id="i3")]
    assert len(read(write_json_lines(tmp_path / "e.jsonl", events)).table) == 3


def test_one_customer_is_enough_to_read(tmp_path: Path, read: Read) -> None:
    assert len(read(write_events(tmp_path / "e.csv", [an_event()])).table) == 1


def test_ignoring_everything_leaves_nothing_to_learn(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    path = write_events(tmp_path / "e.csv", many_events(3))
    with pytest.raises(SourceError, match="nothing is left to learn"):
        read(path, mapping=mapped('[events]\nignore_types = ["view"]'))


def test_no_files_are_no_history(read: Read) -> None:
    with pytest.raises(SourceError, match="no file"):
        read()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_rejects_file_that_cannot_be_written_is_said(
    tmp_path: Path, read: Read, rejects_path: Path
) -> None:
    rejects_path.parent.mkdir(mode=0o500)
    path = write_events(tmp_path / "e.csv", [*many_events(2), an_event(type="stare")])
    with pytest.raises(SourceError, match=r"rejects file .* cannot be written"):
        read(path)


def test_a_rejects_path_below_a_file_is_said(tmp_path: Path, policy: Policy) -> None:
    path = write_events(tmp_path / "e.csv", [*many_events(2), an_event(type="stare")])
    with pytest.raises(SourceError, match=r"rejects file .* cannot be written"):
        read_interactions(
            [path], FileMapping(), policy, rejects_path=path / "rejects.jsonl", as_of=AS_OF, reject_limit=1
        )


def test_progress_rises_to_one(tmp_path: Path, policy: Policy, rejects_path: Path) -> None:
    paths = [write_events(tmp_path / name, many_events(10)) for name in ("a.csv", "b.parquet", "c.jsonl.gz")]
    heard: list[tuple[str, float]] = []
    read_interactions(
        paths,
        FileMapping(),
        policy,
        rejects_path=rejects_path,
        as_of=AS_OF,
        progress=lambda stage, done: heard.append((stage, done)),
    )
    shares = [done for _, done in heard]
    assert (
        shares == sorted(shares) and shares[-1] == 1.0 and {stage for stage, _ in heard} == {"reading events"}
    )


def test_columns_that_categories_hold_in_parquet_are_read(tmp_path: Path, read: Read) -> None:
    frame = pl.DataFrame(many_events(5)).with_columns(pl.col("customer_id", "type").cast(pl.Categorical))
    frame.write_parquet(tmp_path / "e.parquet")
    assert len(read(tmp_path / "e.parquet").table) == 5
