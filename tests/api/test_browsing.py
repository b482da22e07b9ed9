"""Lists that belong to nobody, over HTTP."""

from __future__ import annotations

import pytest
from flask import Flask

from recsvc.api.schemas import ItemListSchema
from recsvc.domain.items import Channel, ItemKind
from recsvc.services import Services
from tests.api.fakes import FakeBrowser, send


@pytest.mark.parametrize("target", ["/v1/items/a7/similar", "/v1/trending", "/v1/trending?kind=offer"])
def test_a_list_is_what_the_documentation_says(app: Flask, target: str) -> None:
    reply = send(app, target)
    assert reply.status == 200
    assert ItemListSchema().loads(reply.body)["source"].value == "popular"
    assert reply.header("X-Recs-Source") == "popular"
    assert reply.header("Cache-Control") == "private, no-cache"
    assert reply.header("Vary") == "Authorization, X-API-Key"


def test_every_parameter_reaches_the_browser(app: Flask, services: Services) -> None:
    send(app, "/v1/trending?kind=offer&limit=3&channel=email&locale=en&category=saving")
    send(app, "/v1/items/a7/similar?limit=4&locale=zh")
    assert isinstance(services.browser, FakeBrowser)
    assert services.browser.asked == [
        {
            "kind": ItemKind.OFFER,
            "limit": 3,
            "channel": Channel.EMAIL,
            "locale": "en",
            "categories": ("saving",),
        },
        {"limit": 4, "channel": Channel.WEB, "locale": "zh"},
    ]


def test_an_unknown_item_is_not_found(app: Flask) -> None:
    reply = send(app, "/v1/items/nowhere/similar")
    assert (reply.status, reply.json["type"]) == (404, "/problems/not-found")
    assert reply.json["detail"] == "there is no such item, or it is not live"


def test_an_ill_formed_item_id_is_refused_with_its_place(app: Flask) -> None:
    assert send(app, "/v1/items/a%20b/similar").pointers == ["path/item_id"]


def test_a_list_does_not_take_what_only_slates_take(app: Flask) -> None:
    assert send(app, "/v1/trending?diversity=0.5").pointers == ["query/diversity"]


def test_the_document_says_which_rules_hold_on_lists_that_are_nobodys_own(app: Flask) -> None:
    paths = send(app, "/openapi.json").json["paths"]
    for path in ("/v1/trending", "/v1/items/{item_id}/similar"):
        assert "Pins, boosts and buries do not" in paths[path]["get"]["description"]
