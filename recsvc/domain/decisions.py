"""An offer decision: what was judged, by what, and what came of it. The log keeps these values whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from recsvc.domain.conditions import FieldType
from recsvc.domain.items import Channel, Item
from recsvc.domain.slates import Priority, ShownDisclosure
from recsvc.policy_offers import OffersPolicy
from recsvc.typed_decoding import decode_json

Compared = str | int | float | bool | None


class Gate(StrEnum):
    """The gates in the order in which an offer meets them."""

    CONSENT = "no_consent"
    BAN = "banned"
    SUITABILITY = "not_suitable"
    TARGET_MARKET = "outside_target_market"
    ELIGIBILITY = "not_eligible"
    STATUS = "not_live"
    VALIDITY = "not_valid_now"
    CHANNEL = "wrong_channel"
    PLACEMENT = "wrong_placement"
    JURISDICTION = "wrong_jurisdiction"
    SUPPRESSION = "suppressed"
    CATEGORY = "category_held_back"
    CAP = "cap_reached"
    BUDGET = "budget_spent"
    INVENTORY = "inventory_gone"
    REQUEST = "excluded"
    BLOCK = "blocked"
    PAIR = "beside_content"
    DISCLOSURE = "no_disclosure"
    GROUP = "group_taken"
    STORE = "store_unreachable"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one gate found of one offer: the values compared, by name, and what would have to change.

    `compared` is in the words of the records, for example max_risk_class 3 and risk_class 5.
    """

    gate: Gate
    passed: bool
    compared: Mapping[str, Compared]
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class JudgedOffer:
    """An offer in a decision. `refused_by` is the first gate that shut, None where none did."""

    offer_id: str
    version: int
    refused_by: Gate | None
    compared: Mapping[str, Compared]
    priority: Priority | None = None


class Judged(msgspec.Struct, frozen=True):
    """Every offer of a decision, by id, as columns: there are hundreds in each of millions of decisions.

    `refused_by` is the first gate that shut, None where none did; `compared` what it compared, of each offer
    that was refused, in their order; empty once that was erased. `ranked` are the places of those that came
    up for the list, best proposed first, and the last four columns the factors of their priorities. An offer
    that came up, and whose group another one took, is refused too.
    """

    offer_ids: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()
    refused_by: tuple[Gate | None, ...] = ()
    compared: tuple[Mapping[str, Compared], ...] = ()
    ranked: tuple[int, ...] = ()
    propensity: tuple[float, ...] = ()
    context: tuple[float, ...] = ()
    value: tuple[float, ...] = ()
    lever: tuple[float, ...] = ()

    def each(self) -> Iterator[JudgedOffer]:
        """Offer by offer."""
        factors = zip(self.propensity, self.context, self.value, self.lever, strict=True)
        priorities = {place: Priority(*four) for place, four in zip(self.ranked, factors, strict=True)}
        compared = iter(self.compared)
        for place, (offer_id, version, gate) in enumerate(
            zip(self.offer_ids, self.versions, self.refused_by, strict=True)
        ):
            found = {} if gate is None else next(compared, {})
            yield JudgedOffer(offer_id, version, gate, found, priorities.get(place))


class ChosenOffer(msgspec.Struct, frozen=True):
    """An offer on the list. `propensity` is the exact chance of its place; None where it is not known."""

    offer_id: str
    version: int
    position: int
    priority: Priority | None
    propensity: float | None
    explored: bool
    disclosures: tuple[ShownDisclosure, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """One offer decision. `decision_id` is the slate's id; `facts` is the JSON that it is replayed from.

    `profile_version` is the etag of the customer's record, None where there is none. `body_digest` is the
    SHA-256 of the answer in hexadecimal digits, `grounds` the digest of the offers and the policy.
    """

    decision_id: str
    customer_id: str
    decided_at: datetime
    channel: Channel
    placement: str
    locale: str
    profile_version: str | None
    policy_version: str
    model_version: str | None
    experiment: str | None
    variant: str | None
    seed: int | None
    judged: Judged
    chosen: tuple[ChosenOffer, ...]
    facts: str
    body_digest: str
    grounds: str

    def told(self) -> dict[str, Any]:
        """All of it in JSON's own types, offer by offer: what people and other programs read."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        told: dict[str, Any] = msgspec.to_builtins({**fields, "judged": list(self.judged.each())})
        return told


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a decision stands on beside its facts: every offer as it was, and the policy.

    `fields` are what eligibility rules could ask for. `digest` is the SHA-256 of all that as JSON, in
    hexadecimal digits: many decisions share their grounds.
    """

    digest: str
    offers: tuple[Item, ...]
    policy: OffersPolicy
    fields: Mapping[str, FieldType]

    @property
    def document(self) -> bytes:
        """All but the digest as JSON, the same bytes for the same grounds."""
        return _document(self.offers, self.policy, self.fields)


def make_grounds(offers: tuple[Item, ...], policy: OffersPolicy, fields: Mapping[str, FieldType]) -> Grounds:
    """The grounds, under their digest."""
    digest = hashlib.sha256(_document(offers, policy, fields)).hexdigest()
    return Grounds(digest, offers, policy, fields)


def read_grounds(document: bytes) -> Grounds:
    """The grounds of a document, under the digest of its very bytes.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        read: _Document = decode_json(document, _AS_DOCUMENT)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the grounds of a decision cannot be read ({error})") from error
    return Grounds(hashlib.sha256(document).hexdigest(), *read)


_Document = tuple[tuple[Item, ...], OffersPolicy, dict[str, FieldType]]
_AS_DOCUMENT: Any = _Document  # mypy takes no alias of a generic for a type.


def _document(offers: tuple[Item, ...], policy: OffersPolicy, fields: Mapping[str, FieldType]) -> bytes:
    return msgspec.json.encode((offers, policy, fields), order="sorted")
