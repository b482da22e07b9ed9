"""Number the events, and the erasures, in the order in which they were taken in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LATE = sa.text("received_at - occurred_at > 3600000000")
_STANDING = sa.text("type IN ('complaint', 'dismiss', 'not_interested', 'reject', 'unsubscribe')")
_INDEXES = ("events_by_customer", "events_by_time", "events_come_late", "events_that_stand")
_COLUMNS = "event_id, customer_id, item_id, type, occurred_at, channel, document, digest, received_at"


def upgrade() -> None:
    """Write the events anew in the order in which they were received, and number the tombstones."""
    for index in _INDEXES:
        op.drop_index(index, "events")
    op.rename_table("events", "events_without_sequence")
    op.create_table(
        "events",
        sa.Column("event_id", _BYTEWISE, nullable=False),
        sa.Column("customer_id", _BYTEWISE, nullable=False),
        sa.Column("item_id", _BYTEWISE),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("sequence", _SEQUENCE, sa.Identity(), primary_key=True),
        sa.UniqueConstraint("event_id", name="events_have_ids_of_their_own"),
        sqlite_autoincrement=True,
    )
    # The id decides between events of one moment, as it does wherever they are read by time.
    op.execute(
        f"INSERT INTO events ({_COLUMNS}) SELECT {_COLUMNS} FROM events_without_sequence "
        "ORDER BY received_at, occurred_at, event_id"
    )
    op.drop_table("events_without_sequence")
    _make_indexes()
    op.add_column("tombstones", sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(
        "UPDATE tombstones SET sequence = numbered.place FROM (SELECT digest, "
        "row_number() OVER (ORDER BY erased_at, digest) AS place FROM tombstones) AS numbered "
        "WHERE numbered.digest = tombstones.digest"
    )
    op.create_index("tombstones_by_sequence", "tombstones", ["sequence"])


def _make_indexes() -> None:
    op.create_index("events_by_customer", "events", ["customer_id", "occurred_at", "event_id"])
    op.create_index("events_by_time", "events", ["occurred_at", "event_id"])
    op.create_index(
        "events_come_late",
        "events",
        ["customer_id", "received_at"],
        sqlite_where=_LATE,
        postgresql_where=_LATE,
    )
    op.create_index(
        "events_that_stand",
        "events",
        ["customer_id", "type", "occurred_at"],
        sqlite_where=_STANDING,
        postgresql_where=_STANDING,
    )
