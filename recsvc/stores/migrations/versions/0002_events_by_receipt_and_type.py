"""Find a customer's events by when they came in, and by type."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes."""
    op.create_index("events_by_receipt", "events", ["customer_id", "received_at", "occurred_at", "event_id"])
    op.create_index("events_by_type", "events", ["customer_id", "type", "occurred_at"])
