"""Keep training runs, experiments, who met them, and which ids are one customer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ANSWERS = sa.text("type IN ('ces', 'csat', 'nps')")
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "training_runs",
        sa.Column("run_id", _BYTEWISE, primary_key=True),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("idempotency_key", _BYTEWISE),
        sa.Column("is_open", sa.Integer),
        sa.Column("heartbeat_at", sa.BigInteger),
        sa.Column("is_cancelling", sa.Integer, nullable=False, server_default="0"),
        sa.Column("document", sa.Text, nullable=False),
        sa.UniqueConstraint("idempotency_key", name="training_runs_once_each"),
        sa.UniqueConstraint("is_open", name="one_training_run_is_open"),
    )
    op.create_index("training_runs_by_time", "training_runs", ["asked_at"])
    op.create_table(
        "experiments",
        sa.Column("key", _BYTEWISE, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "experiments_revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO experiments_revision (id, revision) VALUES (1, 0)")
    op.create_table(
        "exposures",
        sa.Column("experiment", _BYTEWISE, primary_key=True),
        sa.Column("phase", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer_id", _BYTEWISE, primary_key=True),
        sa.Column("variant", _BYTEWISE, primary_key=True),
        sa.Column("exposed_at", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text),
        sa.Column("n_answers", sa.BigInteger, nullable=False),
        sa.Column("n_fallbacks", sa.BigInteger, nullable=False),
        sa.Column("n_mismatched", sa.BigInteger, nullable=False),
        sa.Column("latency_micros", sa.BigInteger, nullable=False),
    )
    op.create_index("exposures_by_customer", "exposures", ["customer_id"])
    op.create_table(
        "identities",
        sa.Column("identity_id", _BYTEWISE, primary_key=True),
        sa.Column("customer_id", _BYTEWISE, nullable=False),
        sa.Column("unit", _BYTEWISE, nullable=False),
        sa.Column("linked_at", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_index("identities_by_customer", "identities", ["customer_id"])
    op.create_index("identities_by_sequence", "identities", ["sequence"])
    op.create_index(
        "events_that_answer",
        "events",
        ["occurred_at", "event_id"],
        sqlite_where=_ANSWERS,
        postgresql_where=_ANSWERS,
    )
    op.create_index("identities_by_unit", "identities", ["unit"])
    op.create_table(
        "identities_revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO identities_revision (id, revision, removed_at) VALUES (1, 0, 0)")
