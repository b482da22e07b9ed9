"""Number the changes of customers' records, so that whoever follows them finds what is new."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Begin to count: what was written before has the number 0."""
    op.add_column("customers", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("customers_by_revision", "customers", ["revision"])
    op.create_table(
        "customers_revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO customers_revision (id, revision) VALUES (1, 0)")
