"""What every keeper of identities does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.domain.exposures import Exposure
from recsvc.domain.identities import IdentityLink, Linked
from recsvc.domain.items import Channel
from recsvc.errors import ConflictError
from recsvc.experimentation.units import Units
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.exposures import SqlExposures
from recsvc.stores.identities import SqlIdentities
from recsvc.stores.memory_erasures import MemoryErasures
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities

Erasures = MemoryErasures | SqlErasures
Exposures = MemoryExposures | SqlExposures
Identities = MemoryIdentities | SqlIdentities

NOW = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)


def expose(exposures: Exposures, customer_id: str) -> None:
    exposures.record([Exposure("exp1", 1, customer_id, "a", NOW, Channel.WEB, "m1")])


def erase(erasures: Erasures, customer_id: str) -> int:
    later = NOW + timedelta(minutes=1)
    pending = erasures.begin(customer_id, receipt_id="r1", now=NOW, claimed_until=later, removed={})
    return erasures.receipt(pending.digest).removed["identities"]


def followed(identities: Identities) -> Units:
    units = Units(identities)
    units.refresh()
    return units


def test_who_was_never_linked_is_nobody_but_themselves(identities: Identities) -> None:
    assert (identities.canonical("c1"), identities.of_customer("c1")) == ("c1", ())
    assert identities.changes_after(0) is None


def test_a_link_comes_out_as_it_went_in_and_twice_is_the_same_answer(identities: Identities) -> None:
    link = IdentityLink("nameless", "c1", "nameless", NOW)
    assert identities.link("c1", "nameless", now=NOW) == Linked(link, created=True)
    assert identities.link("c1", "nameless", now=NOW + timedelta(days=1)) == Linked(link, created=False)
    assert (identities.canonical("nameless"), identities.of_customer("c1")) == ("c1", (link,))
    changes = identities.changes_after(0)
    assert changes is not None and changes.links == (link,)
    assert identities.changes_after(changes.sequence) is None


def test_who_met_nothing_under_their_own_id_is_dealt_by_the_nameless_one_they_came_with(
    identities: Identities, exposures: Exposures
) -> None:
    expose(exposures, "nameless")
    assert identities.link("c1", "nameless", now=NOW).link.unit == "nameless"
    expose(exposures, "c1")
    assert identities.link("c1", "other device", now=NOW).link.unit == "nameless"


def test_who_met_something_under_their_own_id_goes_on_being_dealt_by_it(
    identities: Identities, exposures: Exposures
) -> None:
    expose(exposures, "nameless")
    expose(exposures, "c1")
    assert identities.link("c1", "nameless", now=NOW).link.unit == "c1"


def test_an_identity_of_somebody_else_is_refused_and_nothing_changes(identities: Identities) -> None:
    identities.link("c1", "nameless", now=NOW)
    before = identities.changes_after(0)
    with pytest.raises(ConflictError, match="belongs to another customer"):
        identities.link("c2", "nameless", now=NOW)
    for name in ("c1", "nameless"):
        with pytest.raises(ConflictError, match="the customer's own id"):
            identities.link(name, "c1", now=NOW)
    assert identities.changes_after(0) == before


def test_a_chain_leads_to_one_customer_whichever_end_was_linked_first(identities: Identities) -> None:
    identities.link("b", "a", now=NOW)
    identities.link("c", "b", now=NOW)
    identities.link("y", "z", now=NOW)
    assert identities.link("z", "x", now=NOW).link.customer_id == "y"
    assert [identities.canonical(name) for name in "abcxyz"] == ["c", "c", "c", "y", "y", "y"]
    assert {link.unit for link in identities.of_customer("c")} == {"a"}
    assert [link.identity_id for link in identities.of_customer("c")] == ["a", "b"]
    units = followed(identities)
    assert [units.unit_of(name) for name in "abcxyz"] == ["a", "a", "a", "z", "z", "z"]
    assert [units.canonical_of(name) for name in "abcxyz"] == ["c", "c", "c", "y", "y", "y"]


def test_whoever_follows_learns_that_a_chain_grew(identities: Identities) -> None:
    units = Units(identities)
    for owner, identity in (("b", "a"), ("c", "b")):
        identities.link(owner, identity, now=NOW)
        units.refresh()
    assert [(units.canonical_of(name), units.unit_of(name)) for name in "abc"] == [("c", "a")] * 3


def test_whoever_follows_knows_what_was_linked_and_removed_since(
    identities: Identities, erasures: Erasures
) -> None:
    units = Units(identities)
    for number in range(3):
        identities.link("c1", f"n{number}", now=NOW)
        identities.link("c2", f"m{number}", now=NOW)
        units.refresh()
        assert units.canonical_of(f"n{number}") == "c1"
    assert erase(erasures, "c1") == 3
    identities.link("c2", "m3", now=NOW)
    units.refresh()
    assert (units.canonical_of("n1"), units.unit_of("c1")) == ("n1", "c1")
    assert (units.canonical_of("m3"), units.unit_of("m3")) == ("c2", "m0")


def test_whoever_follows_misses_no_link_that_comes_after_a_removal(
    identities: Identities, erasures: Erasures
) -> None:
    """The last number is not given again when the last link is gone."""
    identities.link("c1", "nameless", now=NOW)
    units = followed(identities)
    erase(erasures, "c1")
    identities.link("c2", "nameless", now=NOW)
    units.refresh()
    assert units.canonical_of("nameless") == "c2"


def test_an_erasure_of_an_id_leaves_no_trace_of_it_in_links_of_others(
    identities: Identities, erasures: Erasures
) -> None:
    for name in ("first", "second"):
        identities.link("c1", name, now=NOW)
    assert erase(erasures, "first") == 1
    assert identities.of_customer("c1") == (IdentityLink("second", "c1", "c1", NOW),)
    assert followed(identities).unit_of("c1") == "c1"
    assert erase(erasures, "nobody") == 0


def test_of_several_customers_who_claim_an_identity_at_once_one_gets_it(identities: Identities) -> None:
    def link(number: int) -> bool:
        try:
            return identities.link(f"c{number}", "nameless", now=NOW).created
        except ConflictError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(link, range(8))) == 1


def test_identities_linked_at_once_all_get_one_unit(identities: Identities) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: identities.link("c1", f"n{number}", now=NOW), range(8)))
    links = identities.of_customer("c1")
    assert (len(links), len({link.unit for link in links})) == (8, 1)
    assert followed(identities).unit_of("c1") == links[0].unit
