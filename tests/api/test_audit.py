"""What compliance reads over HTTP: decisions page by page, and why an offer is made or is not."""

from __future__ import annotations

import pytest
from flask import Flask

from recsvc.api.app import create_app
from recsvc.api.audit_schemas import DecisionsSchema, ExplanationSchema
from tests.api.fakes import Reply, fake_services
from tests.api.test_items import call

DECISIONS = "/v1/customers/c1/decisions"
EXPLANATION = "/v1/customers/c1/offers/o3/explanation"


@pytest.fixture
def app() -> Flask:
    return create_app(fake_services())


def read(app: Flask, path: str, key: str = "rs_compliance") -> Reply:
    return call(app, "GET", path, key=key)


def test_decisions_are_shown_with_what_was_refused_and_without_their_raw_facts(app: Flask) -> None:
    reply = read(app, DECISIONS)
    assert reply.status == 200 and reply.header("Cache-Control") == "no-store"
    assert DecisionsSchema().validate(reply.json) == {}
    (decision,) = reply.json["decisions"]
    assert decision["judged"][0]["refused_by"] == "not_suitable"
    assert "facts" not in decision and "customer_id" not in decision


def test_a_page_names_the_next_one_until_the_last(app: Flask) -> None:
    assert read(app, f"{DECISIONS}?limit=1").json["before"] == 7
    assert read(app, f"{DECISIONS}?limit=2&before=7").json["before"] is None


def test_an_explanation_says_of_every_gate_what_it_compared(app: Flask) -> None:
    reply = read(app, f"{EXPLANATION}?channel=mobile&placement=home")
    assert reply.status == 200
    assert ExplanationSchema().validate(reply.json) == {}
    assert (reply.json["channel"], reply.json["placement"]) == ("mobile", "home")
    (finding,) = reply.json["findings"]
    assert finding["compared"] == {"risk_class": 5, "max_risk_class": None} and finding["remedy"]


def test_an_offer_that_is_not_there_is_not_found(app: Flask) -> None:
    assert read(app, "/v1/customers/c1/offers/o9/explanation").status == 404


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        (f"{DECISIONS}?limit=0", "query/limit"),
        (f"{DECISIONS}?limit=101", "query/limit"),
        (f"{DECISIONS}?before=x", "query/before"),
        (f"{DECISIONS}?limit=1&limit=2", "query/limit"),
        (f"{DECISIONS}?as_of=now", "query/as_of"),
        (f"{EXPLANATION}?channel=fax", "query/channel"),
        (f"{EXPLANATION}?explain=true", "query/explain"),
        ("/v1/customers/c%201/decisions", "path/customer_id"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_where(app: Flask, path: str, pointer: str) -> None:
    reply = read(app, path)
    assert reply.status == 422
    assert [error["pointer"] for error in reply.json["errors"]] == [pointer]


@pytest.mark.parametrize("key", ["rs_marketer", "rs_frontend"])
def test_who_may_not_audit_reads_nothing(app: Flask, key: str) -> None:
    assert {read(app, path, key).status for path in (DECISIONS, EXPLANATION)} == {403}
