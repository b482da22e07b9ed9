"""How content the customers of a bank are, over HTTP: by the surveys among its events, and one more."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsvc.clock_and_ids import now
from recsvc.sample_bank import make_sample_bank, write_sample_bank
from tests.end_to_end.conftest import bare_environment
from tests.end_to_end.service import RECSVC, Answer, Command, ask, free_port, wait_until

READY_SECONDS = 60


@dataclass(frozen=True)
class Surveyed:
    """A service that was told of a bank's events, and the keys of its callers."""

    port: int
    keys: Mapping[str, str]

    def ask(self, path: str, role: str) -> Answer:
        return ask(self.port, path, self.keys[role])


@pytest.fixture(scope="module")
def surveyed(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surveyed]:
    folder = tmp_path_factory.mktemp("surveyed")
    bank = make_sample_bank(end=now(), n_customers=800, n_articles=80, n_offers=12, n_events=24_000)
    files = write_sample_bank(bank, folder / "sample")
    environment = bare_environment(TMPDIR=str(temporary), RECSVC_DATA_DIR=str(folder / "data"))

    def run(*words: object) -> dict[str, str]:
        ran = subprocess.run([*RECSVC, *map(str, words), "--json"], env=environment, capture_output=True)
        assert ran.returncode == 0, ran.stderr
        return dict(json.loads(ran.stdout))

    run("import", "--events", files.events, "--items", files.items, "--customers", files.customers)
    keys = {role: run("keys", "create", "--role", role)["key"] for role in ("analyst", "frontend")}
    port = free_port()
    command = Command(["serve", "--port", port], folder, environment)
    try:
        assert wait_until(lambda: ask(port, "/healthz").status == 200, READY_SECONDS), command.err
        yield Surveyed(port, keys)
    finally:
        command.destroy()


def report(surveyed: Surveyed, path: str) -> Answer:
    """The answer to who asks again for as long as the report is not there yet."""
    answers: list[Answer] = []

    def is_there() -> bool:
        answers.append(surveyed.ask(path, "analyst"))
        return answers[-1].status != 503

    assert wait_until(is_there, READY_SECONDS), answers[-1].body
    return answers[-1]


def test_the_surveys_of_a_bank_have_figures_with_intervals_and_response_rates(surveyed: Surveyed) -> None:
    answer = report(surveyed, "/v1/cx")
    assert answer.status == 200, answer.body
    total = answer.json["total"]
    assert total["customers"] > 100
    for survey, lowest, highest in (("nps", -100, 100), ("csat", 0, 100), ("ces", 1, 7)):
        figure = total[survey]
        low, high = figure["interval"]["low"], figure["interval"]["high"]
        assert lowest <= low < figure["value"] < high <= highest, survey
        assert 0 < figure["response_rate"] == figure["n"] / total["customers"] < 1, survey


@pytest.mark.parametrize("by", ["segment", "channel", "week", "month"])
def test_every_grouping_splits_the_customers(surveyed: Surveyed, by: str) -> None:
    found = report(surveyed, f"/v1/cx?by={by}").json
    sizes = [group["customers"] for group in found["groups"]]
    assert len(sizes) > 1 and max(sizes) <= found["total"]["customers"] <= sum(sizes)
    assert any(group["nps"] for group in found["groups"])


def test_an_answer_that_was_acknowledged_counts_at_once(surveyed: Surveyed) -> None:
    now = datetime.now(UTC)
    ask_since = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "event_id": "a-survey-of-today",
        "type": "csat",
        "customer_id": "somebody-new",
        "occurred_at": now.isoformat(),
        "channel": "sms",
        "score": 5,
        "scale": 5,
    }
    connection = http.client.HTTPConnection("127.0.0.1", surveyed.port, timeout=30)
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {surveyed.keys['frontend']}",
    }
    connection.request("POST", "/v1/events", json.dumps({"events": [event]}), headers)
    assert connection.getresponse().status == 202
    connection.close()
    total = surveyed.ask(f"/v1/cx?channel=sms&since={ask_since}", "analyst").json["total"]
    assert (total["customers"], total["csat"]["n"], total["csat"]["value"]) == (1, 1, 100)
    assert surveyed.ask("/v1/cx", "frontend").status == 403
