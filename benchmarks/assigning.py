"""Deal many customers to two experiments in processes of their own. In: how many. Out: who moved, if anybody.

The experiments go through the store: each process reads them as they were registered, with another seed for
Python's own hashes, and nothing else is shared. Redis is asked nothing: there is nothing to lose in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsvc.domain.experiments import Experiment, ExperimentStatus, ExperimentVariant
from recsvc.experimentation.allocations import allocation_of
from recsvc.experimentation.sample_ratio import check_sample_ratio, chi2_tail
from recsvc.stores.database import open_database
from recsvc.stores.experiments import SqlExperiments

Codes = npt.NDArray[np.uint8]  # (n_customers,): the place of each customer's variant, or NONE.

NONE = 255
N_PARTS = 10
_ROOT = Path(__file__).resolve().parents[1]
_NOW = datetime(2026, 3, 1, tzinfo=UTC)
_HOME = Experiment(
    "home",
    tuple(ExperimentVariant(key, f"m{key}", weight) for key, weight in (("a", 20), ("b", 30), ("c", 50))),
    coverage=0.1,
    layer="home",
    status=ExperimentStatus.RUNNING,
)
_MAIL = Experiment(
    "mail",
    (ExperimentVariant("a", "ma", 50), ExperimentVariant("b", "mb", 50)),
    layer="mail",
    status=ExperimentStatus.RUNNING,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. The p-values are of chi-squared tests; `moved` counts who lost a variant they had."""

    customers: int
    processes: int
    flips: int
    in_at_10_percent: int
    in_at_50_percent: int
    moved: int
    p_sizes: float
    p_variants_independent: float
    p_layers_independent: float

    @property
    def holds(self) -> bool:
        """Whether nobody moved and nothing is off by more than chance."""
        p_values = (self.p_sizes, self.p_variants_independent, self.p_layers_independent)
        return self.flips == self.moved == 0 and min(p_values) > 0.001


@dataclass(frozen=True, slots=True)
class Dealt:
    """Where everybody fell in both experiments, and in which tenth of each layer."""

    home: Codes
    mail: Codes
    home_part: Codes
    mail_part: Codes

    @classmethod
    def of(cls, raw: bytes) -> Dealt:
        """Read what a process printed."""
        return cls(*np.frombuffer(raw, np.uint8).reshape(4, -1))


def deal(store: Path, n_customers: int) -> bytes:
    """Where so many customers fall, by the experiments in the store: one byte each, four times."""
    database = open_database(f"sqlite:///{store}")
    experiments = SqlExperiments(database).experiments()
    codes = np.full((4, n_customers), NONE, np.uint8)
    for place, experiment in enumerate(experiments):
        allocation = allocation_of(experiment)
        names = {variant.key: code for code, variant in enumerate(experiment.variants)}
        for number in range(n_customers):
            found = allocation.assign(f"c{number:07d}")
            if found.variant is not None:
                codes[place, number] = names[found.variant]
            if found.layer_bucket is not None:
                codes[2 + place, number] = found.layer_bucket * N_PARTS // 10_000
    database.close()
    return codes.tobytes()


def run(folder: Path, n_customers: int) -> Report:
    """Register, deal in two processes at once, raise the coverage, deal in a third."""
    store = folder / "store.sqlite3"
    database = open_database(f"sqlite:///{store}")
    experiments = SqlExperiments(database)
    home = experiments.put(_HOME, expected=None, now=_NOW).experiment
    experiments.put(_MAIL, expected=None, now=_NOW)
    one, other = _in_processes(store, n_customers, seeds=(1, 2))
    experiments.put(replace(_HOME, coverage=0.5), expected=home.etag, now=_NOW)
    database.close()
    (raised,) = _in_processes(store, n_customers, seeds=(3,))
    was_in = one.home != NONE
    sizes = np.bincount(raised.home[raised.home != NONE], minlength=3)
    ratio = check_sample_ratio(sizes.tolist(), [variant.weight for variant in _HOME.variants])
    assert ratio is not None
    return Report(
        customers=n_customers,
        processes=3,
        flips=int((one.home != other.home).sum() + (one.mail != other.mail).sum())
        + int((one.mail != raised.mail).sum()),
        in_at_10_percent=int(was_in.sum()),
        in_at_50_percent=int((raised.home != NONE).sum()),
        moved=int((raised.home[was_in] != one.home[was_in]).sum()),
        p_sizes=ratio.p_value,
        p_variants_independent=independence(raised.home, raised.mail),
        p_layers_independent=independence(one.home_part, one.mail_part),
    )


def independence(rows: Codes, columns: Codes) -> float:
    """The p-value of Pearson's chi-squared test that two classifications are independent."""
    names, row = np.unique(rows, return_inverse=True)
    others, column = np.unique(columns, return_inverse=True)
    table = np.zeros((len(names), len(others)))
    np.add.at(table, (row, column), 1)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    chi2 = float(((table - expected) ** 2 / expected).sum())
    return chi2_tail(chi2, (len(names) - 1) * (len(others) - 1))


def _in_processes(store: Path, n_customers: int, *, seeds: tuple[int, ...]) -> list[Dealt]:
    command = [sys.executable, "-m", "benchmarks.assigning", str(store), str(n_customers)]
    running = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=_ROOT, env={**os.environ, "PYTHONHASHSEED": str(seed)}
        )
        for seed in seeds
    ]
    printed = [process.communicate(timeout=600)[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return [Dealt.of(raw) for raw in printed]


if __name__ == "__main__":
    sys.stdout.buffer.write(deal(Path(sys.argv[1]), int(sys.argv[2])))
