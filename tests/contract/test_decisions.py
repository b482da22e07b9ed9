"""The decision log: what was kept is whole, and whatever is changed in it is found and named."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import delete, select, update

from recsvc.domain.conditions import FieldKind, FieldType
from recsvc.domain.decision_chain import EMPTY, Break, ChainCheck, Entry, Head, erasure, head_after, link
from recsvc.domain.decisions import Decision, Gate, Grounds, Judged, make_grounds
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.errors import NotFoundError, StoreError
from recsvc.policy_offers import OffersPolicy
from recsvc.stores.database import Database
from recsvc.stores.decisions import _NEXT_PAGE, SqlDecisions, at_erasure, unpack_grounds
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.offer_tables import decision_grounds, decisions, decisions_head
from tests.offer_ledgers import a_ledger, enter

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
FIELDS = {"attributes.age": FieldType(FieldKind.NUMBER)}
N = 12


def some_grounds(policy: OffersPolicy) -> Grounds:
    return make_grounds((Item("loan", ItemKind.OFFER),), policy, FIELDS)


GROUNDS = some_grounds(OffersPolicy())


def a_decision(number: int, customer_id: str = "c1", grounds: Grounds = GROUNDS) -> Decision:
    return Decision(
        decision_id=f"s{number}",
        customer_id=customer_id,
        decided_at=NOW + timedelta(seconds=number),
        channel=Channel.WEB,
        placement="home",
        locale="en",
        profile_version=None,
        policy_version="p1",
        model_version=None,
        experiment=None,
        variant=None,
        seed=7,
        judged=Judged(("loan",), (1,), (Gate.SUITABILITY,), ({"risk_class": 5, "max_risk_class": None},)),
        chosen=(),
        facts='{"now":"then"}',
        body_digest="00",
        grounds=grounds.digest,
    )


@pytest.fixture
def store(database: Database | None) -> Database:
    if database is None:
        pytest.skip("only a real store keeps decisions")
    return database


@pytest.fixture
def log(store: Database) -> SqlDecisions:
    return SqlDecisions(store)


@pytest.fixture
def full(store: Database, log: SqlDecisions) -> SqlDecisions:
    for number in range(1, N + 1):
        enter(store, a_decision(number, f"c{number % 3}"), GROUNDS)
    return log


def erase(store: Database, customer_id: str) -> None:
    erasures = SqlErasures(store, tokens=lambda n: "ab" * n)
    erasures.begin(customer_id, receipt_id="r1", now=NOW, claimed_until=NOW, removed={})


def broken(log: SqlDecisions) -> Break | None:
    return next((one for one, _ in log.verified() if isinstance(one, Break)), None)


def test_a_decision_comes_out_as_it_went_in_with_what_it_stood_on(store: Database, log: SqlDecisions) -> None:
    enter(store, a_decision(1), GROUNDS)
    assert log.get("s1") == a_decision(1)
    assert log.grounds(GROUNDS.digest) == GROUNDS
    assert broken(log) is None


def test_what_was_never_decided_is_not_found(log: SqlDecisions) -> None:
    with pytest.raises(NotFoundError, match="s9"):
        log.get("s9")
    assert broken(log) is None, "an empty log is whole"


def test_no_decision_is_kept_twice(store: Database, full: SqlDecisions) -> None:
    with pytest.raises(StoreError, match="s3"):
        enter(store, a_decision(3), GROUNDS)
    assert broken(full) is None


def test_a_customers_decisions_come_latest_first_and_page_by_page(full: SqlDecisions) -> None:
    first = full.of_customer("c1", limit=2)
    assert [decision.decision_id for _, decision in first] == ["s10", "s7"]
    rest = full.of_customer("c1", before=first[-1][0], limit=10)
    assert [decision.decision_id for _, decision in rest] == ["s4", "s1"]


def test_many_writers_make_one_chain(store: Database, log: SqlDecisions) -> None:
    until = NOW + timedelta(hours=1)
    with a_ledger(store) as one, a_ledger(store) as other, ThreadPoolExecutor(8) as pool:
        ledgers = (one, other)
        found = pool.map(
            lambda n: ledgers[n % 2].enter(a_decision(n), GROUNDS, (), until=until), range(1, 41)
        )
        assert list(found) == [{}] * 40
    assert broken(log) is None
    assert [entry.sequence for entry, _ in log.verified() if not isinstance(entry, Break)] == [*range(1, 41)]


Change = Callable[[Database], None]


def flipped(column: str) -> Change:
    def change(store: Database) -> None:
        place = decisions.c.sequence == 6
        with store.writing() as connection:
            was = connection.execute(select(decisions.c[column]).where(place)).scalar_one()
            if isinstance(was, int):
                now: object = 60
            elif isinstance(was, str):
                now = was + "x"
            else:
                now = bytes(was[:-1]) + bytes([was[-1] ^ 1])
            connection.execute(update(decisions).where(place).values({column: now}))

    return change


@pytest.mark.parametrize(
    "column", ["decision_id", "customer_id", "body", "personal", "salt", "commitment", "hash"]
)
def test_a_byte_that_is_changed_in_any_column_is_found_where_it_is(
    store: Database, full: SqlDecisions, column: str
) -> None:
    flipped(column)(store)
    found = broken(full)
    assert found is not None and found.sequence == 6 and "changed" in found.what


@pytest.mark.parametrize("gone", [1, 6])
def test_an_entry_that_was_taken_out_is_missed(store: Database, full: SqlDecisions, gone: int) -> None:
    with store.writing() as connection:
        connection.execute(delete(decisions).where(decisions.c.sequence == gone))
    assert broken(full) == Break(gone, None, "missing")


def test_an_end_that_was_cut_off_is_missed(store: Database, full: SqlDecisions) -> None:
    with store.writing() as connection:
        connection.execute(delete(decisions).where(decisions.c.sequence >= 11))
    found = broken(full)
    assert found is not None and found.sequence == 11 and "cut off" in found.what


def test_entries_that_changed_places_are_found(store: Database, full: SqlDecisions) -> None:
    with store.writing() as connection:
        for was, now in ((6, 99), (7, 6), (99, 7)):
            connection.execute(update(decisions).where(decisions.c.sequence == was).values(sequence=now))
    found = broken(full)
    assert found is not None and (found.sequence, found.decision_id) == (6, "s7")


def test_a_head_that_was_put_back_does_not_hide_an_end(store: Database, full: SqlDecisions) -> None:
    with store.writing() as connection:
        connection.execute(update(decisions_head).values(hash=bytes(32)))
    found = broken(full)
    assert found is not None and found.sequence == N


def test_without_a_head_nothing_is_entered_nor_found_sound(store: Database, full: SqlDecisions) -> None:
    with store.writing() as connection:
        connection.execute(update(decisions_head).values(id=2))
    with pytest.raises(StoreError, match="has no head"):
        enter(store, a_decision(N + 1), GROUNDS)
    with pytest.raises(StoreError, match="has no head"):
        broken(full)


def test_offers_that_were_changed_afterwards_are_found(store: Database, full: SqlDecisions) -> None:
    other = some_grounds(OffersPolicy(exploration=0.1))
    enter(store, a_decision(N + 1, grounds=other), other)
    assert broken(full) is None
    with store.writing() as connection:
        place = decision_grounds.c.digest == other.digest
        was = connection.execute(select(decision_grounds.c.document).where(place)).scalar_one()
        connection.execute(update(decision_grounds).where(place).values(document=bytes(was[:-1]) + b"\x00"))
    found = broken(full)
    assert found is not None and (found.sequence, found.decision_id) == (N + 1, f"s{N + 1}")


def test_an_erasure_takes_the_customer_out_of_the_log_and_leaves_it_whole(
    store: Database, full: SqlDecisions
) -> None:
    erasures = SqlErasures(store, tokens=lambda n: "ab" * n)
    receipt = erasures.begin("c1", receipt_id="r1", now=NOW, claimed_until=NOW, removed={})
    assert erasures.receipt(receipt.digest).removed["decisions"] == 4
    assert broken(full) is None
    assert full.of_customer("c1") == []
    left = {"customer_id": "", "facts": "", "seed": None, "body_digest": ""}
    judged = msgspec.structs.replace(a_decision(4).judged, compared=())
    assert full.get("s4") == replace(a_decision(4), judged=judged, **left)
    assert full.get("s5").customer_id == "c2"


def test_what_is_taken_away_without_an_erasure_is_found(store: Database, full: SqlDecisions) -> None:
    erase(store, "c1")
    with store.writing() as connection:
        nothing = {"customer_id": None, "personal": None, "salt": None}
        connection.execute(update(decisions).where(decisions.c.sequence == 6).values(nothing))
    found = broken(full)
    assert found is not None and (found.sequence, found.decision_id) == (6, "s6")
    assert "no erasure" in found.what


def test_an_erasure_that_was_undone_is_found(store: Database, full: SqlDecisions) -> None:
    with store.reading() as connection:
        was = connection.execute(select(decisions).where(decisions.c.sequence == 7)).one()
    erase(store, "c1")
    with store.writing() as connection:
        back = {"customer_id": was.customer_id, "personal": was.personal, "salt": was.salt}
        connection.execute(update(decisions).where(decisions.c.sequence == 7).values(back))
    found = broken(full)
    assert found is not None and found.sequence == N + 1 and "undone: entry 7" in found.what


def test_a_forged_erasure_that_cannot_be_read_is_a_break() -> None:
    for body in (b"", b"no numbers", zlib.compress(b'["s1"]')):
        forged = link(replace(erasure((1,), EMPTY), body=body), EMPTY)
        found = ChainCheck(head_after(forged)).follow(forged)
        assert found is not None and "no erasure that can be read" in found.what


def test_an_erasure_is_an_entry_and_no_decision(store: Database, full: SqlDecisions) -> None:
    erase(store, "c1")
    *_, (last, _) = full.verified()
    assert isinstance(last, Entry) and last.is_erasure and last.sequence == N + 1
    with pytest.raises(NotFoundError):
        full.get(last.decision_id)
    erase(store, "nobody-we-know")
    assert len([*full.verified()]) == N + 1, "an erasure that took nothing away is none of the log"


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log is read in several looks, so that something can come between."""
    monkeypatch.setattr("recsvc.stores.decisions._PAGE", 4)
    monkeypatch.setattr("recsvc.stores.decisions._NEXT_PAGE", _NEXT_PAGE.limit(4))


