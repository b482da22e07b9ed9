"""The history of the store. In: an open store. Out: what there is to train on."""

from __future__ import annotations

from dataclasses import replace

from recsvc.domain.items import ItemKind
from recsvc.domain.training_runs import TrainingRequest
from recsvc.errors import SourceError
from recsvc.history.interactions import InteractionTable
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database
from recsvc.stores.events import SqlEvents
from recsvc.training.material import Source


def read_source(database: Database, kind: ItemKind = ItemKind.CONTENT) -> Source:
    """Everything that was imported or received. Raises StoreError, SourceError."""
    table = InteractionTable.from_interactions(SqlEvents(database).each())
    if not len(table):
        raise SourceError(
            "the store holds no events to train on; give --events PATH, or bring them in with recsvc import"
        )
    return Source(table, SqlCatalogue(database).items(), tuple(SqlCustomers(database).each()), kind)


def within_window(source: Source, request: TrainingRequest) -> Source:
    """The part of the source that the request asks for. Raises SourceError where nothing is left."""
    if request.since is None and request.until is None:
        return source
    table = source.table.between(request.since, request.until)
    if not len(table):
        raise SourceError("no event lies between since and until; ask for a wider window")
    return replace(source, table=table)
