"""Experiments in SQL. In: what analysts register. Out: experiments in their phases, and a revision.

The revision moves with every change, in the transaction that makes it: whoever saw it stand still has missed
nothing. The phase is computed in there too, so of two who begin an experiment at once one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from recsvc.domain.experiments import Experiment
from recsvc.domain.moments import from_micros, to_micros
from recsvc.domain.records import Versioned
from recsvc.domain.registration import Registered, check_registrable, check_room
from recsvc.stores.database import Database
from recsvc.stores.documents import check_expected, decode_document, encode_document, etag_of
from recsvc.stores.tables import experiments, experiments_revision

_ALL = select(experiments).order_by(experiments.c.key)
_ONE = select(experiments).where(experiments.c.key == bindparam("wanted"))
_REVISION = select(experiments_revision.c.revision).where(experiments_revision.c.id == 1)
_LOOK = "SELECT revision FROM experiments_revision WHERE id = 1"  # Each worker asks it again and again.


class SqlExperiments:
    """The experiments as they are registered, those that were stopped included."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """A number that moves with every change; 0 while nothing was ever registered. Raises StoreError."""
        row = self._database.look_up(_LOOK, ())
        return int(row[0]) if row else 0

    def experiments(self) -> tuple[Experiment, ...]:
        """Every experiment by key. Raises StoreError."""
        return tuple(one.value for one in self.versions())

    def versions(self) -> tuple[Versioned[Experiment], ...]:
        """Every experiment with its version and when it was written, by key. Raises StoreError."""
        with self._database.reading() as connection:
            return tuple(map(_versioned, connection.execute(_ALL).all()))

    def get(self, key: str) -> Versioned[Experiment] | None:
        """The experiment, its version and when it was written; None without one. Raises StoreError."""
        with self._database.reading() as connection:
            return _find(connection, key)

    def put(self, experiment: Experiment, *, expected: str | None, now: datetime) -> Registered:
        """Register the experiment, or replace the version `expected` ("*" is any version there is).

        Raises:
            PreconditionRequiredError: there is one, and `expected` is None.
            PreconditionFailedError: it is another version, or there is none.
            ConflictError: its status or a change cannot follow what is stored, or its place is taken.
            StoreError: nothing was changed.
        """
        check_registrable(experiment.key)
        with self._database.writing() as connection:
            revision = _lock_revision(connection)
            rows: Sequence[Any] = connection.execute(_ALL).all()
            stored = {row.key: row for row in rows}
            before = stored.get(experiment.key)
            check_expected(None if before is None else before.document, expected)
            kept = None if before is None else _decode(before.document)
            begun = experiment.begun_from(kept, now=now)
            check_room(begun, (_decode(row.document) for row in rows), now=now)
            written = self._write(connection, begun, revision + 1, now)
        return Registered(written, created=before is None)

    def pause(self, key: str, *, phase: int, because: str, now: datetime) -> bool:
        """Pause the experiment if it runs in that phase; whether it did. Raises StoreError."""
        with self._database.writing() as connection:
            revision = _lock_revision(connection)
            found = _find(connection, key)
            if found is None or not found.value.runs_in(phase):
                return False
            self._write(connection, found.value.paused(because, now=now), revision + 1, now)
        return True

    def _write(
        self, connection: Connection, experiment: Experiment, revision: int, now: datetime
    ) -> Versioned[Experiment]:
        document = encode_document(experiment, f"experiment {experiment.key}")
        values = {"document": document, "updated_at": to_micros(now)}
        statement = self._database.insert(experiments).values(key=experiment.key, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=values))
        connection.execute(update(experiments_revision).values(revision=revision))
        return Versioned(experiment, etag_of(document), now)


def _lock_revision(connection: Connection) -> int:
    """The revision, which nobody else may move until the transaction ends: changes queue up."""
    return int(connection.execute(_REVISION.with_for_update()).scalar_one())


def _find(connection: Connection, key: str) -> Versioned[Experiment] | None:
    row = connection.execute(_ONE, {"wanted": key}).one_or_none()
    return None if row is None else _versioned(row)


def _versioned(row: Any) -> Versioned[Experiment]:
    return Versioned(_decode(row.document), etag_of(row.document), from_micros(row.updated_at))


def _decode(document: str) -> Experiment:
    return decode_document(document, Experiment, "an experiment")
