"""The OpenAPI document and its page: complete, valid, and true."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import schemathesis
from flask import Flask

from recsvc.api.app import create_app
from recsvc.api.event_schemas import EventBatchSchema, SegmentBatchSchema, TakenSchema
from recsvc.api.experiment_schemas import (
    AnsweredExperimentSchema,
    AssignmentSchema,
    ExperimentSchema,
    ExperimentsSchema,
    IdentitiesSchema,
    IdentitySchema,
)
from recsvc.api.model_schemas import AliasesSchema, ModelSchema, ModelShelfSchema, PreviewSchema
from recsvc.api.portrait_schemas import PortraitSchema
from recsvc.api.posted_schemas import (
    ManyWantedSchema,
    SessionSlateSchema,
    SessionWantedSchema,
    SlatesSchema,
)
from recsvc.api.problems import problem_types
from recsvc.api.record_schemas import (
    CustomerSchema,
    ItemBatchSchema,
    ItemSchema,
    MerchandisingRuleSchema,
    MerchandisingRulesSchema,
    ReceiptSchema,
    StoredSchema,
)
from recsvc.api.satisfaction_schemas import SatisfactionSchema
from recsvc.api.schemas import ItemListSchema, ProblemSchema, ReadinessSchema, SlateSchema
from recsvc.api.training_schemas import TrainingRequestSchema, TrainingRunSchema, TrainingRunsSchema
from tests.api.fakes import fake_services, send
from tests.api.test_access import CALLS

Operation = tuple[str, dict[str, Any]]

SCHEMAS = {
    "Slate": SlateSchema,
    "ManyWanted": ManyWantedSchema,
    "Slates": SlatesSchema,
    "SessionWanted": SessionWantedSchema,
    "SessionSlate": SessionSlateSchema,
    "EventBatch": EventBatchSchema,
    "SegmentBatch": SegmentBatchSchema,
    "Taken": TakenSchema,
    "Item": ItemSchema,
    "ItemBatch": ItemBatchSchema,
    "Stored": StoredSchema,
    "MerchandisingRule": MerchandisingRuleSchema,
    "MerchandisingRules": MerchandisingRulesSchema,
    "Experiment": ExperimentSchema,
    "AnsweredExperiment": AnsweredExperimentSchema,
    "Experiments": ExperimentsSchema,
    "Assignment": AssignmentSchema,
    "Identity": IdentitySchema,
    "Identities": IdentitiesSchema,
    "TrainingRequest": TrainingRequestSchema,
    "TrainingRun": TrainingRunSchema,
    "TrainingRuns": TrainingRunsSchema,
    "Customer": CustomerSchema,
    "ModelShelf": ModelShelfSchema,
    "Model": ModelSchema,
    "Aliases": AliasesSchema,
    "Preview": PreviewSchema,
    "Receipt": ReceiptSchema,
    "Portrait": PortraitSchema,
    "ItemList": ItemListSchema,
    "Readiness": ReadinessSchema,
    "Satisfaction": SatisfactionSchema,
    "Problem": ProblemSchema,
}

EXAMPLES_OF_IDS = {
    "customer_id": "c1",
    "item_id": "a7",
    "rule_id": "r1",
    "run_id": "t1",
    "key": "k1",
    "identity_id": "n1",
    "version": "m1",
    "offer_id": "o3",
    "number": "1",
}


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    reply = send(app, "/openapi.json", key=None)
    assert (reply.status, reply.header("Content-Type")) == (200, "application/json")
    return dict(reply.json)


def test_a_process_makes_what_tells_of_the_api_once() -> None:
    first, second = (create_app(fake_services(auth=auth)) for auth in ("on", "off"))
    assert first.extensions["recsvc.documents"] is second.extensions["recsvc.documents"]


@pytest.fixture
def page(app: Flask) -> str:
    reply = send(app, "/docs", key=None)
    assert (reply.status, reply.header("Content-Type")) == (200, "text/html; charset=utf-8")
    return reply.body.decode()


def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


def example_of(operation: str) -> tuple[str, str]:
    """The method and an example of the path of an operation, as the matrix of scopes names them."""
    method, _, path = operation.partition(" ")
    return method, re.sub(r"\{(\w+)\}", lambda match: EXAMPLES_OF_IDS[match[1]], path)


def examples(node: Any) -> list[tuple[str, Any]]:
    """Every example body in the document, with the name of its schema."""
    if isinstance(node, list):
        return [found for one in node for found in examples(one)]
    if not isinstance(node, dict):
        return []
    found = [pair for one in node.values() for pair in examples(one)]
    reference = node.get("schema", {}).get("$ref") if isinstance(node.get("schema"), dict) else None
    if reference and "example" in node:
        found.append((reference.rpartition("/")[2], node["example"]))
    return found


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()


def test_every_route_is_documented(app: Flask, document: dict[str, Any]) -> None:
    rules = {re.sub(r"<(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    assert set(document["paths"]) == rules


def test_every_operation_says_what_it_is_and_what_can_go_wrong(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        assert operation["operationId"] and operation["summary"].endswith("."), path
        assert all(p["description"] for p in operation.get("parameters", ())), path
        assert "422" in operation["responses"], path


def test_guarded_operations_name_their_scope_and_the_others_need_nothing(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"bearerKey", "headerKey"}
    for path, operation in operations(document):
        if " /v1/" in path:
            scope = CALLS[example_of(path)]
            assert operation["security"] == [{"bearerKey": [scope]}, {"headerKey": [scope]}]
            assert {"401", "403", "503"} <= set(operation["responses"])
        else:
            assert operation["security"] == []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r"'\$ref': '#/([^']+)'", str(document)))
    assert references
    for reference in references:
        node = document
        for step in reference.split("/"):
            node = node[step]


def test_every_shape_and_every_problem_is_used_or_listed(document: dict[str, Any]) -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert set(document["components"]["schemas"]) == used
    assert {kind.slug for kind in problem_types()} <= set(document["components"]["responses"])


def test_every_example_is_of_the_shape_that_it_illustrates(document: dict[str, Any]) -> None:
    found = [(name, body) for name, body in examples(document) if name in SCHEMAS]
    assert {name for name, _ in found} == set(SCHEMAS)
    for name, body in found:
        assert SCHEMAS[name]().validate(body) == {}, name


def test_the_headers_of_an_answer_are_those_that_are_documented(app: Flask, document: dict[str, Any]) -> None:
    target = "/v1/customers/c1/recommendations/content"
    path = target.replace("/c1/", "/{customer_id}/")
    documented = document["paths"][path]["get"]["responses"]["200"]["headers"]
    sent = {name for name, _ in send(app, target).headers}
    assert set(documented) <= sent
    assert sent - set(documented) == {"Content-Type", "Content-Length", "X-Content-Type-Options"}


def test_the_page_shows_every_operation_with_a_call_to_copy(document: dict[str, Any], page: str) -> None:
    for path, operation in operations(document):
        assert f'<article id="{operation["operationId"]}">' in page
        assert f"<code>{path.partition(' ')[2]}</code>" in page
        assert operation["summary"].replace("'", "&#39;") in page
    assert page.count("curl ") == len(operations(document))


CALL = re.compile(r"curl (?:-X (\w+) )?(?:-H \S+ \S+ \S+ )?\"\$API_URL(\S+)\"(?: -H '([^']+)' -d '([^']+)')?")


def test_the_calls_on_the_page_are_answered(app: Flask, document: dict[str, Any], page: str) -> None:
    calls = CALL.findall(html.unescape(page))
    assert len(calls) == len(operations(document))
    for method, target, content_type, body in calls:
        target = target.replace("/items/i1", "/items/a7" if "similar" in target else "/items/o3")
        target = target.replace("/r1", "/autumn-saving")
        reply = send(
            app,
            target,
            method=method or "GET",
            key="rs_admin",
            headers=[("Content-Type", content_type.removeprefix("Content-Type: "))],
            body=body.encode(),
        )
        assert reply.status < 300 or reply.status in (404, 428), target


def test_the_page_shows_every_problem(page: str) -> None:
    for kind in problem_types():
        assert f'id="problem-{kind.slug}"' in page


class Page(HTMLParser):
    """Collects what a browser would load, link to or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on") and name != "style"
            if name in {"href", "src", "action", "srcset"}:
                self.links.append(value or "")
            if name == "id":
                self.anchors.add(value or "")


def test_the_page_needs_no_other_host_and_no_script(page: str) -> None:
    parsed = Page()
    parsed.feed(page)
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(parsed.tags)
    assert re.findall(r"https?:|url\(|@import", page) == []
    assert {link for link in parsed.links if not link.startswith("#")} == {"/openapi.json"}
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= parsed.anchors


def test_a_browser_may_show_the_page_and_nothing_more(app: Flask, page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = send(app, "/docs").header("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_the_page_has_a_dark_and_a_light_face(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert '<meta name="color-scheme" content="light dark">' in page
