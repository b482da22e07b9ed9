"""Find the items that were written after a revision without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index the revisions that items have had from the beginning."""
    op.create_index("items_by_revision", "items", ["revision"])
