"""A rule that a marketer puts is in the lists of every worker, and gone from them when it is deleted."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import Serve
from tests.end_to_end.service import ask, wait_until

RULE = "/v1/merchandising-rules/our-week"
MANY = 12  # Requests, each on a connection of its own: both workers get some.
FOLLOW_SECONDS = 30


def send(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, str | None]:
    """The status, the body and the ETag of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    given = {"Content-Type": "application/json", **headers} if body is not None else headers
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, given)
        answer = connection.getresponse()
        said = answer.read()
        return answer.status, json.loads(said) if said else None, answer.headers["ETag"]
    finally:
        connection.close()


def first_items(port: int) -> list[tuple[str, list[dict[str, str]]]]:
    """What is first on the list of a customer, and by which rules, as worker after worker has it."""
    path = "/v1/customers/c1/recommendations/content?limit=3&placement=home"
    lists = [ask(port, path).json["items"] for _ in range(MANY)]
    return [(item["item_id"], item["rules"]) for items in lists for item in items[:1]]


def test_a_pin_is_first_in_every_worker_until_it_is_deleted(serve: Serve, tmp_path: Path) -> None:
    folders = {"RECSVC_DATA_DIR": str(tmp_path / "data"), "RECSVC_MODELS_DIR": str(tmp_path / "models")}
    _, port = serve("--workers", 2, RECSVC_AUTH="off", **folders)
    articles = [{"item_id": f"a{n}", "title": {"en": f"Article {n}"}} for n in range(9)]
    assert send(port, "POST", "/v1/items", {"items": articles})[0] == 200
    assert wait_until(lambda: first_items(port) == [("a0", [])] * MANY, FOLLOW_SECONDS)

    now = datetime.now(UTC)
    pin = {
        "action": "pin",
        "item_id": "a7",
        "placements": ["home"],
        "starts_at": (now - timedelta(hours=1)).isoformat(),
        "ends_at": (now + timedelta(hours=1)).isoformat(),
    }
    status, kept, etag = send(port, "PUT", RULE, pin)
    assert (status, kept["is_on"], kept["matches"]) == (201, True, 1)
    pinned = ("a7", [{"rule_id": "our-week", "action": "pin"}])
    assert wait_until(lambda: first_items(port) == [pinned] * MANY, FOLLOW_SECONDS)
    elsewhere = ask(port, "/v1/customers/c1/recommendations/content?limit=3").json["items"]
    assert elsewhere[0]["item_id"] == "a0"

    assert etag is not None
    assert send(port, "DELETE", RULE, **{"If-Match": etag})[0] == 204
    assert wait_until(lambda: first_items(port) == [("a0", [])] * MANY, FOLLOW_SECONDS)
