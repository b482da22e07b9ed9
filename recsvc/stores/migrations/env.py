"""Run the migrations on the connection that `recsvc.stores.schema` hands over."""

from __future__ import annotations

from alembic import context

from recsvc.stores.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite can roll DDL back too, once the transaction is begun by hand: half a migration never stays.
    transactional_ddl=True,
)
context.run_migrations()
