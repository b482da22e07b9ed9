"""The tables of the store. In: nothing. Out: SQLAlchemy Core tables, and how moments are kept in them.

A row keeps the columns that are searched by; everything else stands in `document` as JSON, so that a new
field of a domain value needs no migration. Portable over SQLite and PostgreSQL: moments are whole
microseconds since 1970 in UTC, and text that is ordered compares byte by byte on both.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from recsvc.domain.interactions import STANDING_TYPES
from recsvc.domain.surveys import SURVEYS

METADATA = MetaData()

# SQLite compares bytes by default; PostgreSQL would otherwise use the database's own language.
BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows by itself only where the type is INTEGER, which holds 64 bits there.
SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

# `revision` is that of the change that wrote the row, of those in `catalogue_revision`, in order of commits.
items = Table(
    "items",
    METADATA,
    Column("item_id", BYTEWISE, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("items_by_revision", "revision"),
)

catalogue_revision = Table(
    "catalogue_revision",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

# A change of a rule moves the catalogue's revision too.
merchandising_rules = Table(
    "merchandising_rules",
    METADATA,
    Column("rule_id", BYTEWISE, primary_key=True),
    Column("document", Text, nullable=False),
)

# `revision` is that of the change that wrote the row, of those in `customers_revision`, in order of commits.
customers = Table(
    "customers",
    METADATA,
    Column("customer_id", BYTEWISE, primary_key=True),
    Column("document", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Index("customers_by_revision", "revision"),
)

customers_revision = Table(
    "customers_revision",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

# Kept as text, for only a query with the very same words may use the index.
LATE_MICROS = 3_600_000_000
COMES_LATE = f"received_at - occurred_at > {LATE_MICROS}"
STANDS = f"type IN ({', '.join(repr(name) for name in sorted(STANDING_TYPES))})"
ANSWERS = f"type IN ({', '.join(repr(name) for name in sorted(SURVEYS))})"
_LATE, _STANDING, _ANSWERS = text(COMES_LATE), text(STANDS), text(ANSWERS)

# `sequence` is given in the order of commits and never twice: whoever read up to a number has read all.
events = Table(
    "events",
    METADATA,
    Column("event_id", BYTEWISE, nullable=False),
    Column("customer_id", BYTEWISE, nullable=False),
    Column("item_id", BYTEWISE),
    Column("type", Text, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("channel", Text),
    Column("document", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("sequence", SEQUENCE, Identity(), primary_key=True),
    UniqueConstraint("event_id", name="events_have_ids_of_their_own"),
    Index("events_by_customer", "customer_id", "occurred_at", "event_id"),
    # The next three hold few of the events: a page more to write for each would halve what is taken in.
    Index("events_come_late", "customer_id", "received_at", sqlite_where=_LATE, postgresql_where=_LATE),
    Index(
        "events_that_stand",
        "customer_id",
        "type",
        "occurred_at",
        sqlite_where=_STANDING,
        postgresql_where=_STANDING,
    ),
    Index(
        "events_that_answer",
        "occurred_at",
        "event_id",
        sqlite_where=_ANSWERS,
        postgresql_where=_ANSWERS,
    ),
    Index("events_by_time", "occurred_at", "event_id"),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("key_id", BYTEWISE, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

# Who was erased, by digest: the salt makes it of no use to anybody who cannot read this store. `sequence`
# is the place in the order of erasures; of one who is erased again it is the latest.
tombstone_salt = Table(
    "tombstone_salt",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
)

tombstones = Table(
    "tombstones",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("erased_at", BigInteger, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False, server_default="0"),
    Index("tombstones_by_sequence", "sequence"),
)

# `customer_id` is there while it is needed to finish, and null from then on.
erasures_pending = Table(
    "erasures_pending",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("customer_id", BYTEWISE),
    Column("compacted", Integer, nullable=False),
    Column("claimed_until", BigInteger, nullable=False),
)

# `is_open` is 1 while the run is queued or running and null from then on: so at most one is open.
training_runs = Table(
    "training_runs",
    METADATA,
    Column("run_id", BYTEWISE, primary_key=True),
    Column("asked_at", BigInteger, nullable=False),
    Column("idempotency_key", BYTEWISE),
    Column("is_open", Integer),
    Column("heartbeat_at", BigInteger),
    Column("is_cancelling", Integer, nullable=False, server_default="0"),
    Column("document", Text, nullable=False),
    UniqueConstraint("idempotency_key", name="training_runs_once_each"),
    UniqueConstraint("is_open", name="one_training_run_is_open"),
    Index("training_runs_by_time", "asked_at"),
)

# `revision` counts the changes of all experiments.
experiments = Table(
    "experiments",
    METADATA,
    Column("key", BYTEWISE, primary_key=True),
    Column("document", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

experiments_revision = Table(
    "experiments_revision",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

# A customer has one row; a second one of another variant is a crossover. The counts are of answers since.
exposures = Table(
    "exposures",
    METADATA,
    Column("experiment", BYTEWISE, primary_key=True),
    Column("phase", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", BYTEWISE, primary_key=True),
    Column("variant", BYTEWISE, primary_key=True),
    Column("exposed_at", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("model_version", Text),
    Column("n_answers", BigInteger, nullable=False),
    Column("n_fallbacks", BigInteger, nullable=False),
    Column("n_mismatched", BigInteger, nullable=False),
    Column("latency_micros", BigInteger, nullable=False),
    Index("exposures_by_customer", "customer_id"),
)

# Who an id belongs to, and the id that the customer is dealt to variants by: the one that was met first.
identities = Table(
    "identities",
    METADATA,
    Column("identity_id", BYTEWISE, primary_key=True),
    Column("customer_id", BYTEWISE, nullable=False),
    Column("unit", BYTEWISE, nullable=False),
    Column("linked_at", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Index("identities_by_customer", "customer_id"),
    Index("identities_by_sequence", "sequence"),
    Index("identities_by_unit", "unit"),
)

# `revision` counts the changes of identities, `removed_at` is that of the last removal.
identities_revision = Table(
    "identities_revision",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("removed_at", BigInteger, nullable=False),
)
