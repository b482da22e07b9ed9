"""What commands about models ask of the store, where there is one. In: settings. Out: what it knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from recsvc.bundles.erased import ErasedAmong
from recsvc.domain.experiments import versions_in_use
from recsvc.settings import Settings
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import open_database
from recsvc.stores.experiments import SqlExperiments


@contextmanager
def tombstones(settings: Settings) -> Iterator[ErasedAmong]:
    """Who was erased, as far as there is a store that could know. Raises StoreError."""
    if not settings.has_store:
        yield lambda customer_ids: {}
        return
    with closing(open_database(settings.store_url)) as database:
        yield SqlCustomers(database).erased_among


def versions_of_experiments(settings: Settings) -> frozenset[str]:
    """The model versions that open experiments name, as far as there is a store. Raises StoreError."""
    if not settings.has_store:
        return frozenset()
    with closing(open_database(settings.store_url)) as database:
        return versions_in_use(SqlExperiments(database).experiments())
