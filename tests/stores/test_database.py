"""Opening the store: schema, races, and every way in which it can go wrong."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item
from recsvc.domain.moments import from_micros, to_micros
from recsvc.errors import StoreError
from recsvc.stores import schema
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.database import open_database
from recsvc.stores.event_rows import EventRow, _Rest
from recsvc.stores.events import SqlEvents
from recsvc.stores.tables import METADATA
from recsvc.stores.tables import events as events_table

needs_postgresql = pytest.mark.skipif(
    not os.environ.get("RECSVC_TEST_DATABASE_URL"), reason="RECSVC_TEST_DATABASE_URL is not set"
)

OPEN_AND_PUT = """
import sys
import alembic.command
from recsvc.domain.items import Item
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.database import open_database
print("ready", flush=True)
sys.stdin.readline()
database = open_database(sys.argv[1])
SqlCatalogue(database).put_many([Item("i" + sys.argv[2])])
database.close()
"""

CLOSE_WHILE_OTHERS_LOOK_UP = """
import sys, threading, time
from recsvc.errors import StoreError
from recsvc.stores.database import open_database
COUNT = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) SELECT max(x) FROM n"
database = open_database(sys.argv[1])
answers, is_over = [], threading.Event()
def look():
    while not is_over.is_set():
        answers.append(database.look_up(COUNT, (50_000,)))
threads = [threading.Thread(target=look) for _ in range(3)]
[one.start() for one in threads]
for _ in range(30):
    time.sleep(0.01)
    database.close()
