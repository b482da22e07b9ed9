"""From one command to personal recommendations over HTTP, and what keeps them coming when parts fail.

The tests share one demo and stand in an order: the last ones take it apart.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from recsvc.cli.demo import ROLES
from recsvc.domain.access import ROLE_SCOPES, Scope
from tests.end_to_end.conftest import Demo
from tests.end_to_end.service import descendants, is_taken, named, parents, wait_until

MANY = 24  # Requests, each on a connection of its own: both workers get some.
FOLLOW_SECONDS = 30
REVOKED_SECONDS = 5  # Promised, so no slow machine is an excuse.


def test_the_ready_file_says_all_that_a_caller_needs(demo: Demo) -> None:
    assert demo.ready.keys() == {"url", "keys", "customers", "model_version"}
    assert demo.ready["url"] == f"http://127.0.0.1:{demo.port}"
    assert demo.ready["keys"].keys() == {"frontend", "marketer", "analyst", "privacy", "admin"}
    assert len(set(demo.ready["customers"])) == 5
    assert (demo.models / demo.ready["model_version"]).is_dir()


def test_what_a_person_reads_is_not_drowned_in_logs(demo: Demo) -> None:
    said = demo.command.err
    assert '"event"' not in said
    assert "synthetic" in said
    assert f"Ready: {demo.ready['url']}" in said
    assert "Ctrl-C stops everything." in said
    log = Path(said.partition("Its log: ")[2].splitlines()[0])
    # Lines of requests are written in pieces, several times a second.
    assert wait_until(lambda: '"route": "/readyz"' in log.read_text(), FOLLOW_SECONDS)
    for key in demo.ready["keys"].values():
        assert key in said


def test_the_curl_that_is_printed_works_as_printed(demo: Demo) -> None:
    lines = [line.strip() for line in demo.command.out.splitlines()]
    assert len(lines) == 2
    bodies = []
    for line in lines:
        program, option, header, url = shlex.split(line)
        assert (program, option) == ("curl", "-H")
        if shutil.which("curl"):
            ran = subprocess.run(line, shell=True, capture_output=True, check=True)
            bodies.append(json.loads(ran.stdout))
        else:
            name, _, value = header.partition(": ")
            with urllib.request.urlopen(urllib.request.Request(url, headers={name: value})) as answer:
                bodies.append(json.loads(answer.read()))
    assert [len(body["items"]) for body in bodies] == [3, 3]
    assert all(item["reason"]["text"] for body in bodies for item in body["items"])


def test_customers_with_different_tastes_get_different_lists(demo: Demo) -> None:
    for kind in ("content", "offers"):
        lists = [
            tuple(item["item_id"] for item in demo.slate(customer, kind).json["items"])
            for customer in demo.customers
        ]
        assert all(lists)
        assert len(set(lists)) == len(lists)
    assert demo.slate(demo.customers[0]).json["source"] == "personalised"


def test_the_second_identical_request_is_a_hit_with_the_same_body(demo: Demo) -> None:
    path = "?limit=7&placement=twice"
    first, second = demo.slate(demo.customers[0], query=path), demo.slate(demo.customers[0], query=path)
    assert "cache;desc=miss" in first.headers["Server-Timing"]
    # The worker that made it has a copy in its memory; another one finds it in Redis.
    assert second.headers["Server-Timing"].startswith(("cache;desc=local,", "cache;desc=hit,"))
    assert first.body == second.body
    assert first.headers["ETag"] == second.headers["ETag"]


def rows_of(path: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_no_offer_is_riskier_than_its_customer_may_bear(demo: Demo) -> None:
    sample = demo.folder / "sample"
    risk = {
        item["item_id"]: item["terms"]["risk_class"]
        for item in rows_of(sample / "items.jsonl")
        if item["kind"] == "offer"
    }
    limits: dict[int, list[str]] = {}
    for customer in rows_of(sample / "customers.jsonl"):
        suitability = customer.get("suitability") or {}
        limits.setdefault(suitability.get("max_risk_class") or 0, []).append(customer["customer_id"])
    assert len(limits) > 2
    shown: dict[int, set[int]] = {}
    for limit, customers in limits.items():
        for customer_id in customers[:5]:
            items = demo.slate(customer_id, "offers", "?limit=40").json["items"]
            shown.setdefault(limit, set()).update(risk[item["item_id"]] for item in items)
    assert {limit: classes for limit, classes in shown.items() if max(classes, default=0) > limit} == {}
    assert max(max(classes, default=0) for classes in shown.values()) > 0


def test_an_unknown_customer_gets_a_list_too(demo: Demo) -> None:
    known, unknown = demo.slate(demo.customers[0]).json, demo.slate("nobody-ever-saw-me").json
    assert known.keys() == unknown.keys()
    assert unknown["items"]
    assert unknown["source"] not in {"personalised", "folded_in"}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/healthz", "/readyz"])
def test_what_needs_no_key_answers_without_one(path: str, demo: Demo) -> None:
    assert demo.ask(path).status == 200


def test_each_role_may_do_what_its_scopes_say(demo: Demo) -> None:
    path = f"/v1/customers/{demo.customers[0]}/recommendations/content"
    assert [*demo.ready["keys"]] == ["frontend", "marketer", "analyst", "privacy", "admin"]
    for role in ROLES:
        expected = 200 if Scope.RECS_READ in ROLE_SCOPES[role] else 403
        assert demo.ask(path, role).status == expected, role
    refused = demo.ask(path, "privacy")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "recs:read" in refused.json["detail"]
    assert demo.ask(path).status == 401


def test_a_revoked_key_is_refused_by_every_worker(demo: Demo) -> None:
    made = json.loads(demo.run("keys", "create", "--role", "frontend", "--json").stdout)
    demo.ready["keys"]["new"] = made["key"]
    path = f"/v1/customers/{demo.customers[0]}/recommendations/content"
    assert {demo.ask(path, "new").status for _ in range(MANY)} == {200}
    assert demo.run("keys", "revoke", made["key_id"]).returncode == 0
    assert wait_until(lambda: {demo.ask(path, "new").status for _ in range(MANY)} == {401}, REVOKED_SECONDS)


def versions_served(demo: Demo, customer_id: str) -> set[str]:
    answers = [demo.slate(customer_id) for _ in range(MANY)]
    assert {answer.json["model_version"] == answer.headers["X-Model-Version"] for answer in answers} == {True}
    return {answer.headers["X-Model-Version"] for answer in answers}


def follows(demo: Demo, version: str) -> bool:
    customer_id = demo.customers[0]
    return wait_until(lambda: versions_served(demo, customer_id) == {version}, FOLLOW_SECONDS)


@pytest.fixture(scope="module")
def second_version(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another version on the shelf of the demo, which serves the first one. It knows every tenth customer."""
    everything = pl.read_parquet(demo.folder / "sample" / "events.parquet")
    known = {*demo.customers, *everything["customer_id"].unique().sort().gather_every(10)}
    events = tmp_path_factory.mktemp("second") / "events.parquet"
    everything.filter(pl.col("customer_id").is_in(known)).write_parquet(events)
    trained = demo.run("train", "--events", events, "--seed", 2, "--no-promote", "--json")
    assert trained.returncode == 0, trained.stderr
    version = json.loads(trained.stdout)["version"]
    assert version != demo.ready["model_version"]
    return str(version)


