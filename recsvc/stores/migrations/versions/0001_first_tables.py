"""The first tables: catalogue, customers, events, API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "items",
        sa.Column("item_id", _BYTEWISE, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    revisions = op.create_table(
        "catalogue_revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(revisions, [{"id": 1, "revision": 0}])
    op.create_table(
        "customers",
        sa.Column("customer_id", _BYTEWISE, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("event_id", _BYTEWISE, primary_key=True),
        sa.Column("customer_id", _BYTEWISE, nullable=False),
        sa.Column("item_id", _BYTEWISE),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
    )
    op.create_index("events_by_customer", "events", ["customer_id", "occurred_at", "event_id"])
    op.create_index("events_by_time", "events", ["occurred_at", "event_id"])
    op.create_table(
        "api_keys",
        sa.Column("key_id", _BYTEWISE, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
    )
