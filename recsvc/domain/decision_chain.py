"""The chain of decisions. In: decisions and erasures. Out: sealed entries, the first that was changed.

Each entry carries the hash of everything in it that must not change and of the entry before it; the head
tells how many there are and the hash of the last. So a byte that is changed, an entry that is taken out, put
in or moved, and an end that is cut off are all found.

What is personal is not hashed itself but committed to: the hash of a random salt and of the personal part.
An erasure takes away salt and part, and the chain still holds. It is an entry itself, and names by number the
entries that it took something from: what is missing without one was taken away by somebody else.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
from msgspec.structs import replace as with_changes

from recsvc.domain.decisions import Compared, Decision
from recsvc.typed_decoding import decode_json

_LEVEL = 1  # Facts of hundreds of offers shrink to a tenth; more effort gains little.


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision, or an erasure, as it stands in the log. `sequence` counts from 1.

    `body` is the decision without what is personal, `personal` the rest, both as compressed JSON.
    `customer_id`, `salt` and `personal` are None once the customer was erased, and of an erasure. The body of
    an erasure is the numbers of the entries that it took something from.
    """

    sequence: int
    decision_id: str
    customer_id: str | None
    body: bytes
    personal: bytes | None
    salt: bytes | None
    commitment: bytes
    hash: bytes

    @property
    def is_erasure(self) -> bool:
        """Whether this is no decision."""
        return self.decision_id.startswith(_ERASURE)


@dataclass(frozen=True, slots=True)
class Head:
    """How many entries there are, and the hash of the last."""

    n: int
    hash: bytes


EMPTY = Head(0, bytes(32))


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where the log is not what was written. `decision_id` is None where nothing stands."""

    sequence: int
    decision_id: str | None
    what: str


class _Personal(msgspec.Struct, frozen=True):
    """What leads to the customer, were it only by trying all there are."""

    customer_id: str
    facts: str
    profile_version: str | None
    seed: int | None
    body_digest: str
    compared: tuple[Mapping[str, Compared], ...]


_NAMES = tuple(name for name in _Personal.__struct_fields__ if name != "compared")
_ERASURE = "erasure "  # Then its number. No id of a decision has a space.
_NO_COMMITMENT = bytes(32)


def draft(decision: Decision, salt: bytes) -> Entry:
    """The entry of a decision, before it has a place in the chain. `salt` is 16 random bytes."""
    named = {name: getattr(decision, name) for name in _NAMES}
    personal = _pack(_Personal(**named, compared=decision.judged.compared))
    body = _pack(_without_customer(decision))
    commitment = hashlib.sha256(salt + personal).digest()
    return Entry(0, decision.decision_id, decision.customer_id, body, personal, salt, commitment, b"")


def erasure(numbers: Sequence[int], head: Head) -> Entry:
    """The entry of an erasure that took something from the entries of these numbers, after the head."""
    name = f"{_ERASURE}{head.n + 1}"
    return link(Entry(0, name, None, _pack(numbers), None, None, _NO_COMMITMENT, b""), head)


def link(entry: Entry, head: Head) -> Entry:
    """The entry as it follows the head."""
    placed = replace(entry, sequence=head.n + 1)
    return replace(placed, hash=_hash_of(placed, head.hash))


def head_after(entry: Entry) -> Head:
    """The head once the entry is the last."""
    return Head(entry.sequence, entry.hash)


def opened(entry: Entry) -> Decision:
    """The decision of an entry; without customer and facts where these were erased.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        decision = decode_json(zlib.decompress(entry.body), Decision)
        if entry.personal is None:
            return decision
        personal = decode_json(zlib.decompress(entry.personal), _Personal)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"the decision {entry.decision_id} cannot be read ({error})") from error
    judged = with_changes(decision.judged, compared=personal.compared)
    return replace(decision, judged=judged, **{name: getattr(personal, name) for name in _NAMES})


