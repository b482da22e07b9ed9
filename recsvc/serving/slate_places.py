"""Where slates are kept. In: a request, what answers it. Out: a key of all that a slate depends on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from recsvc.domain.slates import EpochStamp, SlateKey, SlateRequest


@dataclass(frozen=True, slots=True)
class SlatePlace:
    """Where a slate belongs, and what was current when that was looked up. Equal places, equal slates.

    `epoch` is None where Redis could not tell it, `stamp` where there are no copies.
    """

    request: SlateRequest
    label: str
    key: SlateKey
    epoch: int | None
    stamp: EpochStamp | None

    def at(self, epoch: int | None) -> SlatePlace:
        """The same place, once Redis told the epoch."""
        return SlatePlace(self.request, self.label, self.key, epoch, self.stamp)


def slate_key(request: SlateRequest, catalogue_label: str, policy_version: str) -> SlateKey:
    """Where the slate for this request is kept.

    `catalogue_label` names the revision of the catalogue and the model version.
    """
    parts = (catalogue_label, policy_version, request)
    digest = hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=16).hexdigest()
    return SlateKey(request.customer_id, digest)
