"""What every store of merchandising rules does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.merchandising import MerchandisingRule, RuleAction
from recsvc.errors import PreconditionFailedError, PreconditionRequiredError, StoreError, TooManyRulesError
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.database import Database
from recsvc.stores.memory import MemoryCatalogue
from recsvc.stores.memory_merchandising import MemoryMerchandising
from recsvc.stores.merchandising import SqlMerchandising

Catalogue = MemoryCatalogue | SqlCatalogue
Merchandising = MemoryMerchandising | SqlMerchandising

START = datetime(2026, 11, 27, 0, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
RULE = MerchandisingRule("r1", RuleAction.BLOCK, START, START + timedelta(days=3), item_id="a")
EVERYTHING = MerchandisingRule(
    rule_id="-9223372036854775808",
    action=RuleAction.BOOST,
    starts_at=START,
    ends_at=START.astimezone(UTC) + timedelta(days=3),
    category="Sparen & “Zinsen” 储蓄",
    kind=ItemKind.OFFER,
    channels=(Channel.WEB, Channel.CALL_CENTRE),
    placements=("home", "basket"),
    factor=3.3,
    note="The rate's week",
)


@pytest.fixture
def merchandising(database: Database | None, catalogue: Catalogue) -> Merchandising:
    if isinstance(catalogue, MemoryCatalogue):
        return MemoryMerchandising(catalogue)
    assert database is not None
    return SqlMerchandising(database)


def test_without_rules_there_are_none(merchandising: Merchandising) -> None:
    assert (merchandising.rules(), merchandising.get("r1")) == ((), None)
    assert not merchandising.delete("r1", expected=None)


@pytest.mark.parametrize("action", list(RuleAction))
def test_a_rule_comes_out_as_it_went_in(merchandising: Merchandising, action: RuleAction) -> None:
    """Of a rule that left something open too: what was filled in is kept."""
    plain = MerchandisingRule("r2", action, START, START + timedelta(days=1), item_id="a")
    for rule in (EVERYTHING, plain):
        written = merchandising.put(rule, expected=None, now=START)
        found = merchandising.get(rule.rule_id)
        assert found is not None
        assert (found.value, found.etag, written.created) == (rule, written.etag, True)
    assert merchandising.rules() == (EVERYTHING, plain)


def test_rules_come_in_the_order_of_their_ids_byte_by_byte(merchandising: Merchandising) -> None:
    ids = ["b", "B", "a", "A", "_", "-1", "10", "9", "a.b", "a:b"]
    for rule_id in ids:
        merchandising.put(replace(RULE, rule_id=rule_id), expected=None, now=START)
    assert [rule.rule_id for rule in merchandising.rules()] == sorted(ids)


def test_every_change_of_a_rule_moves_the_catalogues_revision(
    merchandising: Merchandising, catalogue: Catalogue
) -> None:
    catalogue.put_many([Item("a")])
    first = merchandising.put(RULE, expected=None, now=START)
    assert catalogue.revision() == 2
    second = merchandising.put(replace(RULE, note="again"), expected=first.etag, now=START)
    assert (second.created, catalogue.revision()) == (False, 3)
    assert merchandising.delete("r1", expected=second.etag)
    assert (merchandising.rules(), catalogue.revision()) == ((), 4)
    assert catalogue.items() == (Item("a"),)


def test_what_changes_nothing_does_not_move_the_revision(
    merchandising: Merchandising, catalogue: Catalogue
) -> None:
    merchandising.put(RULE, expected=None, now=START)
    with pytest.raises(PreconditionRequiredError):
        merchandising.put(replace(RULE, note="new"), expected=None, now=START)
    with pytest.raises(PreconditionRequiredError):
        merchandising.delete("r1", expected=None)
    for expected in ("", "nonsense", "*x"):
        with pytest.raises(PreconditionFailedError):
            merchandising.put(replace(RULE, note="new"), expected=expected, now=START)
        with pytest.raises(PreconditionFailedError):
            merchandising.delete("r1", expected=expected)
    assert not merchandising.delete("r2", expected="*")
    assert (merchandising.rules(), catalogue.revision()) == ((RULE,), 1)


def test_a_rule_that_is_not_there_cannot_be_replaced(merchandising: Merchandising) -> None:
    with pytest.raises(PreconditionFailedError):
        merchandising.put(RULE, expected="*", now=START)
    first = merchandising.put(RULE, expected=None, now=START)
    assert merchandising.delete("r1", expected="*")
    with pytest.raises(PreconditionFailedError):
        merchandising.put(RULE, expected=first.etag, now=START)
    assert merchandising.put(RULE, expected=None, now=START).created


def test_of_several_who_replace_one_version_at_once_one_does(
    merchandising: Merchandising, catalogue: Catalogue
) -> None:
    first = merchandising.put(RULE, expected=None, now=START)

    def put(number: int) -> bool:
        try:
            merchandising.put(replace(RULE, note=str(number)), expected=first.etag, now=START)
        except PreconditionFailedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(8))) == 1
    assert catalogue.revision() == 2


def test_changes_of_items_and_rules_at_once_each_move_the_revision(
    merchandising: Merchandising, catalogue: Catalogue
) -> None:
    def change(number: int) -> None:
        catalogue.put_many([Item("shared")])
        merchandising.put(replace(RULE, rule_id=f"r{number}"), expected=None, now=START)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(12)))
    assert catalogue.revision() == 24


def test_at_most_so_many_rules_stand_that_have_not_ended(
    merchandising: Merchandising, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsvc.domain.merchandising.MAX_OPEN_RULES", 3)
    ended = replace(RULE, rule_id="ended", starts_at=START - timedelta(days=1), ends_at=START)
    to_come = replace(RULE, rule_id="to-come", starts_at=START + timedelta(days=1))
    for rule in (ended, to_come, RULE, replace(RULE, rule_id="r2")):
        merchandising.put(rule, expected=None, now=START)
    one_more, revision = replace(RULE, rule_id="r3"), catalogue.revision()
    for rule, expected in ((one_more, None), (replace(RULE, rule_id="ended"), "*")):
        with pytest.raises(TooManyRulesError, match=r"^3 rules have not ended yet, .* delete one"):
            merchandising.put(rule, expected=expected, now=START)
    assert (merchandising.get("r3"), catalogue.revision()) == (None, revision)
    merchandising.put(replace(RULE, note="replaced"), expected="*", now=START)
    merchandising.put(replace(ended, rule_id="ended-too"), expected=None, now=START)
    assert merchandising.put(one_more, expected=None, now=RULE.ends_at).created
    assert all(merchandising.delete(rule_id, expected="*") for rule_id in ("r2", "r3"))
    assert merchandising.put(replace(RULE, rule_id="r4"), expected=None, now=START).created


def test_what_json_cannot_hold_is_refused_and_changes_nothing(
    merchandising: Merchandising, catalogue: Catalogue
) -> None:
    with pytest.raises(StoreError, match="rule r1 cannot be stored"):
        merchandising.put(replace(RULE, note="\ud800"), expected=None, now=START)
    assert (merchandising.rules(), catalogue.revision()) == ((), 0)
