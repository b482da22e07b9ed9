"""Mapping files: what they may say, and the one sentence for what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsvc.errors import MappingError
from recsvc.history.mapping import FileMapping, load_mapping
from tests.history.examples import MAPPINGS, Mapped, Read, an_event, many_events, write_events


def test_no_mapping_leaves_every_table_open() -> None:
    assert load_mapping(None) == FileMapping()


@pytest.mark.parametrize("name", ["deskdrop", "gowalla", "movielens", "starbucks"])
def test_every_shipped_mapping_can_be_read(name: str) -> None:
    assert load_mapping(MAPPINGS / f"{name}.toml").events is not None


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[events", "cannot be used"),
        ("[event]", "unknown field `event`"),
        ('[events.columns]\ncustmer_id = "x"', "custmer_id"),
        ('[events.time]\nunit = "fortnights"', "fortnights"),
        ("[events.time]\norigin = 2018-01-01T00:00:00", "offset from UTC"),
        ('[events.time]\nzone = "Mars/Olympus"', "no time zone"),
        ('[events.constants]\nchannel = "pigeon"', "pigeon"),
        ('[events.channels]\nsocial = "facebook"', "empty text drops it"),
        ('[events]\nseparator = "::"', "one plain character"),
        ('[events.columns]\ntype = "t"\n[events.constants]\ntype = "view"', "name only one"),
        ('[events.rating]\ncolumn = "r"\nbands = [{at_least = 4, type = "like"}]', "takes what is left"),
        (
            '[events.rating]\ncolumn = "r"\n'
            'bands = [{at_least = 3, type = "view"}, {at_least = 4, type = "like"}, {type = "reject"}]',
            "from the highest",
        ),
    ],
)
def test_a_mapping_that_breaks_a_rule_is_refused_in_one_sentence(
    mapped: Mapped, toml: str, says: str
) -> None:
    with pytest.raises(MappingError) as refused:
        mapped(toml)
    assert says in str(refused.value) and "mapping.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_mapping_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"nowhere\.toml cannot be read \(No such .+\); check the path"):
        load_mapping(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_missing_column_is_named_with_a_likely_one_and_those_that_exist(
    suffix: str, tmp_path: Path, read: Read, mapped: Mapped
) -> None:
    events = write_events(tmp_path / f"events{suffix}", many_events(3))
    mapping = mapped('[events.columns]\ncustomer_id = "custmer_id"')
    with pytest.raises(MappingError) as refused:
        read(events, mapping=mapping)
    message = str(refused.value)
    assert "events.columns.customer_id" in message and "'custmer_id'" in message
    assert "did you mean 'customer_id'?" in message
    assert "customer_id, item_id, type, occurred_at" in message


def test_a_type_that_the_policy_does_not_know_is_named_with_a_likely_one(
    tmp_path: Path, read: Read, mapped: Mapped
) -> None:
    events = write_events(tmp_path / "events.csv", many_events(3))
    with pytest.raises(MappingError, match=r"'purchse'.*did you mean 'purchase'"):
        read(events, mapping=mapped('[events.types]\nBUY = "purchse"'))


def test_a_file_without_anything_like_a_customer_says_what_to_write(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "events.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(MappingError, match=r"customer_id.*its columns: a, b.*\[events.columns\]"):
        read(path)


def test_well_known_columns_are_found_and_the_report_says_so(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,31,2.5,1760759144\n2,32,2.5,1760759145\n")
    history = read(path)
    assert history.table.frame["customer_id"].to_list() == ["1", "2"]
    assert set(history.report.guesses) == {
        "customer_id was read from the column 'userId'",
        "item_id was read from the column 'movieId'",
        "occurred_at was read from the column 'timestamp'",
        "the times in the column 'timestamp' were read with the unit 's'",
        "no column gives the type: every row was taken as a view",
    }


def test_our_own_field_names_need_no_guess(tmp_path: Path, read: Read) -> None:
    event = an_event(channel="web", value=12.5, position=3, event_id="e1")
    report = read(write_events(tmp_path / "events.csv", [event])).report
    assert report.guesses == ()


def test_a_mapped_type_is_translated_and_our_own_types_stay(
    tmp_path: Path, read: Read, mapped: Mapped
) -> None:
    events = [an_event(type="BUY"), an_event(type="click"), an_event(type="noise")]
    mapping = mapped('[events]\nignore_types = ["noise"]\n[events.types]\nBUY = "purchase"')
    history = read(write_events(tmp_path / "events.csv", events), mapping=mapping)
    assert history.table.frame["type"].to_list() == ["purchase", "click"]
    assert history.report.n_ignored == 1


def test_ratings_become_the_first_band_that_they_reach(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    stars = [5.0, 4.0, 3.5, 3.0, 2.5]
    events = [an_event(type=None, item_id=f"i{star}", stars=star) for star in stars]
    bands = '[{at_least = 4, type = "like"}, {at_least = 3, type = "view"}, {type = "reject"}]'
    mapping = mapped(f'[events.rating]\ncolumn = "stars"\nbands = {bands}')
    for suffix in (".csv", ".parquet", ".jsonl"):
        table = read(write_events(tmp_path / f"e{suffix}", events), mapping=mapping).table
        assert table.frame["type"].to_list() == ["like", "like", "view", "view", "reject"]


def test_constants_hold_in_every_row(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    mapping = mapped('[events.constants]\nchannel = "branch"\ncurrency = "EUR"')
    frame = read(write_events(tmp_path / "events.csv", many_events(4)), mapping=mapping).table.frame
    assert frame["channel"].unique().to_list() == ["branch"]
    assert frame["currency"].unique().to_list() == ["EUR"]


def test_channels_are_translated_and_an_empty_text_drops_one(
    tmp_path: Path, read: Read, mapped: Mapped
) -> None:
    events = [an_event(channel=name, item_id=name) for name in ("app", "social", "web")]
    mapping = mapped('[events.columns]\nchannel = "channel"\n[events.channels]\napp = "mobile"\nsocial = ""')
    frame = read(write_events(tmp_path / "events.csv", events), mapping=mapping).table.frame
    assert frame["channel"].to_list() == ["mobile", None, "web"]


def test_a_column_that_only_later_json_lines_have_is_read(tmp_path: Path, read: Read, mapped: Mapped) -> None:
    events = [*many_events(5), an_event(price=9.5, item_id="last")]
    mapping = mapped('[events.columns]\nvalue = "price"')
    table = read(write_events(tmp_path / "events.jsonl", events), mapping=mapping).table
    assert table.frame["value"].to_list() == [None] * 5 + [9.5]