def _without_customer(decision: Decision) -> Decision:
    """What an erasure leaves: which offers were refused by which gate, and not what was compared."""
    judged = with_changes(decision.judged, compared=())
    return replace(
        decision, customer_id="", facts="", profile_version=None, seed=None, judged=judged, body_digest=""
    )


class ChainCheck:
    """Follows a chain from its first entry."""

    def __init__(self, begun_at: Head) -> None:
        """`begun_at` is the head before the first entry was read: an erasure up to there was done by then."""
        self._begun_at = begun_at
        self._last = EMPTY
        # What is personal is missing of these, and nothing told why so far.
        self._without: dict[int, str] = {}

    def follow(self, entry: Entry) -> Break | None:
        """Take the next entry; how it is broken, if it is."""
        found = _break_at(entry, self._last) or self._account(entry)
        if found is None:
            self._last = head_after(entry)
        return found

    def end(self, head: Head) -> Break | None:
        """How the end is broken, if it is; `head` is what is said to be the last entry."""
        last = self._last
        if last.n < head.n:
            return Break(last.n + 1, None, f"missing, with all up to {head.n}: the end was cut off")
        return None if last == head else Break(last.n, None, "the head does not name the last entry")

    @property
    def untold(self) -> Break | None:
        """The first entry from which something was taken away that no erasure tells of, if there is one."""
        for sequence, decision_id in self._without.items():
            return Break(
                sequence, decision_id, "changed: what is personal is gone, and no erasure tells of it"
            )
        return None

    def _account(self, entry: Entry) -> Break | None:
        if not entry.is_erasure:
            # A later one may have been erased by one that comes after all that are read.
            if entry.personal is None and entry.sequence <= self._begun_at.n:
                self._without[entry.sequence] = entry.decision_id
            return None
        try:
            numbers = _numbers_of(entry)
        except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
            return Break(entry.sequence, entry.decision_id, "changed: it is no erasure that can be read")
        for number in numbers:
            if self._without.pop(number, None) is None and entry.sequence <= self._begun_at.n:
                return Break(entry.sequence, entry.decision_id, f"undone: entry {number} is not erased")
        return None


def _break_at(entry: Entry, last: Head) -> Break | None:
    place = last.n + 1
    if entry.sequence > place:
        return Break(place, None, "missing")
    if entry.sequence < place:
        return Break(entry.sequence, entry.decision_id, "its number stands twice")
    if _hash_of(entry, last.hash) != entry.hash:
        return Break(place, entry.decision_id, "changed: its hash is another")
    if (entry.personal is None) != (entry.salt is None) or (entry.personal is None) != (
        entry.customer_id is None
    ):
        return Break(place, entry.decision_id, "changed: what is personal was taken out in part")
    if entry.personal is not None and _commitment_of(entry) != entry.commitment:
        return Break(place, entry.decision_id, "changed: its personal part is another")
    return None if entry.is_erasure else _break_within(entry)


def _commitment_of(entry: Entry) -> bytes:
    return hashlib.sha256((entry.salt or b"") + (entry.personal or b"")).digest()


def _break_within(entry: Entry) -> Break | None:
    """What is wrong with a decision that is sealed as it stands."""
    try:
        customer_id = opened(entry).customer_id
    except ValueError:
        what = "kept by a release that wrote decisions otherwise: it cannot be read"
        return Break(entry.sequence, entry.decision_id, what)
    if entry.personal is not None and customer_id != entry.customer_id:
        return Break(entry.sequence, entry.decision_id, "changed: it stands under another customer")
    return None


def _numbers_of(entry: Entry) -> Sequence[int]:
    numbers: Sequence[int] = decode_json(zlib.decompress(entry.body), tuple[int, ...])
    return numbers


def _hash_of(entry: Entry, previous: bytes) -> bytes:
    parts = (previous, entry.sequence.to_bytes(8), entry.decision_id.encode(), entry.body, entry.commitment)
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).digest()


def _pack(value: object) -> bytes:
    return zlib.compress(msgspec.json.encode(value), _LEVEL)