is_over.set()
[one.join() for one in threads]
assert set(answers) == {(50_000,)}
"""

LOOK_UP_AFTER_A_FORK = """
import os, sys
from recsvc.stores.database import open_database
database = open_database(sys.argv[1])
asked = lambda: database.look_up("SELECT ?", (os.getpid(),))
assert asked() == (os.getpid(),)
(parents,) = database._idle
child = os.fork()
if child == 0:
    assert not database._idle and asked() == (os.getpid(),)
    parents.execute("SELECT 1")  # Nobody closed what is the parent's.
    os._exit(0 if parents not in database._idle else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert asked() == (os.getpid(),) and [*database._idle] == [parents]
database.close()
"""

LOOK_UP_FROM_A_THREAD_OF_THE_SERVER = """
import ctypes, sys
from recsvc.stores.database import open_database
database = open_database(sys.argv[1])
answers = []
@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def look(_):
    answers.append(database.look_up("SELECT ?", (7,)))
    return 0
system, thread = ctypes.CDLL(None), ctypes.c_ulong()
for _ in range(5):
    assert system.pthread_create(ctypes.byref(thread), None, look, None) == 0
    system.pthread_join(thread, None)
database.close()
assert answers == [(7,)] * 5
"""

PUT_AND_DIE = """
import os, sys
from datetime import UTC, datetime
from recsvc.domain.interactions import Interaction
from recsvc.stores.database import open_database
from recsvc.stores.events import SqlEvents
now = datetime(2026, 1, 31, tzinfo=UTC)
SqlEvents(open_database(sys.argv[1])).append([Interaction("e1", "click", "c1", "i1", now)], received_at=now)
os._exit(0)
"""


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def test_a_new_store_is_made_with_the_folders_above_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "store.sqlite3"
    open_database(url_of(path)).close()
    assert path.is_file()


def test_a_store_is_still_there_when_it_is_opened_again(tmp_path: Path) -> None:
    for expected in (1, 2):
        database = open_database(url_of(tmp_path / "store.sqlite3"))
        assert SqlCatalogue(database).put_many([Item("a")]) == expected
        database.close()


def test_sqlite_writes_ahead_syncs_fully_and_keeps_foreign_keys(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    with database.reading() as first, database.reading() as second:
        for connection in (first, second):
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert found == {
                "journal_mode": "wal",
                "synchronous": 2,
                "foreign_keys": 1,
                "busy_timeout": 10_000,
            }
    database.close()


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert (
            connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == schema.HEAD
        )
    database.close()


def test_the_newest_migration_is_the_one_that_the_code_expects() -> None:
    names = sorted(path.name for path in (schema.MIGRATIONS / "versions").glob("*.py"))
    assert names[-1].startswith(f"{schema.HEAD}_")


def test_an_up_to_date_store_opens_without_loading_alembic(tmp_path: Path) -> None:
    url = url_of(tmp_path / "store.sqlite3")
    open_database(url).close()
    code = (
        "import sys; from recsvc.stores.database import open_database; "
        f"open_database({url!r}).close(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def open_at_once(url: str, n_processes: int) -> None:
    """Open the store in several processes that set off together; every one of them must get through."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPEN_AND_PUT, url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(n_processes)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * n_processes


def test_many_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    url = url_of(tmp_path / "new" / "store.sqlite3")
    open_at_once(url, 8)
    database = open_database(url)
    assert SqlCatalogue(database).revision() == 8
    database.close()


def test_what_was_acknowledged_survives_the_death_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    subprocess.run([sys.executable, "-c", PUT_AND_DIE, url_of(path)], check=True)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT event_id FROM events").fetchall() == [("e1",)]
    connection.close()


def test_a_store_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    database.close()
    with pytest.raises(StoreError, match=r"schema 0999, which is newer .* install the release that made it"):
        open_database(url_of(tmp_path / "store.sqlite3"))


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE api_keys (mine TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="api_keys"):
        open_database(url_of(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("api_keys",)]
    connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    path.write_text("customers, and what they did\n" * 100)
    with pytest.raises(StoreError, match=r"file is not a database; check that the file"):
        open_database(url_of(path))


def test_a_folder_that_cannot_be_made_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"file.* cannot be made .*RECSVC_DATA_DIR"):
        open_database(url_of(tmp_path / "file" / "store.sqlite3"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://root:secret@host/db",
        "postgresql://me:secret@host:port/db",
        "sqlite+aiosqlite:///x",
    ],
)
def test_a_url_that_is_no_store_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreError, match="DATABASE_URL is not a store") as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_sqlite_in_memory_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="must be a file"):
        open_database(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_that_does_not_answer_is_named_without_the_password(scheme: str) -> None:
    with pytest.raises(StoreError, match=r"127.0.0.1:1/shop cannot answer.*check DATABASE_URL") as caught:
        open_database(f"{scheme}://me:hush%40hush@127.0.0.1:1/shop")
    assert "hush" not in str(caught.value)


def test_a_password_that_the_driver_repeats_is_struck_out() -> None:
    with pytest.raises(StoreError, match=r"\*\*\*") as caught:
        open_database("postgresql://me:hush@127.0.0.1:1/shop?hostaddr=hush")
    assert "hush" not in str(caught.value)


def test_postgresql_without_its_driver_says_what_to_install(tmp_path: Path) -> None:
    # A package of this name that cannot be found stands in for one that is not installed.
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from recsvc.errors import StoreError\n"
        "from recsvc.stores.database import open_database\n"
        "try: open_database('postgresql://me:hush@127.0.0.1:1/shop')\n"
        "except StoreError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'recsvc[postgresql]'" in done.stdout
    assert "hush" not in done.stdout


def test_an_error_says_nothing_of_the_data(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    with pytest.raises(StoreError) as caught, database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO items VALUES (?, ?)", ("secret-item", "x"))
    assert "secret-item" not in str(caught.value)
    assert "sqlite3." not in str(caught.value)
    database.close()


def test_a_writer_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        connection.exec_driver_sql("UPDATE catalogue_revision SET revision = 7")
        raise ZeroDivisionError
    assert SqlCatalogue(database).revision() == 0
    database.close()


def test_a_full_disk_is_a_store_error_and_reading_goes_on(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    catalogue = SqlCatalogue(database)
    catalogue.put_many([Item("a")])
    with database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk is full"):
        catalogue.put_many([Item("b", title={"en": "x" * 100_000})])
    assert [item.item_id for item in catalogue.items()] == ["a"]
    database.close()


def test_an_item_that_cannot_be_read_is_a_store_error(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    catalogue = SqlCatalogue(database)
    catalogue.put_many([Item("a")])
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE items SET document = '{\"item_id\": 3}'")
    with pytest.raises(StoreError, match="cannot be read"):
        catalogue.get("a")
    database.close()


def test_an_event_of_a_newer_releases_channel_is_a_store_error(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    events = SqlEvents(database)
    now = datetime(2026, 1, 31, tzinfo=UTC)
    events.append([Interaction("e1", "click", "c1", "i1", now)], received_at=now)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE events SET channel = 'hologram'")
    with pytest.raises(StoreError, match="hologram: install a newer release"):
        list(events.each())
    database.close()


def test_every_field_of_an_interaction_has_a_place_in_the_table() -> None:
    # The columns come first, then the fields of the document, in the order of the domain's own fields.
    names = list(Interaction.__struct_fields__)
    assert names[6:] == list(_Rest.__struct_fields__)
    assert set(names[:6]) == set(EventRow._fields[:6]) == {column.name for column in list(events_table.c)[:6]}
    assert (*EventRow._fields, "sequence") == tuple(events_table.c.keys())


@pytest.mark.parametrize(
    "moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)]
)
def test_any_moment_keeps_its_microseconds(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment


@pytest.fixture
def empty_schema() -> Iterator[str]:
    """The URL of a PostgreSQL schema with nothing in it."""
    plain = os.environ["RECSVC_TEST_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    name = f"recsvc_race_{uuid.uuid4().hex}"
    server = sqlalchemy.create_engine(plain)
    with server.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    yield server.url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)
    with server.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
    server.dispose()


@needs_postgresql
def test_many_processes_may_open_a_new_postgresql_schema_at_once(empty_schema: str) -> None:
    open_at_once(empty_schema, 6)
    database = open_database(empty_schema)
    assert SqlCatalogue(database).revision() == 6
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    database.close()


@needs_postgresql
def test_ids_compare_byte_by_byte_in_postgresql_whatever_its_language(empty_schema: str) -> None:
    database = open_database(empty_schema)
    columns = (
        "SELECT column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND column_name LIKE '%%\\_id'"
    )
    with database.reading() as connection:
        found = connection.exec_driver_sql(columns).all()
    database.close()
    ids = {"item_id", "customer_id", "event_id", "key_id", "rule_id", "run_id", "identity_id"}
    ids |= {"slate_id", "offer_id", "decision_id"}
    assert {name for name, _ in found} == ids
    assert {collation for _, collation in found} == {"C"}


def test_questions_at_once_have_a_connection_each_and_later_ones_use_them_again(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store.sqlite3"))
    is_over = threading.Barrier(4)

    def look(number: int) -> object:
        def question(connection: sqlite3.Connection) -> object:
            is_over.wait(10)
            return connection.execute("SELECT ?", (number,)).fetchone()

        return database._ask(question)

    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(look, range(4))) == [(0,), (1,), (2,), (3,)]
        assert len(database._idle) == 4
    lent = [*database._idle]

    def close_meanwhile(in_use: sqlite3.Connection) -> object:
        database.close()
        return in_use.execute("SELECT 5").fetchone()

    assert database._ask(close_meanwhile) == (5,), "nobody closes what is in use"
    for connection in lent:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    assert database.look_up("SELECT ?", (5,)) == (5,), "who asks again opens anew"
    database.close()


def test_a_forked_child_looks_up_on_a_connection_of_its_own(tmp_path: Path) -> None:
    words = [sys.executable, "-c", LOOK_UP_AFTER_A_FORK, url_of(tmp_path / "store.sqlite3")]
    subprocess.run(words, check=True, timeout=60)


def test_a_thread_that_python_did_not_start_may_look_up_and_end(tmp_path: Path) -> None:
    """Such are the threads of the server: what of them Python knows is cleared as they end."""
    words = [sys.executable, "-c", LOOK_UP_FROM_A_THREAD_OF_THE_SERVER, url_of(tmp_path / "store.sqlite3")]
    subprocess.run(words, check=True, timeout=60)


def test_a_store_that_is_closed_lets_go_what_others_are_asking(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CLOSE_WHILE_OTHERS_LOOK_UP, url_of(tmp_path / "store.sqlite3")]
    subprocess.run(words, check=True, timeout=60)
