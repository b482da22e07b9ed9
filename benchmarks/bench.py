"""What every section works with. In: folders. Out: findings, and commands run in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from recsvc.history.interactions import InteractionTable
from recsvc.history.mapping import FileMapping, load_mapping
from recsvc.history.readers import read_interactions
from recsvc.policy import load_policy

ROOT = Path(__file__).parents[1]
POLICY = load_policy()
SEED = 1


class NoDataError(Exception):
    """A file that a section needs is not there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure, and what it was promised to be: at least `least`, at most `most`; None for no promise.

    `found` is None where nothing could be measured, and `note` says why.
    """

    what: str
    found: float | None
    unit: str = ""
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def is_kept(self) -> bool | None:
        """None where nothing was promised, or nothing measured."""
        if self.found is None or (self.least is None and self.most is None):
            return None
        return (self.least is None or self.found >= self.least) and (
            self.most is None or self.found <= self.most
        )


@dataclass(frozen=True, slots=True)
class Run:
    """What a process reported, and what it took. Seconds are of CPU, over all threads."""

    report: Mapping[str, Any]
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Bench:
    """Where the data are read, and where a section may write."""

    data: Path
    work: Path

    def file(self, name: str) -> Path:
        """A file of the data. Raises NoDataError."""
        path = self.data / name
        if not path.is_file():
            raise NoDataError(f"there is no {name} in the data folder; set RECSVC_TEST_DATA_DIR, or --data")
        return path

    def read(self, name: str, mapping: str) -> InteractionTable:
        """A file of events by a mapping of scripts/mappings. Raises NoDataError."""
        return read_events(self.file(name), mapping_named(mapping), self.work)

    def recsvc(self, *arguments: str | Path) -> Run:
        """Run a command that reports JSON."""
        return self.python("-m", "recsvc", *arguments, "--json")

    def python(self, *arguments: str | Path) -> Run:
        """Run Python in a fresh process, whose output, if any, is one JSON object."""
        known = {name: text for name, text in os.environ.items() if not name.startswith("RECSVC_")}
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = known | {"PYTHONPATH": os.pathsep.join(paths), "RECSVC_DATA_DIR": str(self.work)}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.launching", sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            cwd=self.work,
            check=False,
        )
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            done.check_returncode()
        used = json.loads(done.stderr.splitlines()[-1])
        return Run(json.loads(done.stdout or "{}"), used["cpu_seconds"], used["peak_bytes"])


def mapping_named(name: str) -> FileMapping:
    """One of scripts/mappings."""
    return load_mapping(mapping_file(name))


def mapping_file(name: str) -> Path:
    return ROOT / "scripts" / "mappings" / f"{name}.toml"


def read_events(path: Path, mapping: FileMapping, work: Path) -> InteractionTable:
    """The clean history of a file."""
    rejects = work / f"{path.stem}-rejects.jsonl"
    return read_interactions(
        [path], mapping, POLICY, rejects_path=rejects, as_of=datetime.now(UTC), reject_limit=1.0
    ).table


def cpu_ratio(one: Callable[[], object], other: Callable[[], object], rounds: int) -> float:
    """How many times the CPU time of the other the one takes: the median of rounds in which both run.

    Who goes first alternates, so that whatever else the machine does meets both alike.
    """
    ratios = []
    for number in range(rounds):
        pair: Sequence[Callable[[], object]] = (one, other) if number % 2 else (other, one)
        spent = {id(run): cpu_seconds_of(run) for run in pair}
        ratios.append(spent[id(one)] / spent[id(other)])
    return median(ratios)


def cpu_seconds_of(run: Callable[[], object]) -> float:
    """CPU time of this process over all threads."""
    started = time.process_time()
    run()
    return time.process_time() - started
