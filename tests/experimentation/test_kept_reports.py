"""Reports that another process makes: the same as here, one at a time, told when they are not there yet."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import msgspec
import pytest

from benchmarks.many_events import fill
from recsvc.answering import policy_of
from recsvc.domain.experiments import (
    Analysis,
    Direction,
    Experiment,
    ExperimentStatus,
    ExperimentVariant,
    GuardrailMetric,
)
from recsvc.domain.outcomes import Reading
from recsvc.domain.surveys import Grouping
from recsvc.errors import ConflictError, InvalidRequestError, ReportNotReadyError
from recsvc.experimentation.kept_reports import Asked, Facts, ReportsApart, ReportsHere, reports_in
from recsvc.experimentation.plans import PlanWish
from recsvc.experimentation.report_making import Answer, Ask, ReportMaker
from recsvc.experimentation.satisfaction import SatisfactionQuestion
from recsvc.kept_answers import KEPT_TIMES, MAX_KEPT, MOST_SECONDS
from recsvc.policy import load_policy
from recsvc.reporting import COMMAND
from recsvc.settings import load_settings
from recsvc.stores.database import open_database
from recsvc.stores.experiments import SqlExperiments
from recsvc.stores.outcomes import SqlOutcomes
from recsvc.stores.satisfaction import SqlSatisfaction

NOW = datetime(2026, 11, 22, 10, 20, tzinfo=UTC)
PLENTY = 60.0
VERSION = load_policy().version
MINUTE = 60.0
HOME = Experiment(
    "home",
    tuple(ExperimentVariant(key, "m1", weight) for key, weight in (("a", 30), ("b", 30), ("c", 40))),
    status=ExperimentStatus.RUNNING,
    primary_metric="clicks",
    secondary=("click_through", "nps"),
    guardrails=(GuardrailMetric("complaints", 0.01, Direction.LOWER),),
    analysis=Analysis.SEQUENTIAL,
)
WISH = Ask(plan=PlanWish("clicks", relative_effect=0.1))
ASKS = [
    Ask(results=replace(HOME, phase=1)),
    Ask(results=replace(HOME, phase=1, end=NOW - timedelta(days=1), analysis=Analysis.FIXED)),
    Ask(results=Experiment("draft", HOME.variants)),
    WISH,
    Ask(plan=PlanWish("conversion", minimum_effect=0.1)),  # There is nothing to plan by.
    Ask(plan=PlanWish("clicks", minimum_effect=5)),  # No share is that large.
    *(
        Ask(satisfaction=SatisfactionQuestion(by=by, experiment="home"))
        for by in (None, Grouping.VARIANT, Grouping.SEGMENT, Grouping.CHANNEL, Grouping.WEEK)
    ),
    Ask(satisfaction=SatisfactionQuestion(since=datetime.fromisoformat("2026-11-01T01:00:00+01:00"))),
    Ask(satisfaction=SatisfactionQuestion(experiment="unheard")),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three hundred customers who met an experiment."""
    folder = tmp_path_factory.mktemp("data")
    with closing(open_database(f"sqlite:///{folder / 'recsvc.sqlite3'}")) as database:
        SqlExperiments(database).put(HOME, expected=None, now=NOW - timedelta(days=30))
        fill(database, 3_000, 300, experiment="home", arms=("a", "b", "c"), now=NOW)
    return folder


@pytest.fixture(scope="module")
def maker(data: Path) -> Iterator[ReportMaker]:
    with closing(open_database(f"sqlite:///{data / 'recsvc.sqlite3'}")) as database:
        yield ReportMaker(SqlOutcomes(database), SqlSatisfaction(database), load_policy())


@contextmanager
def counted(places: list[str]) -> Iterator[None]:
    places.append("held")
    yield


