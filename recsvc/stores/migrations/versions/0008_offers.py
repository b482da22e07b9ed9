"""Keep what offers need: reservations of contacts, and what was paid for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "reservations",
        sa.Column("slate_id", _BYTEWISE, primary_key=True),
        sa.Column("offer_id", _BYTEWISE, primary_key=True),
        sa.Column("customer_id", _BYTEWISE, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("is_charged", sa.Integer, nullable=False),
    )
    op.create_index("reservations_by_customer", "reservations", ["customer_id"])
    op.create_index("reservations_by_offer", "reservations", ["offer_id", "until"])
    op.create_table(
        "offer_spend",
        sa.Column("offer_id", _BYTEWISE, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, nullable=False),
    )
