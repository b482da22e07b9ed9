"""How content the customers of the demo are, over HTTP: by the surveys among its events, and one more."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime

import pytest

from tests.end_to_end.conftest import Demo
from tests.end_to_end.service import Answer, wait_until

READY_SECONDS = 60


def report(demo: Demo, path: str) -> Answer:
    """The answer to who asks again for as long as the report is not there yet."""
    answers: list[Answer] = []

    def is_there() -> bool:
        answers.append(demo.ask(path, "analyst"))
        return answers[-1].status != 503

    assert wait_until(is_there, READY_SECONDS), answers[-1].body
    return answers[-1]


def test_the_demos_surveys_have_figures_with_intervals_and_response_rates(demo: Demo) -> None:
    answer = report(demo, "/v1/cx")
    assert answer.status == 200, answer.body
    total = answer.json["total"]
    assert total["customers"] > 100
    for survey, lowest, highest in (("nps", -100, 100), ("csat", 0, 100), ("ces", 1, 7)):
        figure = total[survey]
        low, high = figure["interval"]["low"], figure["interval"]["high"]
        assert lowest <= low < figure["value"] < high <= highest, survey
        assert 0 < figure["response_rate"] == figure["n"] / total["customers"] < 1, survey


@pytest.mark.parametrize("by", ["segment", "channel", "week", "month"])
def test_every_grouping_splits_the_customers(demo: Demo, by: str) -> None:
    found = report(demo, f"/v1/cx?by={by}").json
    sizes = [group["customers"] for group in found["groups"]]
    assert len(sizes) > 1 and max(sizes) <= found["total"]["customers"] <= sum(sizes)
    assert any(group["nps"] for group in found["groups"])


def test_an_answer_that_was_acknowledged_counts_at_once(demo: Demo) -> None:
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
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=30)
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {demo.ready['keys']['frontend']}",
    }
    connection.request("POST", "/v1/events", json.dumps({"events": [event]}), headers)
    assert connection.getresponse().status == 202
    connection.close()
    total = demo.ask(f"/v1/cx?channel=sms&since={ask_since}", "analyst").json["total"]
    assert (total["customers"], total["csat"]["n"], total["csat"]["value"]) == (1, 1, 100)
    assert demo.ask("/v1/cx", "frontend").status == 403