@pytest.mark.usefixtures("short_pages")
def test_an_erasure_while_the_log_is_read_is_no_break(store: Database, full: SqlDecisions) -> None:
    reading = full.verified()
    assert isinstance(next(reading)[0], Entry)
    erase(store, "c1")  # s1 and s4 were read before, s7 and s10 come after.
    rest = [one for one, _ in reading]
    assert not any(isinstance(one, Break) for one in rest) and len(rest) == N - 1
    assert broken(full) is None


@pytest.mark.usefixtures("short_pages")
def test_an_erasure_of_what_came_while_the_log_was_read_is_no_break(
    store: Database, full: SqlDecisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = full.verified()
    next(reading)
    erase(store, "c1")
    enter(store, a_decision(N + 1, "new"), GROUNDS)
    head_of = full._head

    def then_erase() -> Head:
        head = head_of()
        erase(store, "new")
        return head

    monkeypatch.setattr(full, "_head", then_erase)
    assert not any(isinstance(one, Break) for one, _ in reading)


def test_decisions_and_erasures_at_once_make_one_chain(store: Database, log: SqlDecisions) -> None:
    until = NOW + timedelta(hours=1)
    with a_ledger(store) as ledger, ThreadPoolExecutor(8) as pool:

        def work(number: int) -> None:
            decision = replace(a_decision(number, f"c{number % 4}"), decided_at=NOW + timedelta(hours=1))
            assert ledger.enter(decision, GROUNDS, (), until=until) == {}
            if number % 5 == 0:
                erase(store, f"c{number % 4}")

        assert list(pool.map(work, range(1, 41))) == [None] * 40
    assert broken(log) is None
    # One that comes after another of the same customer may have found nothing to take away.
    assert 4 <= sum(isinstance(one, Entry) and one.is_erasure for one, _ in log.verified()) <= 8


def test_where_the_law_asks_for_it_an_erasure_leaves_decisions_alone(
    store: Database, full: SqlDecisions
) -> None:
    erasures = SqlErasures(store, tokens=lambda n: "ab" * n, of_decisions=at_erasure("keep"))
    erasures.begin("c1", receipt_id="r1", now=NOW, claimed_until=NOW, removed={})
    assert len(full.of_customer("c1")) == 4


def test_a_decision_that_comes_after_its_customer_was_erased_is_not_kept(
    store: Database, full: SqlDecisions
) -> None:
    erasures = SqlErasures(store, tokens=lambda n: "ab" * n)
    erasures.begin("c1", receipt_id="r1", now=NOW + timedelta(hours=1), claimed_until=NOW, removed={})
    with pytest.raises(StoreError, match="erased"):
        enter(store, a_decision(50), GROUNDS)
    assert full.of_customer("c1") == [] and broken(full) is None
    later = replace(a_decision(51), decided_at=NOW + timedelta(hours=2))
    enter(store, later, GROUNDS)
    assert [decision for _, decision in full.of_customer("c1")] == [later]


def test_no_bit_of_the_offers_can_be_changed_unseen(store: Database, log: SqlDecisions) -> None:
    enter(store, a_decision(1), GROUNDS)
    place = decision_grounds.c.digest == GROUNDS.digest
    with store.reading() as connection:
        was = bytes(connection.execute(select(decision_grounds.c.document).where(place)).scalar_one())
    unseen = []
    for number in range(8 * len(was)):
        changed = bytearray(was)
        changed[number // 8] ^= 1 << number % 8
        if unpack_grounds(GROUNDS.digest, bytes(changed)) is not None:
            unseen.append(number)
    assert unseen == []
