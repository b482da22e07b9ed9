"""A promotion over HTTP is followed by every worker, and a roll-back brings the same lists back."""

from __future__ import annotations

import http.client
import json
import shutil
from pathlib import Path
from typing import Any

from recsvc.bundles.registry import Registry
from recsvc.sample_bank import SampleBank
from tests.end_to_end.conftest import Serve
from tests.end_to_end.service import ask, wait_until

MANY = 12  # Requests, each on a connection of its own: both workers get some.
FOLLOW_SECONDS = 30
MAKING_SECONDS = 120  # A process that gives way to all others makes a preview.


def post(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_workers_follow_a_promotion_and_a_roll_back(
    serve: Serve, published: tuple[Path, Path], bank_in_small: SampleBank, tmp_path: Path
) -> None:
    older, newer = (Path(shutil.copytree(path, tmp_path / "models" / path.name)).name for path in published)
    Registry(tmp_path / "models").promote(older)
    folders = {"RECSVC_DATA_DIR": str(tmp_path / "data"), "RECSVC_MODELS_DIR": str(tmp_path / "models")}
    command, port = serve("--workers", 2, RECSVC_AUTH="off", **folders)
    customer = bank_in_small.customers[0].customer_id

    def answers() -> list[tuple[str, str]]:
        path = f"/v1/customers/{customer}/recommendations/content?limit=5"
        found = [ask(port, path).json for _ in range(MANY)]
        return [(one["model_version"], json.dumps(one["items"])) for one in found]

    def all_serve(version: str) -> bool:
        return {served for served, _ in answers()} == {version}

    assert wait_until(lambda: all_serve(older), FOLLOW_SECONDS), command.err
    before = set(answers())
    asked = iter(lambda: ask(port, f"/v1/models/{newer}/preview"), None)
    assert wait_until(lambda: next(asked).status != 503, MAKING_SECONDS), command.err
    preview = next(asked)  # It is kept for ten times as long as it took.
    assert preview.status == 200 and preview.json["champion"] == older
    assert preview.json["version"] == newer and preview.json["n_customers"] == 30
    assert preview.json["offers"] and preview.json["categories"]
    status, aliases = post(port, f"/v1/models/{newer}/promote")
    assert (status, aliases["champion"]) == (200, newer)
    assert wait_until(lambda: all_serve(newer), FOLLOW_SECONDS)
    assert ask(port, "/v1/models").json["champion"] == newer
    status, aliases = post(port, "/v1/models/rollback")
    assert (status, aliases["champion"]) == (200, older)
    assert wait_until(lambda: all_serve(older), FOLLOW_SECONDS)
    assert set(answers()) == before
    assert post(port, "/v1/models/rollback")[0] == 409
