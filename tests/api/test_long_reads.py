"""Answers that read much of the store: one at a time, so that customers are answered meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from recsvc.api.app import create_app
from recsvc.api.long_reads import LONG_READS
from recsvc.errors import ReportNotReadyError
from recsvc.experimentation.report_making import Answer, Ask
from recsvc.experimentation.results_desk import SatisfactionDesk
from recsvc.kept_answers import Place
from recsvc.services import Services
from tests.api.fakes import CONTENT, READER
from tests.api.test_items import call

WISH = {"primary_metric": "clicks", "relative_effect": 0.1}
ANALYST = "rs_analyst"


@pytest.mark.parametrize(
    ("method", "target", "body", "key"),
    [
        ("GET", "/v1/experiments/home/results", None, ANALYST),
        ("POST", "/v1/experiments/plan", WISH, ANALYST),
        ("GET", "/v1/cx", None, ANALYST),
        ("GET", "/v1/models/m2/preview", None, "rs_marketer"),
    ],
)
def test_who_comes_while_another_is_made_is_told_to_come_again(
    app: Flask, method: str, target: str, body: Any, key: str
) -> None:
    with LONG_READS.place():
        refused = call(app, method, target, body, key=key)
        assert (refused.status, refused.header("Retry-After")) == (503, "1")
        assert call(app, "GET", CONTENT, key=READER).status == 200
    assert call(app, method, target, body, key=key).status != 503


class NotReady:
    """Reports that are being made."""

    def report(self, ask: Ask, place: Place) -> Answer:
        raise ReportNotReadyError("is being made", 5)

    def stop(self) -> None:
        """Nothing was begun."""


def test_a_report_that_is_not_there_yet_says_when_to_ask_again(services: Services) -> None:
    app = create_app(replace(services, satisfaction=SatisfactionDesk(NotReady())))
    reply = call(app, "GET", "/v1/cx", key=ANALYST)
    assert (reply.status, reply.header("Retry-After"), reply.header("Cache-Control")) == (
        503,
        "5",
        "no-store",
    )
    assert reply.json["type"] == "/problems/report-not-ready"
    assert reply.json["detail"] == "the report is being made; ask again in 5 s"
