"""The life of an offer over HTTP: who may do what with a version, and what is served meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from recsvc.api.app import create_app
from recsvc.api.documents import ITEM_EXAMPLE
from recsvc.bundles.registry import Registry
from recsvc.domain.items import Item
from recsvc.domain.offer_life import Approval
from recsvc.errors import StoreError
from recsvc.services import Services
from recsvc.serving.desks import CatalogueDesk
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.offers.desk import OfferDesk
from recsvc.stores.memory import MemoryCatalogue
from recsvc.stores.memory_offer_versions import MemoryOfferVersions
from tests.api.fakes import NOW, Reply, fake_services
from tests.api.test_items import ITEM, call

VERSIONS = "/v1/offers/o3/versions"
RISKIER = {**ITEM_EXAMPLE, "terms": {**ITEM_EXAMPLE["terms"], "risk_class": 5}}


class Bank:
    """An app over real desks, and what its lists could show."""

    def __init__(self, folder: Path, approval: Approval = "required", auth: str = "on") -> None:
        self.store = MemoryCatalogue()
        self.live = LiveCatalogue(self.store, LiveBundles(Registry(folder)))
        self.offers = OfferDesk(
            MemoryOfferVersions(self.store), standing=lambda _: None, approval=approval, clock=lambda: NOW
        )
        desk = CatalogueDesk(self.store, self.live, self.offers)
        services: Services = replace(fake_services(auth=auth), catalogue=desk, offers=self.offers)
        self.app: Flask = create_app(services)

    def put(self, body: Any, if_match: str | None = None, key: str = "rs_marketer") -> Reply:
        return call(self.app, "PUT", ITEM, body, if_match=if_match, key=key)

    def move(self, number: int, move: str, key: str, if_match: str | None = None) -> Reply:
        place = f"{VERSIONS}/{number}"
        etag = if_match or call(self.app, "GET", place, key="rs_compliance").header("ETag")
        return call(self.app, "POST", f"{place}/{move}", if_match=etag, key=key)

    def go_live(self, number: int = 1) -> None:
        assert self.move(number, "approve", "rs_compliance").status == 200
        assert self.move(number, "publish", "rs_marketer").status == 200

    @property
    def served(self) -> dict[str, Item]:
        self.live.refresh()
        return dict(self.live.view.items)


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


def test_an_offer_is_drafted_by_one_approved_by_another_and_then_served(bank: Bank) -> None:
    created = bank.put(ITEM_EXAMPLE)
    assert (created.status, created.json["status"], bank.served) == (201, "draft", {})
    approved = bank.move(1, "approve", "rs_compliance")
    assert (approved.status, approved.json["status"], bank.served) == (200, "approved", {})
    published = bank.move(1, "publish", "rs_marketer")
    assert published.status == 200
    assert [one["status"] for one in published.json["history"]] == ["draft", "approved", "live"]
    assert published.json["written_by"] != published.json["approved_by"]
    assert bank.served["o3"].offer_terms.risk_class == 1


def test_a_change_of_risk_is_a_draft_and_the_live_version_goes_on_unchanged(bank: Bank) -> None:
    bank.put(ITEM_EXAMPLE)
    bank.go_live()
    before, served = call(bank.app, "GET", ITEM), bank.served
    drafted = bank.put(RISKIER, if_match=before.header("ETag"))
    assert (drafted.status, drafted.header("Location")) == (202, f"{VERSIONS}/2")
    assert (drafted.json["status"], drafted.json["terms"]["version"]) == ("draft", 2)
    after = call(bank.app, "GET", ITEM)
    assert (after.body, after.header("ETag"), bank.served) == (before.body, before.header("ETag"), served)
    listed = call(bank.app, "GET", VERSIONS, key="rs_compliance").json["versions"]
    assert [(one["version"], one["status"]) for one in listed] == [(1, "live"), (2, "draft")]
    bank.go_live(2)
    assert bank.served["o3"].offer_terms.risk_class == 5


def test_any_other_change_is_served_at_once(bank: Bank) -> None:
    bank.put(ITEM_EXAMPLE)
    bank.go_live()
    changed = bank.put({**ITEM_EXAMPLE, "title": {"en": "Savings account with 3.2 %"}}, if_match="*")
    assert (changed.status, changed.json["status"]) == (200, "live")
    assert bank.served["o3"].title == {"en": "Savings account with 3.2 %"}


def test_who_wrote_a_version_cannot_approve_it(bank: Bank) -> None:
    bank.put(ITEM_EXAMPLE, key="rs_admin")
    refused = bank.move(1, "approve", "rs_admin")
    assert (refused.status, refused.json["type"]) == (403, "/problems/own-approval")
    assert "another key" in refused.json["detail"]
    assert (call(bank.app, "GET", ITEM).json["status"], bank.served) == ("draft", {})
    lacking = bank.move(1, "approve", "rs_marketer")
    assert (lacking.status, lacking.json["type"]) == (403, "/problems/forbidden")


def test_a_move_names_the_version_that_was_read(bank: Bank) -> None:
    bank.put(ITEM_EXAMPLE)
    place = f"{VERSIONS}/1"
    read = call(bank.app, "GET", place, key="rs_compliance").header("ETag")
    bank.put({**ITEM_EXAMPLE, "url": "/offers/elsewhere"}, if_match="*")
    for move, key in (("approve", "rs_compliance"), ("publish", "rs_marketer"), ("retire", "rs_marketer")):
        without = call(bank.app, "POST", f"{place}/{move}", key=key)
        assert (without.status, without.json["type"]) == (428, "/problems/precondition-required")
        stale = call(bank.app, "POST", f"{place}/{move}", if_match=read, key=key)
        assert (stale.status, stale.json["type"]) == (412, "/problems/precondition-failed")
    assert call(bank.app, "GET", place, key="rs_compliance").json["status"] == "draft"


@pytest.mark.parametrize("move", ["publish", "pause", "resume"])
def test_a_draft_neither_goes_live_nor_pauses(bank: Bank, move: str) -> None:
    bank.put(ITEM_EXAMPLE)
    refused = bank.move(1, move, "rs_marketer")
    assert (refused.status, refused.json["type"]) == (409, "/problems/conflict")
    assert "version 1 is draft" in refused.json["detail"]


def test_a_live_version_is_paused_resumed_and_retired(bank: Bank) -> None:
    bank.put(ITEM_EXAMPLE)
    bank.go_live()
    assert (bank.move(1, "pause", "rs_marketer").json["status"], bank.served) == ("paused", {})
    assert bank.move(1, "resume", "rs_marketer").json["status"] == "live"
    assert [*bank.served] == ["o3"]
    assert bank.move(1, "retire", "rs_marketer").json["status"] == "retired"
    assert (bank.served, call(bank.app, "GET", ITEM).status) == ({}, 404)


def test_a_deleted_offer_keeps_its_versions(bank: Bank) -> None:
    bank.put(ITEM_EXAMPLE)
    bank.go_live()
    assert call(bank.app, "DELETE", ITEM, if_match="*").status == 204
    listed = call(bank.app, "GET", VERSIONS, key="rs_compliance").json["versions"]
    assert [one["status"] for one in listed] == ["retired"]
    assert bank.put(ITEM_EXAMPLE).json["terms"]["version"] == 2


def test_a_batch_makes_drafts_too_and_says_so(bank: Bank) -> None:
    bank.put(ITEM_EXAMPLE)
    bank.go_live()
    served = bank.served["o3"]
    plain = {"item_id": "o4", "kind": "offer", "title": {"en": "A card"}}
    stored = call(bank.app, "POST", "/v1/items", {"items": [RISKIER, plain, {"item_id": "a1"}]})
    assert (stored.status, stored.json) == (200, {"stored": 3, "drafts": 1})
    assert sorted(bank.served) == ["a1", "o3", "o4"]
    assert bank.served["o3"] == served


@pytest.mark.parametrize("place", [f"{VERSIONS}/2", f"{VERSIONS}/0", f"{VERSIONS}/01", f"{VERSIONS}/x"])
def test_a_version_that_is_not_there_is_not_found(bank: Bank, place: str) -> None:
    bank.put(ITEM_EXAMPLE)
    assert call(bank.app, "GET", place, key="rs_compliance").status == 404
    assert call(bank.app, "POST", f"{place}/approve", if_match="*", key="rs_compliance").status == 404
    assert call(bank.app, "GET", "/v1/offers/o9/versions", key="rs_compliance").status == 404


def test_without_keys_nobody_can_be_told_from_the_writer(tmp_path: Path) -> None:
    bank = Bank(tmp_path, auth="off")
    bank.put(ITEM_EXAMPLE)
    assert bank.move(1, "approve", "rs_compliance").json["type"] == "/problems/own-approval"


def test_where_the_policy_asks_for_no_approval_an_offer_is_live_at_once(tmp_path: Path) -> None:
    bank = Bank(tmp_path, approval="none")
    assert bank.put(ITEM_EXAMPLE).json["status"] == "live"
    changed = bank.put(RISKIER, if_match="*")
    assert (changed.status, changed.json["terms"]["version"]) == (200, 2)
    assert bank.served["o3"].offer_terms.risk_class == 5


def test_versions_that_cannot_be_read_are_unavailable(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise StoreError("down")

    monkeypatch.setattr(bank.offers, "_store", type("Down", (), {"record": fail, "version": fail}))
    for place in (VERSIONS, f"{VERSIONS}/1"):
        assert call(bank.app, "GET", place, key="rs_compliance").status == 503
