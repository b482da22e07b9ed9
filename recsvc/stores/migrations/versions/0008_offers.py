"""Keep what offers need: their versions, reservations of contacts, what was paid for, every decision."""

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
    op.create_table(
        "decisions",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("decision_id", _BYTEWISE, nullable=False),
        sa.Column("customer_id", _BYTEWISE),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("personal", sa.LargeBinary),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("commitment", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("decision_id", name="decisions_have_ids_of_their_own"),
    )
    op.create_index("decisions_by_customer", "decisions", ["customer_id", "sequence"])
    head = op.create_table(
        "decisions_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "n": 0, "hash": bytes(32)}])
    op.create_table(
        "decision_grounds",
        sa.Column("digest", _BYTEWISE, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "offer_steps",
        sa.Column("offer_id", _BYTEWISE, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("acted_by", sa.Text, nullable=False),
        sa.Column("acted_at", sa.BigInteger),
        sa.Column("document", sa.Text, nullable=False),
    )
