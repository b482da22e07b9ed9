"""A slate as caches keep it. In: a slate, or bytes that were kept. Out: what is served, with its etag."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from recsvc.domain.slates import Slate, Source
from recsvc.serving.answers import CacheStatus, ServedSlate, render_slate


class KeptSlate(msgspec.Struct, array_like=True):
    """A ready slate. Other releases may read what this one kept."""

    etag: str
    source: Source
    model_version: str | None
    expires_at: datetime
    body: bytes
    generated_at: datetime  # Last: another release may read the rest.

    def served(self, status: CacheStatus) -> ServedSlate:
        """The slate as an answer, with the tier that gave it."""
        return ServedSlate(
            self.body,
            self.etag,
            self.source,
            self.model_version,
            self.generated_at,
            self.expires_at,
            status,
        )


def kept_slate(slate: Slate) -> KeptSlate:
    """The slate, serialised once."""
    body = render_slate(slate)
    return KeptSlate(
        etag_of(body), slate.source, slate.model_version, slate.expires_at, body, slate.generated_at
    )


def etag_of(body: bytes) -> str:
    """What tells the body from every other."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
