"""Find a customer's events that came late, and those that hold however old they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LATE = sa.text("received_at - occurred_at > 3600000000")
_STANDING = sa.text("type IN ('complaint', 'dismiss', 'not_interested', 'reject', 'unsubscribe')")


def upgrade() -> None:
    """Make the indexes."""
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
