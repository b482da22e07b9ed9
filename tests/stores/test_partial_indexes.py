"""A partial index serves only a query with the very same words: the migrations and the queries must agree."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from recsvc.stores.database import open_database
from recsvc.stores.tables import ANSWERS, COMES_LATE, STANDS

INDEXES = {"events_that_stand": STANDS, "events_come_late": COMES_LATE, "events_that_answer": ANSWERS}


@pytest.mark.parametrize("index", INDEXES)
def test_the_migrated_store_indexes_by_the_words_of_the_queries(tmp_path: Path, index: str) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    with closing(open_database(url)) as database, database.reading() as connection:
        made = connection.execute(text(f"SELECT sql FROM sqlite_master WHERE name = '{index}'"))
        assert INDEXES[index] in made.scalar_one()
