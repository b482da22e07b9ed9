"""By which id a customer is dealt, in every process, from the moment of the login."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from recsvc.domain.identities import IdentityChanges
from recsvc.errors import StoreError
from recsvc.experimentation.desks import IdentityDesk
from recsvc.experimentation.units import Units
from recsvc.stores.epoch_table import MemoryEpochTable
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Identities(MemoryIdentities):
    """Identities in a store that fails while it is told to, and counts who asks."""

    is_down = False
    n_asked = 0

    def changes_after(self, sequence: int) -> IdentityChanges | None:
        self.n_asked += 1
        if self.is_down:
            raise StoreError("the store is away")
        return super().changes_after(sequence)


def test_the_first_answer_after_a_login_is_dealt_by_the_nameless_id_in_every_process() -> None:
    identities, stamps = Identities(MemoryExposures()), MemoryEpochTable(rng=random.Random(1))
    here, there = Units(identities, stamps), Units(identities, stamps)
    desk = IdentityDesk(identities, here, clock=lambda: NOW)
    assert there.unit_of("c1") == "c1"
    desk.link("c1", "nameless")
    assert (here.unit_of("c1"), there.unit_of("c1")) == ("nameless", "nameless")
    asked = identities.n_asked
    assert [there.unit_of("c1") for _ in range(3)] == ["nameless"] * 3
    assert identities.n_asked == asked, "nothing moved, so nobody was asked"


def test_a_store_that_fails_after_a_login_is_asked_once_and_followed_later() -> None:
    identities, stamps = Identities(MemoryExposures()), MemoryEpochTable(rng=random.Random(1))
    here, there = Units(identities, stamps), Units(identities, stamps)
    IdentityDesk(identities, here, clock=lambda: NOW).link("c1", "nameless")
    identities.is_down, asked = True, identities.n_asked
    assert [there.unit_of("c1") for _ in range(3)] == ["c1"] * 3
    assert identities.n_asked == asked + 1
    identities.is_down = False
    there.refresh()
    assert there.unit_of("c1") == "nameless"
