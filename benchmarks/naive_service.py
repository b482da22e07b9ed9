"""The service that anybody would write first: Flask, redis-py, marshmallow. For comparison only.

Run by granian as `benchmarks.naive_service:create`; REDIS_URL names the Redis that holds the lists. They are
lists of ours, so that all send the same bytes. `bare` sends the one that the file named in LIST_FILE holds.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import redis
from flask import Flask, Response, jsonify
from marshmallow import Schema, fields


class _Reason(Schema):
    code = fields.String(required=True)
    text = fields.String(required=True)
    because = fields.List(fields.String(), required=True)


class _Item(Schema):
    item_id = fields.String(required=True)
    position = fields.Integer(required=True)
    score = fields.Float(required=True)
    title = fields.String(required=True)
    category = fields.String(allow_none=True)
    url = fields.String(allow_none=True)
    reason = fields.Nested(_Reason, allow_none=True)
    propensity = fields.Float(allow_none=True)
    explored = fields.Boolean(required=True)
    rules = fields.List(fields.Dict(), required=True)


class _Slate(Schema):
    slate_id = fields.String(required=True)
    customer_id = fields.String(required=True)
    kind = fields.String(required=True)
    channel = fields.String(required=True)
    placement = fields.String(required=True)
    locale = fields.String(required=True)
    items = fields.List(fields.Nested(_Item), required=True)
    source = fields.String(required=True)
    model_version = fields.String(allow_none=True)
    policy_version = fields.String(required=True)
    generated_at = fields.String(required=True)
    expires_at = fields.String(required=True)
    experiment = fields.Dict(allow_none=True)
    degraded = fields.List(fields.String(), required=True)


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


_BODY = Path(os.environ["LIST_FILE"]).read_bytes() if "LIST_FILE" in os.environ else b""
_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY)))]
