"""Many clients ask for offers at once, over a few workers: scripts/stress_offer_caps in short."""

from __future__ import annotations

import itertools
from pathlib import Path

from benchmarks.capping import CAPPED, FATIGUE, FEW, FUNDED, LIMITS, Granted, judge, run


def test_nobody_is_met_once_too_often_nothing_is_spent_twice_and_what_was_not_shown_comes_back(
    tmp_path: Path,
) -> None:
    report = run(f"sqlite:///{tmp_path}/store.sqlite3", processes=2, threads=8, calls=8)
    assert report.calls == 128
    assert report.holds, report


def test_one_contact_too_many_is_found_out() -> None:
    customers = itertools.count()

    def many(offer_id: str, n: int) -> list[Granted]:
        return [Granted(next(customers), offer_id) for _ in range(n)]

    def over(*granted: Granted) -> tuple[str, ...]:
        return judge(list(granted), 1, 1.0, returned=True).over

    assert over(*[Granted(1, CAPPED)] * LIMITS[CAPPED]) == ()
    assert over(*[Granted(1, CAPPED)] * (LIMITS[CAPPED] + 1)) == (CAPPED,)
    assert over(*[Granted(1, FUNDED)] * (FATIGUE + 1)) == ("calm",)
    assert over(*many(FUNDED, LIMITS[FUNDED]), *many(FEW, LIMITS[FEW])) == ()
    assert over(*many(FUNDED, LIMITS[FUNDED] + 1)) == (FUNDED,)
    assert over(*many(FEW, LIMITS[FEW] + 1)) == (FEW,)
