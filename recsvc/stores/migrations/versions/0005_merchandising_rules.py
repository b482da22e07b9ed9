"""Keep what marketers ask of the lists for a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "merchandising_rules",
        sa.Column("rule_id", _BYTEWISE, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
