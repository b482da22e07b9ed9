"""Where slates are kept. In: a request, what answers it. Out: a key of all that a slate depends on."""

from __future__ import annotations

import hashlib

import msgspec

from recsvc.domain.slates import EpochStamp, SlateKey, SlateRequest

MAX_KEYS = 8_192


class SlatePlace(msgspec.Struct, frozen=True):
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


class SlateKeys:
    """The keys by one policy. Those of requests that come again and again are not built again.

    What leaves items out seldom comes twice, and may be long: of that nothing is remembered.
    """

    def __init__(self, policy_version: str) -> None:
        self._policy_version = policy_version
        self._known: dict[SlateRequest, tuple[str, SlateKey]] = {}

    def key_of(self, request: SlateRequest, catalogue_label: str) -> SlateKey:
        """Where the slate for this request is kept, as `slate_key` says."""
        known = self._known.get(request)
        if known is not None and known[0] == catalogue_label:
            return known[1]
        key = slate_key(request, catalogue_label, self._policy_version)
        if not request.exclude:
            if len(self._known) >= MAX_KEYS:
                self._known.clear()
            self._known[request] = catalogue_label, key
        return key
