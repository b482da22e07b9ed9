"""What every store of exposures does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from recsvc.domain.exposures import Exposure
from recsvc.domain.items import Channel
from recsvc.stores.database import Database
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.exposures import SqlExposures
from recsvc.stores.memory_erasures import MemoryErasures
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.tables import exposures as exposures_table
from recsvc.stores.tombstones import SqlTombstones

Erasures = MemoryErasures | SqlErasures
Exposures = MemoryExposures | SqlExposures

NOW = datetime(2026, 11, 27, 9, 0, 0, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def an_exposure(customer_id: str = "c1", variant: str = "a", *, phase: int = 1, minute: int = 0) -> Exposure:
    return Exposure("reading", phase, customer_id, variant, NOW + minute * MINUTE, Channel.WEB, "v1")


def erase(erasures: Erasures, customer_id: str, *, minute: int = 0) -> int:
    """Forget the customer; how many exposures there were."""
    moment = NOW + minute * MINUTE
    pending = erasures.begin(
        customer_id, receipt_id="r", now=moment, claimed_until=moment + MINUTE, removed={}
    )
    return erasures.receipt(pending.digest).removed["exposures"]


def test_without_any_there_are_none(exposures: Exposures) -> None:
    exposures.record([])
    assert (exposures.of_customer("c1"), list(exposures.of_phase("reading", 1))) == ((), [])


def test_an_exposure_comes_out_as_it_went_in(exposures: Exposures) -> None:
    moment = NOW.astimezone(timezone(timedelta(hours=8)))
    everything = Exposure("-x.:1", 7, "-9", "储蓄", moment, Channel.CALL_CENTRE, None, 5, 4, 3, 2**40)
    exposures.record([everything])
    assert exposures.of_customer("-9") == (everything,)
    assert exposures.of_customer("-9")[0].exposed_at.utcoffset() == timedelta(0)


def test_whoever_is_met_again_has_one_exposure_with_all_answers(exposures: Exposures) -> None:
    first = replace(an_exposure(), n_answers=2, n_fallbacks=1, latency_micros=300)
    again = replace(an_exposure(minute=1), channel=Channel.MOBILE, model_version="v2", n_mismatched=1)
    exposures.record([first])
    exposures.record([again])
    whole = replace(first, n_answers=3, n_fallbacks=1, n_mismatched=1, latency_micros=300)
    assert exposures.of_customer("c1") == (whole,)


@pytest.mark.parametrize("at_once", [True, False])
def test_the_earliest_moment_stays_whatever_comes_first(exposures: Exposures, at_once: bool) -> None:
    late = replace(an_exposure(minute=1), channel=Channel.MOBILE, model_version="v2")
    early = an_exposure(minute=0)
    for batch in [[late, early]] if at_once else [[late], [early]]:
        exposures.record(batch)
    assert exposures.of_customer("c1") == (replace(early, n_answers=2),)


def test_another_variant_phase_or_customer_is_another_exposure(exposures: Exposures) -> None:
    met = [an_exposure(), an_exposure(variant="b"), an_exposure(phase=2), an_exposure("c2")]
    exposures.record(met[::-1])
    assert exposures.of_customer("c1") == (met[0], met[1], met[2])
    assert list(exposures.of_phase("reading", 1)) == [met[0], met[1], met[3]]


def test_of_two_who_write_at_once_every_answer_is_counted(exposures: Exposures) -> None:
    names = [f"c{number}" for number in range(60)]

    def write(worker: int) -> None:
        ordered = names if worker % 2 else names[::-1]
        for minute in range(5):
            exposures.record([an_exposure(name, minute=worker + minute) for name in ordered])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    rows = list(exposures.of_phase("reading", 1))
    assert {one.customer_id for one in rows} == set(names) and len(rows) == len(names)
    assert {(one.n_answers, one.exposed_at) for one in rows} == {(20, NOW)}


def test_an_erasure_takes_the_exposures_of_the_customer_and_of_nobody_else(
    exposures: Exposures, erasures: Erasures
) -> None:
    exposures.record([an_exposure(minute=-1), an_exposure(variant="b", minute=-1), an_exposure("c2")])
    assert erase(erasures, "c1") == 2
    assert exposures.of_customer("c1") == ()
    assert len(exposures.of_customer("c2")) == 1


def test_an_exposure_from_before_the_erasure_that_comes_after_it_is_not_kept(
    exposures: Exposures, erasures: Erasures
) -> None:
    erase(erasures, "c1")
    exposures.record([an_exposure(minute=-1), an_exposure(variant="b"), an_exposure("c2", minute=-1)])
    assert exposures.of_customer("c1") == ()
    assert len(exposures.of_customer("c2")) == 1
    exposures.record([an_exposure(minute=1)])
    assert exposures.of_customer("c1") == (an_exposure(minute=1),)


def test_who_comes_back_and_meets_a_variant_can_be_erased_again(
    exposures: Exposures, erasures: Erasures
) -> None:
    erase(erasures, "c1")
    exposures.record([an_exposure(minute=1)])
    assert erase(erasures, "c1", minute=2) == 1
    assert exposures.of_customer("c1") == ()


def test_exposures_that_are_stored_while_the_customer_is_erased_do_not_outlive_it(
    exposures: Exposures, erasures: Erasures
) -> None:
    def send(number: int) -> None:
        exposures.record([an_exposure("c1", f"v{number}-{n}", minute=-1) for n in range(20)])

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, number) for number in range(20)]
        erase(erasures, "c1")
        for one in sent:
            one.result()
    assert exposures.of_customer("c1") == ()


def test_an_erasure_waits_for_exposures_that_are_just_being_stored_and_takes_them_too(
    database: Database | None, exposures: Exposures, erasures: Erasures
) -> None:
    if database is None:
        pytest.skip("memory stores one batch at a time")
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as connection:
            SqlTombstones(database).erased_before(connection, exposures_table, {"c1"})
            erasing = pool.submit(erase, erasures, "c1")
            assert not wait([erasing], timeout=0.3).done
            connection.execute(
                exposures_table.insert().values(
                    experiment="reading",
                    phase=1,
                    customer_id="c1",
                    variant="a",
                    exposed_at=0,
                    channel="web",
                    n_answers=1,
                    n_fallbacks=0,
                    n_mismatched=0,
                    latency_micros=0,
                )
            )
        assert erasing.result() == 1
    assert exposures.of_customer("c1") == ()