@dataclass
class Trial:
    """Reports by way of a folder, and what is made up: who was erased, and how much time has passed.

    To make a report takes a minute by that, so that nothing hangs on how busy the machine is.
    """

    maker: ReportMaker
    folder: Path
    erasures: int = 0
    later: float = 0.0
    small: bool = False
    store: str = "a store"
    places: list[str] = field(default_factory=list)

    def reports(
        self,
        command: Sequence[str],
        wait_seconds: float = 100 * PLENTY,
        most_seconds: float = MOST_SECONDS,
    ) -> ReportsApart:
        facts = Facts(
            is_small=lambda reading: self.small, last_erasure=lambda: self.erasures, store=self.store
        )
        return ReportsApart(
            self.maker,
            facts,
            self.folder,
            command,
            clock=lambda: NOW,
            monotonic=lambda: monotonic() + self.later + MINUTE * self.log.count(b"\n"),
            wait_seconds=wait_seconds,
            most_seconds=most_seconds,
        )

    def ask(self, reports: ReportsApart, ask: Ask = WISH) -> Answer:
        return reports.report(ask, counted(self.places))

    @property
    def log(self) -> bytes:
        path = self.folder / "asked"
        return path.read_bytes() if path.exists() else b""

    @property
    def asked(self) -> list[Asked]:
        """What `saying` was asked so far."""
        return [msgspec.json.decode(line, type=Asked) for line in self.log.splitlines()]


@pytest.fixture
def trial(maker: ReportMaker, tmp_path: Path) -> Trial:
    folder = tmp_path / "reports"
    folder.mkdir(mode=0o700)
    return Trial(maker, folder)


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", f"import os, pathlib, sys, time\n{code}", *map(str, arguments)]


def saying(trial: Trial, said: bytes, code: str = "") -> list[str]:
    """A process that notes what it was asked, and says the same each time."""
    (trial.folder / "said").write_bytes(said)
    return python(
        "folder = pathlib.Path(sys.argv[1])\n"
        "asked = sys.stdin.buffer.readline()\n"
        "with (folder / 'asked').open('ab') as log: log.write(asked)\n"
        f"{code}\n"
        "sys.stdout.buffer.write((folder / 'said').read_bytes())",
        trial.folder,
    )


@pytest.fixture
def plan(maker: ReportMaker) -> bytes:
    return msgspec.json.encode(maker.answer(WISH, now=NOW))


def until(holds: Callable[[], bool]) -> None:
    for _ in range(int(PLENTY / 0.02)):
        if holds():
            return
        sleep(0.02)
    raise AssertionError("it never came to hold")


@pytest.mark.parametrize("ask", ASKS)
def test_what_goes_from_one_process_to_another_comes_out_the_same(maker: ReportMaker, ask: Ask) -> None:
    sent = msgspec.json.decode(msgspec.json.encode(Asked(ask, NOW, VERSION)), type=Asked)
    assert sent == Asked(ask, NOW, VERSION)
    here = maker.answer(ask, now=NOW)
    there = msgspec.json.decode(msgspec.json.encode(here), type=Answer)
    assert there == here
    assert msgspec.json.encode(there) == msgspec.json.encode(here)


def test_another_process_says_what_this_one_would(
    trial: Trial, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSVC_DATA_DIR", str(data))
    found = trial.ask(trial.reports(COMMAND), ASKS[0])
    assert found == trial.maker.make(ASKS[0], now=NOW)
    assert found.results is not None and found.results.as_of == NOW
    assert [arm.verdict for arm in found.results.arms] == ["inconclusive"] * 2


def test_what_is_kept_is_answered_by_every_worker_for_ten_times_as_long_as_it_took(
    trial: Trial, plan: bytes
) -> None:
    command = saying(trial, plan)
    workers = [trial.reports(command) for _ in range(3)]
    found: list[Answer] = []
    threads = [threading.Thread(target=lambda one=one: found.append(trial.ask(one))) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [msgspec.json.decode(plan, type=Answer)] * 3
    assert trial.asked == [Asked(WISH, NOW, VERSION)]
    trial.later = MINUTE * (KEPT_TIMES - 2)
    assert trial.ask(workers[0]) == found[0] and len(trial.asked) == 1
    trial.later = MINUTE * (KEPT_TIMES + 2)
    assert trial.ask(workers[1]) == found[0] and len(trial.asked) == 2
    trial.ask(workers[2], ASKS[0])  # Another question.
    assert [one.ask for one in trial.asked[2:]] == [ASKS[0]]


def test_a_report_in_the_making_is_told_so_and_so_is_another_that_waits_for_it(
    trial: Trial, plan: bytes
) -> None:
    gate = trial.folder / "go"
    command = saying(trial, plan, f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)")
    one, other = (trial.reports(command, wait_seconds=0.05) for _ in range(2))
    for reports, ask in ((one, WISH), (other, WISH), (other, ASKS[0])):
        with pytest.raises(ReportNotReadyError, match="is being made, or waits until another one is"):
            trial.ask(reports, ask)
    until(lambda: bool(trial.log))
    assert trial.asked == [Asked(WISH, NOW, VERSION)]
    gate.touch()
    assert trial.ask(trial.reports(command)) == msgspec.json.decode(plan, type=Answer)
    assert len(trial.asked) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit(3)", "broke off with code 3"),
        ("os.kill(os.getpid(), 9)", "broke off with code -9"),
        ("print('{\"plan\": {'); sys.exit(0)", "could not be read"),
    ],
)
def test_one_that_fails_is_told_once_and_tried_again(trial: Trial, plan: bytes, code: str, said: str) -> None:
    marker = trial.folder / "failed"
    fails = f"if not os.path.exists({str(marker)!r}):\n    open({str(marker)!r}, 'w').close(); {code}"
    reports = trial.reports(saying(trial, plan, fails))
    with pytest.raises(ReportNotReadyError, match=f"could not be made: it {said}"):
        trial.ask(reports)
    assert trial.ask(reports) == msgspec.json.decode(plan, type=Answer)
    assert len(trial.asked) == 2