def test_a_promoted_version_serves_within_seconds_and_so_does_the_one_before(
    demo: Demo, second_version: str
) -> None:
    assert versions_served(demo, demo.customers[0]) == {demo.ready["model_version"]}
    assert demo.run("models", "promote", second_version).returncode == 0
    assert follows(demo, second_version)
    assert demo.run("models", "rollback").returncode == 0
    assert follows(demo, demo.ready["model_version"])


@contextmanager
def one_byte_flipped(path: Path) -> Iterator[None]:
    held = path.read_bytes()
    path.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    try:
        yield
    finally:
        path.write_bytes(held)


def refused_by_all(demo: Demo, version: str) -> bool:
    reports = [demo.ask("/readyz").json for _ in range(MANY)]
    return all(version in [bundle["version"] for bundle in report["model"]["refused"]] for report in reports)


def test_a_champion_that_goes_bad_is_named_while_the_last_good_one_serves(
    demo: Demo, second_version: str
) -> None:
    champion = demo.ready["model_version"]
    assert demo.run("models", "promote", second_version).returncode == 0
    assert demo.run("models", "promote", champion).returncode == 0
    array = sorted((demo.models / champion).glob("*.npy"))[1]
    with one_byte_flipped(array):
        assert wait_until(lambda: refused_by_all(demo, champion), FOLLOW_SECONDS)
        report = demo.ask("/readyz").json
        assert report["ready"] and report["degraded"]
        [refused] = report["model"]["refused"]
        assert array.name in refused["reason"]
        slates = [demo.slate(customer).json for customer in demo.customers for _ in range(3)]
        assert all(slate["items"] for slate in slates)
        assert {slate["source"] for slate in slates} == {"personalised"}

        doctor = demo.run("doctor")
        assert doctor.returncode == 1
        assert f"WRONG champion {champion}" in doctor.stdout
        assert array.name in doctor.stdout
        for words in (["show", champion, "--verify"], ["promote", champion]):
            told = demo.run("models", *words)
            assert (told.returncode, told.stdout) == (1, "")
            assert champion in told.stderr and array.name in told.stderr
    assert follows(demo, champion)
    assert wait_until(lambda: demo.ask("/readyz").json["degraded"] is False, FOLLOW_SECONDS)


