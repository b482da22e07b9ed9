"""Run the migrations on the connection that `recsvc.stores.schema` hands over."""

from __future__ import annotations

from alembic import context

from recsvc.stores.tables import METADATA

# The transaction is the caller's, who rolls all of it back when one migration fails.
context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
