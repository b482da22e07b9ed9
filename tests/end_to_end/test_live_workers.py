"""What one worker acknowledged is live in all of them: scripts/stress_live in short, over the small bank."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.live_workers import Service, run_rounds
from recsvc.sample_bank import SampleBank
from tests.end_to_end.conftest import Installation, Serve
from tests.end_to_end.service import ask, wait_until


def test_all_workers_score_alike_soon_after_an_event_without_redis_and_after_a_restart(
    serve: Serve, small_installation: Installation, bank_in_small: SampleBank
) -> None:
    command, port = serve("--workers", 2, **small_installation.places)
    assert wait_until(lambda: ask(port, "/readyz").status == 200, 60), command.err
    customers = [customer.customer_id for customer in bank_in_small.customers[:3]]
    service = Service(port, small_installation.key, customers, command.process.pid)
    found = run_rounds(service, n_rounds=2, n_asked=8)
    assert found.n_watched > 10 and found.n_moved > 0
    assert found.is_kept, found
    before = [service.scores(each) for each in customers]
    assert command.end() == 0
    command, port = serve("--workers", 1, **small_installation.places)
    assert wait_until(lambda: ask(port, "/readyz").status == 200, 60), command.err
    anew = replace(service, port=port, pid=command.process.pid)
    assert [anew.scores(each) for each in customers] == before
