"""The service that anybody would write first: Flask, redis-py, marshmallow. For comparison only.

Run by granian as `benchmarks.naive_service:create`; REDIS_URL names the Redis that holds the lists.
"""

from __future__ import annotations

import json
import os
from typing import Any

import redis
from flask import Flask, Response, jsonify
from marshmallow import Schema, fields

N_ITEMS = 20


class _Item(Schema):
    item_id = fields.String(required=True)
    position = fields.Integer(required=True)
    score = fields.Float(required=True)
    title = fields.String(required=True)
    category = fields.String(required=True)


class _Slate(Schema):
    customer_id = fields.String(required=True)
    source = fields.String(required=True)
    items = fields.List(fields.Nested(_Item), required=True)


def a_list(customer_id: str) -> dict[str, Any]:
    """A list of twenty items as it is kept in Redis: about 1.4 KB on the wire."""
    items = [
        {"item_id": f"a{n:04}", "position": n, "score": 1 - n / 50, "title": "", "category": "saving"}
        for n in range(1, N_ITEMS + 1)
    ]
    return {"customer_id": customer_id, "source": "personalised", "items": items}


def create() -> Flask:
    """The application."""
    app = Flask(__name__)
    client: Any = redis.Redis.from_url(os.environ["REDIS_URL"])
    slate = _Slate()

    @app.get("/v1/customers/<customer_id>/recommendations/content")
    def content(customer_id: str) -> Response:
        stored = client.get(f"naive:{customer_id}")
        return jsonify(slate.dump(json.loads(stored)))

    return app


def bare(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The least that a WSGI server can be asked to run: a constant body of the same size."""
    start_response("200 OK", _HEADERS)
    return [_BODY]


_BODY = json.dumps(a_list("c0001"), separators=(",", ":")).encode()
_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY)))]
