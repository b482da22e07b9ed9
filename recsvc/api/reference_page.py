"""Prepare the OpenAPI document for reading. In: the document. Out: values that a template only prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Node = Mapping[str, Any]

_N_EXAMPLE_PARAMETERS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter or field: its name, what it may be, and what it means."""

    name: str
    place: str
    shape: str
    required: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to an operation."""

    status: str
    meaning: str
    headers: tuple[Row, ...]
    example: str | None
    schema: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Body:
    """One form in which an operation takes its body."""

    media_type: str
    schema: str | None
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One call."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    scope: str | None
    parameters: tuple[Row, ...]
    bodies: tuple[Body, ...]
    answers: tuple[Answer, ...]
    curl: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole reference: operations by audience, then the shapes they name."""

    title: str
    version: str
    about: str
    audiences: tuple[tuple[str, str, tuple[Operation, ...]], ...]
    shapes: tuple[tuple[str, str, tuple[Row, ...]], ...]


def page_of(document: Node) -> Page:
    """The reference for an OpenAPI document."""
    operations = list(_operations(document))
    return Page(
        title=document["info"]["title"],
        version=document["info"]["version"],
        about=document["info"]["description"],
        audiences=tuple(
            (tag["name"], tag["description"], tuple(o for name, o in operations if name == tag["name"]))
            for tag in document["tags"]
        ),
        shapes=tuple(
            (name, schema.get("description", ""), tuple(_fields(schema)))
            for name, schema in sorted(document["components"]["schemas"].items())
        ),
    )


def _operations(document: Node) -> Iterator[tuple[str, Operation]]:
    for path, item in document["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            if method in item:
                yield item[method]["tags"][0], _operation(document, path, method, item)


def _operation(document: Node, path: str, method: str, item: Node) -> Operation:
    found = item[method]
    parameters = [*item.get("parameters", ()), *found.get("parameters", ())]
    taken: Node = found.get("requestBody", {}).get("content", {})
    scopes = [scope for way in found.get("security", ()) for needed in way.values() for scope in needed]
    return Operation(
        name=found["operationId"],
        method=method.upper(),
        path=path,
        summary=found.get("summary", ""),
        description=found.get("description", ""),
        scope=scopes[0] if scopes else None,
        parameters=tuple(
            Row(p["name"], p["in"], shape_of(p["schema"]), p.get("required", False), _meaning(p))
            for p in parameters
        ),
        bodies=tuple(_body(media_type, form) for media_type, form in taken.items()),
        answers=tuple(
            _answer(document, status, answer)
            for status, answer in sorted(found["responses"].items())
            if status != "default"
        ),
        curl=_curl(method, path, parameters, taken, with_key=bool(scopes)),
    )


def _body(media_type: str, form: Node) -> Body:
    schema = form["schema"].get("items", form["schema"])
    return Body(
        media_type=media_type,
        schema=_last_name(schema.get("$ref")),
        example=json.dumps(form["example"], indent=2, ensure_ascii=False),
    )


def _answer(document: Node, status: str, answer: Node) -> Answer:
    reference = answer.get("$ref")
    resolved = _resolve(document, reference) if reference else answer
    content: Node = next(iter(resolved.get("content", {}).values()), {})
    example = content.get("example")
    return Answer(
        status=status,
        meaning=resolved["description"],
        headers=tuple(
            Row(name, "header", str(header.get("example", "")), False, header["description"])
            for name, header in resolved.get("headers", {}).items()
        ),
        example=None if example is None or reference else json.dumps(example, indent=2, ensure_ascii=False),
        schema=_last_name(content.get("schema", {}).get("$ref")),
        problem=_last_name(reference),
    )


def _fields(schema: Node) -> Iterator[Row]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield Row(name, "body", shape_of(field), name in required, _meaning(field))


def shape_of(schema: Node) -> str:
    """What a value may be, in words."""
    if name := _last_name(schema.get("$ref")):
        return name
    for several in ("allOf", "anyOf", "oneOf"):
        if several in schema:
            return " or ".join(shape_of(one) for one in schema[several])
    types = schema.get("type", "any")
    words = " or ".join(types) if isinstance(types, list) else str(types)
    if "items" in schema:
        words = words.replace("array", f"list of {shape_of(schema['items'])}")
    if "enum" in schema:
        words = "one of " + ", ".join("null" if v is None else str(v) for v in schema["enum"])
    if "minimum" in schema and "maximum" in schema:
        words += f" from {schema['minimum']:g} to {schema['maximum']:g}"
    if "maxItems" in schema:
        words += f", at most {schema['maxItems']}"
    return words + (f" ({schema['format']})" if "format" in schema else "")


def _meaning(node: Node) -> str:
    text = str(node.get("description", ""))
    default = node.get("schema", node).get("default")
    return text if default in (None, "", []) else f"{text} Without it: {json.dumps(default)}."


def _curl(method: str, path: str, parameters: list[Node], taken: Node, *, with_key: bool) -> str:
    examples = {p["name"]: p.get("example", p["schema"].get("example")) for p in parameters}
    for name, value in examples.items():
        path = path.replace(f"{{{name}}}", str(value))
    asked = [p["name"] for p in parameters if p["in"] == "query" and examples[p["name"]] is not None]
    query = "&".join(f"{n}={quote(_text(examples[n]), safe=',')}" for n in asked[:_N_EXAMPLE_PARAMETERS])
    key = '-H "Authorization: Bearer $API_KEY" ' if with_key else ""
    verb = "" if method == "get" else f"-X {method.upper()} "
    body = ""
    for media_type, form in list(taken.items())[:1]:
        body = f" -H 'Content-Type: {media_type}' -d '{json.dumps(form['example'], ensure_ascii=False)}'"
    return f'curl {verb}{key}"$API_URL{path}{"?" + query if query else ""}"{body}'


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _resolve(document: Node, reference: str) -> Node:
    node = document
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def _last_name(reference: str | None) -> str | None:
    return reference.rpartition("/")[2] if reference else None