def test_what_no_process_can_be_started_for_and_what_takes_too_long_are_told(
    trial: Trial, plan: bytes
) -> None:
    with pytest.raises(ReportNotReadyError, match="could not be made"):
        trial.ask(trial.reports(["/nowhere/python"]))
    slow = trial.reports(saying(trial, plan, "time.sleep(600)"), most_seconds=0.2)
    with pytest.raises(ReportNotReadyError, match=r"took more than 0\.2 seconds"):
        trial.ask(slow)


def test_an_erasure_outdates_what_was_begun_before_it(trial: Trial, plan: bytes) -> None:
    reports = trial.reports(saying(trial, plan))
    trial.ask(reports)
    trial.ask(reports)
    assert len(trial.asked) == 1
    trial.erasures += 1
    trial.ask(reports)
    assert len(trial.asked) == 2


def test_little_is_read_here_and_anew_each_time(trial: Trial) -> None:
    trial.small = True
    reports = trial.reports(["/nowhere/python"])
    assert trial.ask(reports) == trial.ask(reports) == trial.maker.make(WISH, now=NOW)
    assert trial.places == ["held", "held"] and list(trial.folder.iterdir()) == []


def test_a_refusal_is_answered_as_one_wherever_it_was_found(trial: Trial) -> None:
    for refusal, kind in (
        (trial.maker.answer(ASKS[4], now=NOW), ConflictError),
        (trial.maker.answer(ASKS[5], now=NOW), InvalidRequestError),
    ):
        reports = trial.reports(saying(trial, msgspec.json.encode(refusal)))
        with pytest.raises(kind):
            trial.ask(reports)
        trial.later += 10_000.0
    with pytest.raises(InvalidRequestError, match="names no experiment"):  # No process is needed for that.
        trial.ask(trial.reports(["/nowhere/python"]), ASKS[-1])


def test_the_oldest_of_many_reports_go_and_what_is_stopped_keeps_nothing(trial: Trial, plan: bytes) -> None:
    for number in range(MAX_KEPT + 5):
        (trial.folder / f"{number}.json").write_text("{}")
    trial.ask(trial.reports(saying(trial, plan)))
    assert len(list(trial.folder.glob("*.json"))) == MAX_KEPT
    trial.later = 10_000.0
    reports = trial.reports(saying(trial, plan, "time.sleep(600)"))
    threading.Timer(0.3, reports.stop).start()
    with pytest.raises(ReportNotReadyError):
        trial.ask(reports)
    with pytest.raises(ReportNotReadyError):
        trial.ask(reports)
    assert trial.ask(trial.reports(saying(trial, plan))) == msgspec.json.decode(plan, type=Answer)


