"""Many clients ask a service for offers while Redis fails: scripts/stress_offer_caps --service in short."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.capping_service import Trial, write_policy
from benchmarks.contact_limits import CALM, CAPPED, DAILY, FEW, FUNDED, LIMITS, PACED, Contact, judge
from benchmarks.faults import FAULTS, Fault
from benchmarks.faulty_redis import FaultyRedis
from tests.end_to_end.conftest import Serve

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DUE = 3


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.name in ("killed", "stopped")])
def test_caps_and_budgets_hold_over_workers_while_redis_is_away(
    serve: Serve, tmp_path: Path, fault: Fault
) -> None:
    if shutil.which("redis-server") is None and shutil.which("valkey-server") is None:
        pytest.skip("no redis-server and no valkey-server on PATH")
    write_policy(tmp_path / "policy.toml")
    places = {
        "RECSVC_POLICY_FILE": str(tmp_path / "policy.toml"),
        "RECSVC_DATA_DIR": str(tmp_path / "data"),
        "RECSVC_MODELS_DIR": str(tmp_path / "models"),
    }
    with FaultyRedis(tmp_path / "redis.log") as redis:
        _, port = serve("--workers", 2, **places, RECSVC_AUTH="off", REDIS_URL=redis.url)
        report = Trial(port).run(
            clients=16, seconds=4.5, fault=lambda: fault.do(redis), mend=lambda: fault.mend(redis)
        )
    assert report.over == () and report.others == {} and report.returned, report
    assert report.shown and not {CAPPED, FEW} & set(report.unused), report


def contacts(*offer_ids: str, customer_id: str | None = None, shown: bool = False) -> list[Contact]:
    """One after another, held for a minute or for good; of a customer each, or all of one."""
    return [
        Contact(
            customer_id or f"c{number}",
            offer_id,
            NOW + timedelta(seconds=number),
            None if shown else NOW + timedelta(seconds=number + 60),
        )
        for number, offer_id in enumerate(offer_ids)
    ]


def broken(found: list[Contact]) -> tuple[str, ...]:
    return judge(found, lambda at: DUE)[0]


@pytest.mark.parametrize("offer_id", [FUNDED, DAILY, FEW, PACED])
def test_one_contact_too_many_of_what_all_share_is_found_out(offer_id: str) -> None:
    limit = LIMITS.get(offer_id, DUE)
    assert broken(contacts(*[offer_id] * limit)) == ()
    assert broken(contacts(*[offer_id] * (limit + 1))) == (offer_id,)


def test_one_contact_too_many_of_a_customer_is_found_out() -> None:
    assert broken(contacts(CAPPED, CAPPED, customer_id="c1")) == ()
    assert broken(contacts(CAPPED, CAPPED, CAPPED, customer_id="c1")) == (CAPPED,)
    assert LIMITS[CALM] == 4
    assert broken(contacts(CAPPED, CAPPED, FEW, FUNDED, customer_id="c1")) == ()
    assert broken(contacts(CAPPED, CAPPED, FEW, FUNDED, FUNDED, customer_id="c1")) == (CALM,)


def test_what_came_back_is_no_contact_and_what_was_shown_is_one_for_good() -> None:
    first = contacts(*[FEW] * LIMITS[FEW])
    later = Contact("c99", FEW, NOW + timedelta(hours=1), None)
    assert broken([*first, later]) == ()
    shown = contacts(*[FEW] * LIMITS[FEW], shown=True)
    assert broken([*shown, later]) == (FEW,)
