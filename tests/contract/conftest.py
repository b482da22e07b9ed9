"""Every store on every backend: memory and SQLite always, PostgreSQL and Redis where the environment says.

RECSVC_TEST_DATABASE_URL names a PostgreSQL database; the suite works in a schema of its own and drops it.
RECSVC_TEST_REDIS_URL names a Redis; the suite works under a prefix of its own and removes what it wrote.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from recsvc.serving.protocols import ErasureTail, EventTail
from recsvc.stores.api_keys import SqlApiKeys
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database, open_database
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.event_tail import SqlEventTail
from recsvc.stores.events import SqlEvents
from recsvc.stores.experiments import SqlExperiments
from recsvc.stores.exposures import SqlExposures
from recsvc.stores.identities import SqlIdentities
from recsvc.stores.memory import (
    MemoryApiKeys,
    MemoryCatalogue,
    MemoryCustomers,
    MemoryEvents,
    MemorySlateCache,
)
from recsvc.stores.memory_erasures import MemoryErasures
from recsvc.stores.memory_experiments import MemoryExperiments
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities
from recsvc.stores.memory_offer_versions import MemoryOfferVersions
from recsvc.stores.offer_tables import decisions_head
from recsvc.stores.offer_versions import SqlOfferVersions
from recsvc.stores.redis_client import RestingRedis
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary
from recsvc.stores.slate_cache import RedisSlateCache
from recsvc.stores.tables import (
    METADATA,
    catalogue_revision,
    customers_revision,
    experiments_revision,
    identities_revision,
)
from recsvc.stores.tombstones import SqlTombstones

POSTGRESQL_URL = os.environ.get("RECSVC_TEST_DATABASE_URL", "")
REDIS_URL = os.environ.get("RECSVC_TEST_REDIS_URL", "")

SQL_BACKENDS = [
    "sqlite",
    pytest.param(
        "postgresql",
        marks=pytest.mark.skipif(not POSTGRESQL_URL, reason="RECSVC_TEST_DATABASE_URL is not set"),
    ),
]
CACHE_BACKENDS = [
    "memory",
    "embedded",
    pytest.param(
        "external", marks=pytest.mark.skipif(not REDIS_URL, reason="RECSVC_TEST_REDIS_URL is not set")
    ),
]


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store with its schema and nothing in it, to copy from."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.sqlite3"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Database]:
    """A PostgreSQL store in a schema that ends with the run."""
    schema = f"recsvc_test_{uuid.uuid4().hex}"
    server = sqlalchemy.create_engine(POSTGRESQL_URL.replace("postgresql://", "postgresql+psycopg://"))
    with server.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    database = open_database(
        server.url.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(False)
    )
    yield database
    database.close()
    with server.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    server.dispose()


@pytest.fixture(params=["memory", *SQL_BACKENDS])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database | None]:
    """An empty store; None stands for memory."""
    if request.param == "memory":
        yield None
    elif request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "store.sqlite3")
        opened = open_database(f"sqlite:///{path}")
        yield opened
        opened.close()
    else:
        opened = request.getfixturevalue("postgresql")
        yield opened
        with opened.writing() as connection:
            for table in METADATA.tables.values():
                if table in (catalogue_revision, customers_revision, experiments_revision):
                    connection.execute(table.update().values(revision=0))
                elif table is decisions_head:
                    connection.execute(table.update().values(id=1, n=0, hash=bytes(32)))
                elif table is identities_revision:
                    connection.execute(table.update().values(revision=0, removed_at=0))
                else:
                    connection.execute(table.delete())


@pytest.fixture
def catalogue(database: Database | None) -> MemoryCatalogue | SqlCatalogue:
    return SqlCatalogue(database) if database else MemoryCatalogue()


@pytest.fixture
def offers(
    database: Database | None, catalogue: MemoryCatalogue | SqlCatalogue
) -> MemoryOfferVersions | SqlOfferVersions:
    if database:
        return SqlOfferVersions(database)
    assert isinstance(catalogue, MemoryCatalogue)
    return MemoryOfferVersions(catalogue)


@pytest.fixture
def customers(database: Database | None) -> MemoryCustomers | SqlCustomers:
    return SqlCustomers(database) if database else MemoryCustomers()


@pytest.fixture
def events(database: Database | None, customers: MemoryCustomers | SqlCustomers) -> MemoryEvents | SqlEvents:
    return SqlEvents(database) if database else MemoryEvents(erased_at=customers.erased_at)


@pytest.fixture
def exposures(
    database: Database | None, customers: MemoryCustomers | SqlCustomers
) -> MemoryExposures | SqlExposures:
    return SqlExposures(database) if database else MemoryExposures(erased_at=customers.erased_at)


@pytest.fixture
def identities(
    database: Database | None, exposures: MemoryExposures | SqlExposures
) -> MemoryIdentities | SqlIdentities:
    if database:
        return SqlIdentities(database)
    assert isinstance(exposures, MemoryExposures)
    return MemoryIdentities(exposures)


@pytest.fixture
def tail(database: Database | None, events: MemoryEvents | SqlEvents) -> EventTail:
    if database:
        return SqlEventTail(database)
    assert isinstance(events, MemoryEvents)
    return events


@pytest.fixture
def erasure_tail(database: Database | None, customers: MemoryCustomers | SqlCustomers) -> ErasureTail:
    if database:
        return SqlTombstones(database)
    assert isinstance(customers, MemoryCustomers)
    return customers


@pytest.fixture
def erasures(
    database: Database | None,
    customers: MemoryCustomers | SqlCustomers,
    events: MemoryEvents | SqlEvents,
    exposures: MemoryExposures | SqlExposures,
    identities: MemoryIdentities | SqlIdentities,
) -> MemoryErasures | SqlErasures:
    if database:
        return SqlErasures(database, tokens=secrets.token_hex)
    assert isinstance(customers, MemoryCustomers) and isinstance(events, MemoryEvents)
    assert isinstance(exposures, MemoryExposures) and isinstance(identities, MemoryIdentities)
    return MemoryErasures(customers, events, exposures, identities)


@pytest.fixture
def experiments(database: Database | None) -> MemoryExperiments | SqlExperiments:
    return SqlExperiments(database) if database else MemoryExperiments()


@pytest.fixture
def api_keys(database: Database | None) -> MemoryApiKeys | SqlApiKeys:
    return SqlApiKeys(database) if database else MemoryApiKeys()


@pytest.fixture(scope="session")
def embedded_redis() -> Iterator[str]:
    with EmbeddedRedis(find_server_binary()) as server:
        yield server.url


@pytest.fixture(params=CACHE_BACKENDS)
def slate_cache(request: pytest.FixtureRequest) -> Iterator[MemorySlateCache | RedisSlateCache]:
    if request.param == "memory":
        yield MemorySlateCache(monotonic=time.monotonic)
        return
    url = REDIS_URL if request.param == "external" else request.getfixturevalue("embedded_redis")
    prefix = f"recsvc-test-{uuid.uuid4().hex}:"
    client = RestingRedis(url, 2.0, monotonic=time.monotonic)
    yield RedisSlateCache(client, rng=random.SystemRandom(), prefix=prefix)
    place = 0
    while True:
        place, found = client.command("SCAN", place, "MATCH", f"{prefix}*", "COUNT", 1000)
        if found:
            client.command("DEL", *found)
        if not int(place):
            break
    client.close()
