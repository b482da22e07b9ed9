"""A training publishes the propensity model with the rest, and tells what it is worth."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry
from recsvc.cli.models import models
from recsvc.cli.propensity_report import propensity_json, propensity_rows
from recsvc.cli.reliability_plot import reliability_table
from recsvc.domain.items import Channel, ItemKind
from recsvc.policy_offers import PropensityPolicy
from recsvc.serving.offers.propensity import PropensityScorer, open_propensities
from recsvc.training.families import Popularity
from recsvc.training.material import Source
from recsvc.training.pipeline import TrainingReport, train
from tests.training.examples import POLICY, table_of

from .examples import CUSTOMERS, OFFERS, RULES, UNTIL, happenings

ENOUGH = replace(POLICY, offers=type(POLICY.offers)(propensity=RULES.offers))


def run(folder: Path, policy=ENOUGH) -> TrainingReport:  # type: ignore[no-untyped-def]
    return train(
        Source(table_of(*happenings()), OFFERS, CUSTOMERS, ItemKind.OFFER),
        policy,
        Registry(folder),
        families=[Popularity()],
        seed=1,
        created_at=UNTIL,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def report(folder: Path) -> TrainingReport:
    return run(folder)


def test_the_bundle_answers_what_the_training_learned(folder: Path, report: TrainingReport) -> None:
    opened = open_propensities(open_bundle(folder / report.manifest.version))
    fresh = report.propensity
    assert opened is not None and fresh.model is not None
    trained = PropensityScorer(fresh.model, fresh.arrays)
    history = [one for one in happenings() if one.customer_id == "c010"]
    chances = [
        one.propensities(one.facts({"age": 33}, history, OFFERS, UNTIL), OFFERS, Channel.WEB)
        for one in (opened, trained)
    ]
    assert np.array_equal(*chances)
    assert opened.model.plan.rules == RULES


def test_the_report_says_how_good_it_is_and_shows_it(report: TrainingReport) -> None:
    told = propensity_json(report.propensity)
    assert told["report"]["auc"] > 0.8  # type: ignore[index]
    assert "auc 0." in str(told["why"])
    assert report.propensity.model is not None
    names = [name for name, _ in propensity_rows(report.propensity.model)]
    assert names[1:] == ["auc of propensities", "log_loss of propensities", "ece of propensities"]
    screen = Console(width=110, record=True)
    screen.print(reliability_table(report.propensity.model.report))
    assert screen.export_text().count("●") == 11  # Ten groups, and the head that explains it.


def test_the_reliability_is_drawn_to_a_file(folder: Path, report: TrainingReport, tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    words = ["show", report.manifest.version, "--models", str(folder), "--reliability-plot", str(plot)]
    done = CliRunner().invoke(models, words)
    assert done.exit_code == 0, done.output
    text = plot.read_text("utf-8")
    assert text.startswith("<svg") and text.count("<circle") == 10


def test_a_model_without_propensities_has_nothing_to_draw(tmp_path: Path) -> None:
    choosy = replace(POLICY, offers=type(POLICY.offers)(propensity=PropensityPolicy(least_sendings=5_000)))
    published = run(tmp_path / "models", choosy)
    assert published.propensity.model is None and published.manifest.propensity is None
    plot = tmp_path / "plot.svg"
    words = ["show", published.manifest.version, "--models", str(tmp_path / "models")]
    done = CliRunner().invoke(models, [*words, "--reliability-plot", str(plot)])
    assert done.exit_code == 1 and "has no propensity model" in done.output
    assert not plot.exists()


def test_the_benchmark_says_what_is_missing(tmp_path: Path) -> None:
    script = Path(__file__).parents[3] / "scripts" / "benchmark_propensity"
    ran = subprocess.run(
        [sys.executable, script, "--data", tmp_path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "name the folder with --data" in ran.stderr