def test_reports_are_trusted_only_where_nobody_else_can_write(trial: Trial, tmp_path: Path) -> None:
    def kind(folder: Path | None) -> type:
        facts = Facts(lambda reading: True, lambda: 0, "a store")
        return type(reports_in(folder, trial.maker, facts, [], clock=lambda: NOW, monotonic=monotonic))

    assert kind(trial.folder) is ReportsApart
    assert kind(None) is kind(tmp_path / "none") is ReportsHere
    trial.folder.chmod(0o777)
    assert kind(trial.folder) is ReportsHere


def test_a_report_is_of_one_store_and_of_the_phase_that_an_experiment_is_in(
    trial: Trial, maker: ReportMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ASKS[6]
    command = saying(trial, msgspec.json.encode(maker.answer(ask, now=NOW)))
    for n_asked in (1, 1):
        trial.ask(trial.reports(command), ask)
        assert len(trial.asked) == n_asked
    reading = replace(maker.reading(ask, now=NOW), exposed=("home", 2))
    with monkeypatch.context() as changed:
        changed.setattr(maker, "reading", lambda ask, now: reading)
        trial.ask(trial.reports(command), ask)
    assert len(trial.asked) == 2
    trial.store = "another store"
    trial.ask(trial.reports(command), ask)
    assert len(trial.asked) == 3


def test_no_report_is_made_by_a_policy_that_was_changed() -> None:
    assert policy_of(VERSION, load_settings()).version == VERSION
    with pytest.raises(SystemExit, match="policy file was changed since the server began"):
        policy_of("another", load_settings())


def test_a_report_that_cannot_be_kept_is_not_made_again_and_again(trial: Trial, plan: bytes) -> None:
    command = saying(trial, plan)
    reports = trial.reports(command)
    path = trial.folder / f"{reports._name_of(WISH, trial.maker.reading(WISH, now=NOW))}.json"
    path.mkdir()  # Stands in for a disk that is full.
    with pytest.raises(ReportNotReadyError, match="could not be kept"):
        trial.ask(reports)
    assert len(trial.asked) == 1 and list(trial.folder.glob("*.part")) == []
    path.rmdir()
    trial.later = MINUTE
    assert trial.ask(reports) == msgspec.json.decode(plan, type=Answer)


def test_a_folder_that_was_taken_away_is_made_anew(trial: Trial, plan: bytes, tmp_path: Path) -> None:
    reports = trial.reports(python("sys.stdout.write(sys.argv[1])", plan.decode()))
    for each in trial.folder.iterdir():
        each.unlink()
    trial.folder.rmdir()
    assert trial.ask(reports) == msgspec.json.decode(plan, type=Answer)
    assert trial.folder.stat().st_mode & 0o777 == 0o700
    trial.folder.chmod(0o777)
    trial.later = 10_000.0
    with pytest.raises(ReportNotReadyError, match="not ours alone"):
        trial.ask(reports)


def test_what_was_kept_before_the_machine_began_anew_counts_no_more(trial: Trial, plan: bytes) -> None:
    command = saying(trial, plan)
    trial.ask(trial.reports(command))
    trial.later = -10_000.0
    trial.ask(trial.reports(command))
    assert len(trial.asked) == 2


def test_what_a_report_may_read_is_known_before_it_is_read(maker: ReportMaker) -> None:
    def reading(ask: Ask) -> Reading:
        return maker.reading(ask, now=NOW)

    before = timedelta(days=28)
    assert reading(ASKS[0]) == Reading(None, NOW, before, ("home", 1))
    assert reading(ASKS[1]).until == NOW - timedelta(days=1)
    assert reading(WISH) == Reading(NOW - before, NOW, before)
    by_week = Ask(satisfaction=SatisfactionQuestion(NOW - before, NOW, Grouping.WEEK, experiment="home"))
    assert reading(by_week) == Reading(NOW - before, NOW, exposed=("home", 1), n_times=5)


def test_what_another_release_kept_is_made_anew(trial: Trial, plan: bytes) -> None:
    reports = trial.reports(saying(trial, plan))
    found = trial.ask(reports)
    (path,) = trial.folder.glob("*.json")
    kept = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(kept | {"answer": {"plan": 7}}))
    assert trial.ask(reports) == found and len(trial.asked) == 2
