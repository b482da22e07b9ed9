"""Whatever is wrong: one sentence that says what and what to do, an exit code, and nothing half-written."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.examples import Outcome, Run, a_history, contents, write_rows

Words = Sequence[object]


def refused(outcome: Outcome, *, code: int, says: Sequence[str]) -> str:
    """Check that a command ended with the code and one sentence that names these things."""
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    lines = outcome.err.strip().splitlines()
    if code == 2 and lines[0].startswith("Usage:"):
        lines = [line for line in lines if line.startswith("Error: ")]
    assert len(lines) == 1, outcome.err
    assert [said for said in says if said not in lines[0]] == [], lines[0]
    return lines[0]


def events_with(changes: Mapping[str, object], home: Path, suffix: str = ".jsonl") -> Path:
    """The small history, with these fields in every row."""
    return write_rows(home / f"events{suffix}", [{**row, **changes} for row in a_history()])


def times(home: Path, value: Callable[[int], object]) -> Path:
    rows = [{**row, "occurred_at": value(number)} for number, row in enumerate(a_history())]
    return write_rows(home / "events.csv", rows)


def file_of(home: Path, name: str, text: str) -> Path:
    path = home / name
    path.write_text(text)
    return path


def missing_column(home: Path) -> Words:
    mapping = file_of(home, "mapping.toml", '[events.columns]\ncustomer_id = "person"\n')
    return "--events", write_rows(home / "events.csv", a_history()), "--mapping", mapping


def unknown_key_in_mapping(home: Path) -> Words:
    mapping = file_of(home, "mapping.toml", "[events.collums]\n")
    return "--events", write_rows(home / "events.csv", a_history()), "--mapping", mapping


def mapping_that_is_no_toml(home: Path) -> Words:
    mapping = file_of(home, "mapping.toml", "[events\n")
    return "--events", write_rows(home / "events.csv", a_history()), "--mapping", mapping


def missing_mapping(home: Path) -> Words:
    return "--events", write_rows(home / "events.csv", a_history()), "--mapping", home / "nowhere.toml"


def wrong_unit(unit: str, factor: float) -> Callable[[Path], Words]:
    def make(home: Path) -> Words:
        mapping = file_of(home, "mapping.toml", f'[events.time]\nunit = "{unit}"\n')
        path = times(home, lambda number: int((1_790_000_000 + number * 60) * factor))
        return "--events", path, "--mapping", mapping

    return make


def folder(home: Path) -> Words:
    (home / "folder.csv").mkdir()
    return "--events", home / "folder.csv"


def headers_only(home: Path) -> Words:
    return "--events", file_of(home, "events.csv", "type,customer_id,item_id,occurred_at\n")


BAD_HISTORIES: Mapping[str, tuple[Callable[[Path], Words], Sequence[str]]] = {
    "a mapping that names a missing column": (missing_column, ["person", "events.csv"]),
    "a mapping with an unknown key": (unknown_key_in_mapping, ["mapping.toml", "collums"]),
    "a mapping that is no TOML": (mapping_that_is_no_toml, ["mapping.toml", "mend"]),
    "a mapping that is not there": (missing_mapping, ["nowhere.toml"]),
    "a missing file": (lambda home: ("--events", home / "nowhere.csv"), ["nowhere.csv", "check the path"]),
    "a folder instead of a file": (folder, ["folder.csv", "is a folder"]),
    "an empty file": (lambda home: ("--events", file_of(home, "e.csv", "")), ["e.csv is empty"]),
    "a file of a header only": (headers_only, ["no rows"]),
    "a file of an unknown kind": (lambda home: ("--events", file_of(home, "e.xls", "x")), [".parquet"]),
    "a broken Parquet file": (
        lambda home: ("--events", file_of(home, "e.parquet", "PAR1 and no more")),
        ["e.parquet", "no readable Parquet file"],
    ),
    "a broken gzip file": (lambda home: ("--events", file_of(home, "e.csv.gz", "no gzip")), ["e.csv.gz"]),
    "a file of rejects only": (
        lambda home: ("--events", events_with({"customer_id": "not an id!"}, home)),
        ["600 of 600 rows were rejected", "see ", "mend the data or the mapping"],
    ),
    "times in seconds read as milliseconds": (wrong_unit("ms", 1), ['unit = "s"']),
    "times in milliseconds read as seconds": (wrong_unit("s", 1000), ['unit = "ms"']),
    "one customer only": (
        lambda home: ("--events", events_with({"customer_id": "c1"}, home)),
        ["too little to learn from", "1 customers"],
    ),
    "values that are no number": (
        lambda home: ("--events", events_with({"value": "NaN"}, home)),
        ["rows were rejected", "value"],
    ),
    "infinite values": (
        lambda home: ("--events", events_with({"value": float("inf")}, home, ".parquet")),
        ["rows were rejected", "value"],
    ),
    "an empty file of items": (
        lambda home: (
            *("--events", write_rows(home / "events.csv", a_history())),
            *("--items", file_of(home, "items.jsonl", "")),
        ),
        ["items.jsonl is empty"],
    ),
    "an empty file of customers": (
        lambda home: (
            *("--events", write_rows(home / "events.csv", a_history())),
            *("--customers", file_of(home, "customers.jsonl", "")),
        ),
        ["customers.jsonl is empty"],
    ),
}


@pytest.mark.parametrize("case", BAD_HISTORIES)
def test_a_history_that_cannot_be_learned_from_is_refused(case: str, home: Path, recsvc: Run) -> None:
    make, says = BAD_HISTORIES[case]
    words = make(home)
    before = contents(home)
    refused(recsvc("train", *words, "--json"), code=1, says=says)
    left = {name: held for name, held in contents(home).items() if not name.startswith("data")}
    assert left == before
    assert not (home / "data" / "recsvc.sqlite3").exists()


@pytest.mark.parametrize("case", [case for case in BAD_HISTORIES if case != "one customer only"])
def test_a_history_that_cannot_be_read_is_not_imported(case: str, home: Path, recsvc: Run) -> None:
    make, says = BAD_HISTORIES[case]
    words = make(home)
    before = contents(home)
    refused(recsvc("import", *words, "--json"), code=1, says=says)
    left = {name: held for name, held in contents(home).items() if not name.startswith("data")}
    assert left == before
    assert not (home / "data" / "recsvc.sqlite3").exists()


@pytest.mark.parametrize("case", ["an empty file", "a missing file", "a broken Parquet file"])
def test_what_cannot_be_read_is_not_evaluated(case: str, home: Path, events: Path, recsvc: Run) -> None:
    make, says = BAD_HISTORIES[case]
    path = make(home)[1]
    before = contents(home)
    refused(recsvc("evaluate", "--train", path, "--test", events, "--json"), code=1, says=says)
    refused(recsvc("evaluate", "--train", events, "--test", path, "--json"), code=1, says=says)
    assert contents(home) == before


def test_a_test_file_of_other_customers_cannot_be_measured_on(home: Path, events: Path, recsvc: Run) -> None:
    others = write_rows(
        home / "others.csv", [{**row, "customer_id": f"other{row['customer_id']}"} for row in a_history()]
    )
    outcome = recsvc("evaluate", "--train", events, "--test", others, "--families", "popularity", "--json")
    refused(outcome, code=1, says=["name customers and items in the same way"])


def test_a_test_file_of_other_items_cannot_be_measured_on(home: Path, events: Path, recsvc: Run) -> None:
    others = write_rows(
        home / "others.csv", [{**row, "item_id": f"other{row['item_id']}"} for row in a_history()]
    )
    outcome = recsvc("evaluate", "--train", events, "--test", others, "--families", "popularity", "--json")
    refused(outcome, code=1, says=["name customers and items in the same way"])


def test_the_rejects_of_both_files_of_an_evaluation_are_kept(home: Path, recsvc: Run) -> None:
    rows = a_history()
    for folder in ("before", "after"):
        (home / folder).mkdir()
    train = write_rows(home / "before" / "events.csv", [*rows[:400], {**rows[0], "type": "gaze"}])
    test = write_rows(home / "after" / "events.csv", [*rows[400:], {**rows[0], "type": "stare"}])
    words = ("evaluate", "--train", train, "--test", test, "--families", "popularity", "--json")
    assert recsvc(*words).report["rejects"]["count"] == 2
    kept = "".join(path.read_text() for path in (home / "data" / "rejects").iterdir())
    assert "gaze" in kept and "stare" in kept


def test_the_rejects_of_a_refused_history_are_kept(home: Path, recsvc: Run) -> None:
    path = events_with({"type": "gaze"}, home)
    outcome = recsvc("train", "--events", path, "--rejects", home / "bad.jsonl")
    sentence = refused(outcome, code=1, says=["600 of 600", "unknown_type (600)"])
    kept = Path(sentence.partition("; see ")[2].partition(",")[0])
    assert len(kept.read_text().splitlines()) == 600


def test_duplicate_rows_are_dropped_and_told(home: Path, recsvc: Run) -> None:
    path = write_rows(home / "events.csv", [row for row in a_history() for _ in range(2)])
    outcome = recsvc("train", "--events", path, "--no-promote")
    assert outcome.code == 0
    assert "600 duplicates dropped" in outcome.err


def below_a_file(home: Path) -> Path:
    """A path that nobody can make, not even root."""
    return file_of(home, "a_file", "") / "models"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "--models"], ["models folder", "--models"]),
        (["models", "list", "--models"], []),
    ],
)
def test_a_models_folder_that_cannot_be_written_is_refused(
    words: Words, says: Sequence[str], home: Path, events: Path, recsvc: Run
) -> None:
    path = below_a_file(home)
    before = contents(home)
    given = ["--events", events] if words[0] == "train" else []
    refused(recsvc(*words, path, *given, "--json"), code=1, says=["a_file/models", *says])
    assert contents(home) == before


@pytest.mark.parametrize("command", ["import", "keys list", "keys create --role admin", "train", "serve"])
def test_a_data_folder_that_cannot_be_written_is_refused(
    command: str, home: Path, events: Path, recsvc: Run
) -> None:
    words = [*command.split(), *(["--events", events] if command == "import" else [])]
    refused(recsvc(*words, RECSVC_DATA_DIR=str(below_a_file(home))), code=1, says=["RECSVC_DATA_DIR"])


def test_a_demo_whose_folder_cannot_be_made_is_refused(home: Path, recsvc: Run) -> None:
    port = free_port()
    path = below_a_file(home)
    refused(recsvc("demo", "--port", port, "--data-dir", path), code=1, says=[str(path), "name another"])
    words = ["--ready-file", path / "ready.json"]
    refused(recsvc("demo", "--port", port, *words), code=1, says=[str(path), "name another"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_in_use_is_refused(command: str, taken_port: int, recsvc: Run, home: Path) -> None:
    outcome = recsvc(command, "--port", taken_port)
    refused(outcome, code=1, says=[f"127.0.0.1:{taken_port}", "in use", "--port"])


def test_a_host_that_is_not_ours_is_refused(recsvc: Run) -> None:
    refused(recsvc("serve", "--host", "203.0.113.7"), code=1, says=["203.0.113.7", "--host"])
    refused(recsvc("serve", "--host", "no such host"), code=1, says=["no such host", "--host"])


def test_a_redis_that_does_not_answer_is_refused(recsvc: Run) -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    sentence = refused(
        recsvc("serve", "--port", free_port(), REDIS_URL=url), code=1, says=["does not answer", "REDIS_URL"]
    )
    assert "secret" not in sentence


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1", "redis://127.0.0.1:notaport"])
def test_a_redis_url_that_is_none_is_refused(url: str, recsvc: Run) -> None:
    refused(recsvc("serve", "--port", free_port(), REDIS_URL=url), code=1, says=["REDIS_URL", "redis://"])


def test_a_database_that_does_not_answer_is_refused_without_its_password(recsvc: Run) -> None:
    url = f"postgresql://owner:secret@127.0.0.1:{free_port()}/bank"
    for words in (["keys", "list"], ["train"], ["serve", "--port", free_port()]):
        sentence = refused(recsvc(*words, DATABASE_URL=url), code=1, says=["DATABASE_URL", "127.0.0.1"])
        assert "secret" not in sentence


@pytest.mark.parametrize("url", ["nonsense", "mysql://owner:secret@host/bank", "sqlite://"])
def test_a_database_url_that_is_none_is_refused(url: str, recsvc: Run) -> None:
    assert "secret" not in refused(recsvc("keys", "list", DATABASE_URL=url), code=1, says=["DATABASE_URL"])


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("RECSVC_PROT", "8000", ["RECSVC_PROT", "did you mean RECSVC_PORT?"]),
        ("RECSVC_NONSENSE", "1", ["RECSVC_NONSENSE is not a setting"]),
        ("RECSVC_PORT", "eighty", ["RECSVC_PORT"]),
        ("RECSVC_PORT", "70000", ["RECSVC_PORT"]),
        ("RECSVC_WORKERS", "0", ["RECSVC_WORKERS"]),
        ("RECSVC_LOG_LEVEL", "loud", ["RECSVC_LOG_LEVEL"]),
        ("RECSVC_AUTH", "maybe", ["RECSVC_AUTH"]),
        ("RECSVC_REDIS_TIMEOUT_SECONDS", "nan", ["RECSVC_REDIS_TIMEOUT_SECONDS"]),
        ("RECSVC_REFRESH_SECONDS", "inf", ["RECSVC_REFRESH_SECONDS"]),
    ],
)
@pytest.mark.parametrize("command", ["models list", "doctor", "train"])
def test_a_setting_that_cannot_be_used_is_wrong_use(
    command: str, variable: str, value: str, says: Sequence[str], home: Path, recsvc: Run
) -> None:
    before = contents(home)
    refused(recsvc(*command.split(), "--json", **{variable: value}), code=2, says=says)
    assert contents(home) == before


def test_keys_are_turned_off_on_loopback_only(recsvc: Run) -> None:
    refused(recsvc("serve", "--host", "0.0.0.0", RECSVC_AUTH="off"), code=2, says=["RECSVC_AUTH=off"])


@pytest.mark.parametrize("text", ["[decay\n", "nonsense = 1\n", ""])
@pytest.mark.parametrize("command", ["train --events events.csv", "import --events events.csv", "serve"])
def test_a_policy_that_cannot_be_used_is_refused(
    command: str, text: str, home: Path, events: Path, recsvc: Run
) -> None:
    policy = file_of(home, "policy.toml", text)
    outcome = recsvc(*command.split(), RECSVC_POLICY_FILE=str(policy))
    refused(outcome, code=1, says=["policy.toml", "RECSVC_POLICY_FILE"])


EVERY_FAMILY = "popularity, neighbours, cooccurrence, als, spectral, ease, bpr, lmf"
WRONG_USE: Mapping[str, Sequence[str]] = {
    "train --seed -1": ["--seed", "0<=x"],
    "train --reject-limit 2": ["--reject-limit"],
    "train --nonsense": ["--nonsense"],
    "train surplus": ["surplus"],
    "import": ["--events", "--items", "--customers"],
    "evaluate": ["--train"],
    "evaluate --train a.csv --test b.csv --families nonsense": ["nonsense", EVERY_FAMILY],
    "evaluate --train a.csv --test b.csv --families ,": [EVERY_FAMILY],
    "evaluate --train a.csv --test b.csv --cutoffs 0": ["1 to 1000"],
    "evaluate --train a.csv --test b.csv --cutoffs ten": ["10,20,100"],
    f"evaluate --train a.csv --test b.csv --cutoffs {'9' * 5000}": ["10,20,100"],
    "evaluate --train a.csv --test b.csv --cutoffs ,": ["10,20,100"],
    "evaluate --train a.csv --test b.csv --cutoffs ²": ["10,20,100"],
    "serve --port 0": ["--port"],
    "serve --port 65536": ["--port"],
    "serve --workers 0": ["--workers"],
    "demo --port many": ["--port"],
    "keys create": ["--role", "--scopes"],
    "keys create --role admin --scopes recs:read": ["either --role or --scopes"],
    "keys create --role king": ["frontend"],
    "keys create --scopes recs:eat": ["recs:eat", "recs:read"],
    "keys create --scopes ,": ["recs:read"],
    "keys revoke": ["KEY_ID"],
    "models show": ["VERSION"],
    "models promote": ["VERSION"],
    "models nonsense": ["nonsense"],
    "nonsense": ["nonsense"],
}


@pytest.mark.parametrize("command", WRONG_USE)
def test_wrong_use_is_told_with_the_remedy(command: str, home: Path, recsvc: Run) -> None:
    outcome = recsvc(*command.split())
    refused(outcome, code=2, says=WRONG_USE[command])
    assert "--help' for help" in outcome.err
    assert contents(home) == {}


@pytest.mark.parametrize("version", ["../../etc", "/etc", ".", "..", "", ".lock", "nonsense", "champion"])
@pytest.mark.parametrize("command", ["promote", "show"])
def test_a_version_that_is_not_there_is_neither_shown_nor_promoted(
    command: str, version: str, home: Path, recsvc: Run
) -> None:
    refused(recsvc("models", command, version, "--json"), code=1, says=["recsvc models list"])
    assert contents(home) == {}


def test_there_is_nothing_to_roll_back_to_on_an_empty_shelf(home: Path, recsvc: Run) -> None:
    refused(recsvc("models", "rollback", "--json"), code=1, says=["no former champion", "promote"])


def test_an_unknown_key_cannot_be_revoked(recsvc: Run) -> None:
    refused(recsvc("keys", "revoke", "unknown", "--json"), code=1, says=["no key unknown", "keys list"])


def test_an_empty_store_cannot_be_trained_on(recsvc: Run, home: Path) -> None:
    refused(recsvc("train", "--json"), code=1, says=["no events", "--events PATH", "recsvc import"])
    assert not (home / "models").exists()


@contextmanager
def a_full_disk(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what is written fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("n_bytes", [0, 300, 4000])
def test_a_disk_that_is_full_leaves_no_bundle(n_bytes: int, home: Path, events: Path, recsvc: Run) -> None:
    with a_full_disk(n_bytes):
        outcome = recsvc("train", "--events", events, "--json")
    refused(outcome, code=1, says=["models"])
    assert set(contents(home)) <= {"events.csv", "data", "models", "models/.lock"}


def test_a_disk_that_is_full_imports_nothing(home: Path, events: Path, recsvc: Run) -> None:
    with a_full_disk(100):
        outcome = recsvc("import", "--events", events, "--json")
    refused(outcome, code=1, says=["disk"])
    assert recsvc("import", "--events", events, "--json").report["imported"]["events"] == 600


def test_a_disk_that_is_full_for_rejects_is_told(home: Path, recsvc: Run) -> None:
    path = events_with({"type": "gaze"}, home)
    with a_full_disk(100):
        outcome = recsvc("train", "--events", path, "--json")
    refused(outcome, code=1, says=["rejects"])
    assert [name for name in contents(home / "data") if "jsonl" in name] == []


def test_what_nobody_foresaw_is_one_sentence_and_a_traceback_on_request(
    home: Path, recsvc: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a secret plan\nof two lines")

    monkeypatch.setattr("recsvc.cli.models.Registry", broken)
    says = ["unforeseen ZeroDivisionError (a secret plan)", "this is a bug", "RECSVC_LOG_LEVEL=debug"]
    refused(recsvc("models", "list", "--json"), code=1, says=says)
    assert "Traceback" in recsvc("models", "list", RECSVC_LOG_LEVEL="debug").err


def test_what_the_system_refuses_is_one_sentence_with_the_file(
    recsvc: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "/somewhere/file")

    monkeypatch.setattr("recsvc.cli.models.Registry", full)
    refused(recsvc("models", "list"), code=1, says=["/somewhere/file: No space left on device", "check"])


def test_being_interrupted_is_no_traceback(recsvc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recsvc.cli.models.Registry", interrupted)
    refused(recsvc("models", "list"), code=130, says=["interrupted"])
