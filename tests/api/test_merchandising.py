"""Merchandising rules over HTTP: whole rules, versions that a careful writer names, and places of faults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from recsvc.api.documents import RULE_EXAMPLE
from recsvc.errors import StoreError
from recsvc.services import Services
from tests.api.fakes import NOW, Reply
from tests.api.test_items import call

RULES = "/v1/merchandising-rules"
RULE = f"{RULES}/r1"
STARTS, ENDS = "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"
PLAIN = {"action": "boost", "item_id": "a7", "starts_at": STARTS, "ends_at": ENDS}
KEPT = {
    "rule_id": "r1",
    **PLAIN,
    "category": None,
    "kind": None,
    "channels": [],
    "placements": [],
    "factor": 2.0,
    "position": None,
    "note": None,
    "is_on": True,
    "matches": 1,
}


def put(app: Flask, target: str = RULE, if_match: str | None = None, **fields: Any) -> Reply:
    given = {name: value for name, value in {**PLAIN, **fields}.items() if value != "LEFT OUT"}
    return call(app, "PUT", target, given, if_match=if_match)


def test_a_new_rule_is_created_and_comes_back_whole(app: Flask) -> None:
    created = put(app)
    assert (created.status, created.header("Location"), created.json) == (201, RULE, KEPT)
    found = call(app, "GET", RULE)
    assert (found.status, found.json, found.header("ETag")) == (200, KEPT, created.header("ETag"))
    again = call(app, "PUT", RULE, found.json, if_match=found.header("ETag"))
    assert (again.status, again.json, again.header("ETag")) == (200, KEPT, found.header("ETag"))


def test_a_rule_that_says_everything_comes_back_as_it_went_in(app: Flask) -> None:
    body = {**RULE_EXAMPLE, "rule_id": "r1"}
    assert call(app, "PUT", RULE, body).status == 201
    found = call(app, "GET", RULE).json
    assert {name: found[name] for name in body} == body
    assert (found["is_on"], found["matches"]) == (False, 1)


def test_every_rule_is_listed_by_id_and_says_whether_it_is_on(app: Flask) -> None:
    assert call(app, "GET", RULES).json == {"rules": []}
    hour = timedelta(hours=1)
    for rule_id, start in [("over", NOW - 2 * hour), ("on", NOW), ("to-come", NOW + hour)]:
        times = {"starts_at": start.isoformat(), "ends_at": (start + hour).isoformat()}
        assert put(app, f"{RULES}/{rule_id}", **times).status == 201
    listed = call(app, "GET", RULES).json["rules"]
    assert [(rule["rule_id"], rule["is_on"]) for rule in listed] == [
        ("on", True),
        ("over", False),
        ("to-come", False),
    ]


@pytest.mark.parametrize(
    ("target", "matches"),
    [
        ({"item_id": "a7"}, 1),
        ({"item_id": "a7", "kind": "offer"}, 0),
        ({"item_id": "a8"}, 0),
        ({"item_id": "to-come"}, 0),
        ({"item_id": None, "category": "saving"}, 2),
        ({"item_id": None, "category": "saving", "kind": "offer"}, 1),
        ({"item_id": None, "category": "unheard of"}, 0),
    ],
    ids=["item", "other_kind", "over", "unknown", "category", "of_a_kind", "unknown_category"],
)
def test_a_rule_says_how_many_items_it_names_that_can_be_shown_now(
    app: Flask, target: dict[str, Any], matches: int
) -> None:
    assert put(app, **target).json["matches"] == matches
    assert call(app, "GET", RULE).json["matches"] == matches
    assert call(app, "GET", RULES).json["rules"][0]["matches"] == matches


def test_a_change_names_the_version_that_it_replaces(app: Flask) -> None:
    etag = put(app).header("ETag")
    assert (put(app, note="again").status, call(app, "DELETE", RULE).status) == (428, 428)
    assert put(app, if_match='"other"', note="again").status == 412
    assert call(app, "DELETE", RULE, if_match='"other"').status == 412
    second = put(app, if_match=etag, note="again")
    assert (second.status, second.json["note"]) == (200, "again")
    assert second.header("ETag") != etag
    assert call(app, "DELETE", RULE, if_match=etag).status == 412
    gone = call(app, "DELETE", RULE, if_match=second.header("ETag"))
    assert (gone.status, gone.body, gone.header("Content-Type")) == (204, b"", None)
    for method in ("GET", "DELETE"):
        assert call(app, method, RULE).status == 404
    assert put(app, if_match="*").status == 412


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"action": "promote"}, ["/action"]),
    ({"action": "LEFT OUT"}, ["/action"]),
    ({"starts_at": "LEFT OUT", "ends_at": "LEFT OUT"}, ["/ends_at", "/starts_at"]),
    ({"ends_at": None}, ["/ends_at"]),
    ({"ends_at": "tomorrow"}, ["/ends_at"]),
    ({"ends_at": "2026-11-29T00:00:00"}, ["/ends_at"]),
    ({"ends_at": STARTS}, ["/ends_at"]),
    ({"ends_at": "2026-11-01T00:00:00Z"}, ["/ends_at"]),
    ({"factor": 10.5}, ["/factor"]),
    ({"factor": 0.5}, ["/factor"]),
    ({"factor": 1}, ["/factor"]),
    ({"factor": "2"}, ["/factor"]),
    ({"action": "bury", "factor": 0}, ["/factor"]),
    ({"action": "bury", "factor": 1.5}, ["/factor"]),
    ({"action": "block", "factor": 0.5}, ["/factor"]),
    ({"position": 3}, ["/position"]),
    ({"action": "pin", "position": 0}, ["/position"]),
    ({"action": "pin", "position": 101}, ["/position"]),
    ({"action": "pin", "position": 1.0}, ["/position"]),
    ({"action": "pin", "item_id": None, "category": "saving"}, ["/category"]),
    ({"category": "saving"}, ["/category"]),
    ({"item_id": "LEFT OUT"}, ["/item_id"]),
    ({"item_id": "a b"}, ["/item_id"]),
    ({"item_id": None, "category": "a\nb"}, ["/category"]),
    ({"kind": "banner"}, ["/kind"]),
    ({"channels": ["fax"]}, ["/channels/0"]),
    ({"channels": "web"}, ["/channels"]),
    ({"placements": ["home", "the hero"]}, ["/placements/1"]),
    ({"placements": None}, ["/placements"]),
    ({"note": 5}, ["/note"]),
    ({"rule_id": "r2"}, ["/rule_id"]),
    ({"segment": "young"}, ["/segment"]),
]


@pytest.mark.parametrize(("wrong", "pointers"), WRONG)
def test_a_fault_is_told_with_its_place_and_changes_nothing(
    app: Flask, wrong: dict[str, Any], pointers: list[str]
) -> None:
    reply = put(app, **wrong)
    assert (reply.status, sorted(reply.pointers)) == (422, pointers)
    assert reply.header("Content-Type") == "application/problem+json"
    assert call(app, "GET", RULES).json == {"rules": []}


def test_one_rule_too_many_is_a_conflict_that_says_what_to_do(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsvc.domain.merchandising.MAX_OPEN_RULES", 1)
    assert put(app).status == 201
    reply = put(app, f"{RULES}/r2")
    assert (reply.status, reply.json["type"]) == (409, "/problems/conflict")
    assert reply.json["detail"] == (
        "1 rules have not ended yet, and no more may stand: delete one, "
        "or put this one again when one has ended"
    )
    documented = call(app, "GET", "/openapi.json").json["paths"][f"{RULES}/{{rule_id}}"]["put"]
    assert "409" in documented["responses"]
    assert "At most 1,000" in documented["description"]


def test_a_misspelt_field_is_told_what_it_may_have_meant(app: Flask) -> None:
    (error,) = put(app, placement=["home"]).json["errors"]
    assert "did you mean placements?" in error["detail"]


@pytest.mark.parametrize("body", [[], "pin", 5, [PLAIN]])
def test_a_body_that_is_no_object_is_refused(app: Flask, body: Any) -> None:
    reply = call(app, "PUT", RULE, body)
    assert (reply.status, reply.pointers) == (422, [""])


def test_what_cannot_be_read_or_stored_is_unavailable(
    app: Flask, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down:
        def __getattr__(self, name: str) -> Any:
            raise StoreError("down")

    monkeypatch.setattr(services.merchandising, "_store", Down())
    for method, target, body in (("GET", RULES, None), ("GET", RULE, None), ("PUT", RULE, PLAIN)):
        reply = call(app, method, target, body)
        assert (reply.status, reply.header("Retry-After")) == (503, "1")


@pytest.mark.parametrize("rule_id", ["a b", "%00", "x" * 257])
def test_an_odd_id_names_no_rule(app: Flask, rule_id: str) -> None:
    for method, body in (("GET", None), ("PUT", PLAIN), ("DELETE", None)):
        assert call(app, method, f"{RULES}/{rule_id}", body).status == 422