def test_a_sound_demo_has_a_healthy_doctor(demo: Demo) -> None:
    doctor = demo.run("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert max(map(len, demo.run("models", "list").stdout.splitlines())) <= 80


def test_a_worker_that_dies_is_replaced(demo: Demo) -> None:
    [server] = named(descendants(demo.command.process.pid), "recsvc serve") - {
        pid for pid, parent in parents().items() if parent != demo.command.process.pid
    }
    before = named(descendants(server), "recsvc serve")
    assert len(before) == 2
    victim = min(before)
    os.kill(victim, signal.SIGKILL)

    def is_replaced() -> bool:
        now = named(descendants(server), "recsvc serve")
        return victim not in now and len(now) == 2

    assert wait_until(is_replaced, FOLLOW_SECONDS)
    assert wait_until(lambda: {demo.slate("c0001").status for _ in range(MANY)} == {200}, FOLLOW_SECONDS)


def test_recommendations_go_on_without_redis(demo: Demo) -> None:
    redis = named(descendants(demo.command.process.pid), "redis.sock")
    assert redis
    for pid in redis:
        os.kill(pid, signal.SIGKILL)
    for customer in demo.customers:
        for kind in ("content", "offers"):
            answer = demo.slate(customer, kind, "?limit=17")  # That no worker has in its memory.
            assert answer.json["items"]
            assert "cache;desc=bypass" in answer.headers["Server-Timing"]
    report = demo.ask("/readyz")
    assert report.status == 200
    assert (report.json["ready"], report.json["degraded"], report.json["redis"]) == (True, True, "down")


def test_without_redis_no_worker_offers_anybody_anything_once_too_often(demo: Demo) -> None:
    sample = demo.folder / "sample"
    titles = {"Holiday Shopping: double reward points"}  # Its terms: three in a day.
    (capped,) = (
        item["item_id"]
        for item in rows_of(sample / "items.jsonl")
        if item["kind"] == "offer" and item["title"]["en"] in titles
    )

    def is_offered(customer_id: str, limit: int) -> bool:
        items = demo.slate(customer_id, "offers", f"?limit={limit}").json["items"]
        return capped in {item["item_id"] for item in items}

    # From the end: the tests before this one asked for the first.
    customers = [customer["customer_id"] for customer in rows_of(sample / "customers.jsonl")][::-1]
    whom = next(customer_id for customer_id in customers[:60] if is_offered(customer_id, 50))
    again = [is_offered(whom, limit) for limit in range(51, 59)]  # Lists that nobody has ready.
    assert again == [True] * 2 + [False] * 6


def test_ctrl_c_ends_every_process_and_removes_every_folder(demo: Demo) -> None:
    family = demo.command.family()
    assert len(family) >= 4
    assert demo.command.end(signal.SIGINT) == 0
    assert family & parents().keys() == set()
    assert list(demo.temporary.iterdir()) == []
    assert not is_taken(demo.port)
    assert demo.command.err.endswith("stopping\n")
