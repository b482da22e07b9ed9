"""What every store of API keys does."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from recsvc.domain.access import Scope
from recsvc.stores.api_keys import SqlApiKeys, digest_of, key_id_of
from recsvc.stores.memory import MemoryApiKeys

ApiKeys = MemoryApiKeys | SqlApiKeys

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def test_a_new_key_is_found_by_the_id_in_its_text_and_proved_by_its_digest(api_keys: ApiKeys) -> None:
    new = api_keys.create("web", [Scope.RECS_READ, Scope.EVENTS_WRITE], now=NOW, tokens=secrets.token_hex)
    assert key_id_of(new.key) == new.key_id
    found = api_keys.find(new.key_id)
    assert found is not None
    assert found.digest == digest_of(new.key)
    assert (found.label, found.created_at, found.revoked_at) == ("web", NOW, None)
    assert found.scopes == new.scopes == {Scope.RECS_READ, Scope.EVENTS_WRITE}


def test_a_key_reads_rk_id_secret(api_keys: ApiKeys) -> None:
    new = api_keys.create("web", [], now=NOW, tokens=lambda n_bytes: "ab" * n_bytes)
    assert new.key == f"rk_{'ab' * 8}_{'ab' * 32}"
    assert new.key_id == "ab" * 8


def test_the_secret_is_not_stored(api_keys: ApiKeys) -> None:
    new = api_keys.create("web", [], now=NOW, tokens=secrets.token_hex)
    assert new.key.rpartition("_")[2] not in repr(api_keys.find(new.key_id))


def test_what_is_no_key_has_no_id() -> None:
    for text in ("", "rk_", "rk_12_34", f"rk_{'g' * 16}_{'a' * 64}", f" rk_{'a' * 16}_{'a' * 64}", "é"):
        assert key_id_of(text) is None


def test_an_unknown_key_is_not_found_and_cannot_be_revoked(api_keys: ApiKeys) -> None:
    assert api_keys.find("0" * 16) is None
    assert not api_keys.revoke("0" * 16, NOW)


def test_a_revoked_key_is_still_found_and_says_when(api_keys: ApiKeys) -> None:
    new = api_keys.create("web", [Scope.RECS_READ], now=NOW, tokens=secrets.token_hex)
    assert api_keys.revoke(new.key_id, LATER)
    found = api_keys.find(new.key_id)
    assert found is not None
    assert found.revoked_at == LATER


def test_revoking_again_keeps_the_first_moment(api_keys: ApiKeys) -> None:
    new = api_keys.create("web", [], now=NOW, tokens=secrets.token_hex)
    api_keys.revoke(new.key_id, NOW)
    assert api_keys.revoke(new.key_id, LATER)
    found = api_keys.find(new.key_id)
    assert found is not None
    assert found.revoked_at == NOW


def test_keys_are_listed_oldest_first_with_the_revoked_ones(api_keys: ApiKeys) -> None:
    second = api_keys.create("second", [], now=LATER, tokens=secrets.token_hex)
    first = api_keys.create("first", [], now=NOW, tokens=secrets.token_hex)
    api_keys.revoke(second.key_id, LATER)
    assert [key.key_id for key in api_keys.each()] == [first.key_id, second.key_id]
