"""The tables that offers need, beside those in `tables`. In: nothing. Out: SQLAlchemy Core tables."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from recsvc.stores.tables import BYTEWISE, METADATA

# Every step in the life of every version of an offer: rows are added and never changed. `acted_at` is null
# where it was before steps were kept.
offer_steps = Table(
    "offer_steps",
    METADATA,
    Column("offer_id", BYTEWISE, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("acted_by", Text, nullable=False),
    Column("acted_at", BigInteger),
    Column("document", Text, nullable=False),
)

# A place of an offer on a slate that may yet be shown. `is_charged`: it took from what all customers share.
reservations = Table(
    "reservations",
    METADATA,
    Column("slate_id", BYTEWISE, primary_key=True),
    Column("offer_id", BYTEWISE, primary_key=True),
    Column("customer_id", BYTEWISE, nullable=False),
    Column("channel", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("is_charged", Integer, nullable=False),
    Index("reservations_by_customer", "customer_id"),
    Index("reservations_by_offer", "offer_id", "until"),
)

# How many contacts with an offer were paid for, by day since 1970 (UTC); under day -1 stand all of them.
offer_spend = Table(
    "offer_spend",
    METADATA,
    Column("offer_id", BYTEWISE, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
)

# Every offer decision, in a chain of hashes. `customer_id`, `personal` and `salt` go with an erasure.
decisions = Table(
    "decisions",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("decision_id", BYTEWISE, nullable=False),
    Column("customer_id", BYTEWISE),
    Column("body", LargeBinary, nullable=False),
    Column("personal", LargeBinary),
    Column("salt", LargeBinary),
    Column("commitment", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("decision_id", name="decisions_have_ids_of_their_own"),
    Index("decisions_by_customer", "customer_id", "sequence"),
)

# How many decisions there are, and the hash of the last.
decisions_head = Table(
    "decisions_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# The offers and the policy that decisions stand on, once for all that share them, by their digest.
decision_grounds = Table(
    "decision_grounds",
    METADATA,
    Column("digest", BYTEWISE, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)
