"""Training runs in SQL: the truth about them. In: runs asked for, signs of life. Out: runs as they stand.

Every change reads the row and writes it in one transaction that holds it, so a run is claimed once, ends
once, and at most one is open: the table's own constraint sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, insert, select, update

from recsvc.domain.moments import to_micros
from recsvc.domain.training_runs import (
    QUOTA_WINDOW,
    Beat,
    Outcome,
    Pulse,
    RunState,
    TrainingRun,
    check_quota,
)
from recsvc.errors import NotFoundError, RunOpenError
from recsvc.stores.database import Database
from recsvc.stores.documents import decode_document, encode_document
from recsvc.stores.tables import training_runs as runs

MAX_LISTED = 100


class SqlTrainingRuns:
    """The runs of this installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(
        self, run: TrainingRun, *, idempotency_key: str | None = None, runs_per_hour: int | None = None
    ) -> TrainingRun:
        """Queue a run; the one that stands under the idempotency key already, if one does.

        Raises:
            RunRepeatedError: the key stands for another request.
            RunOpenError: a run is open.
            TooManyRunsError: in the hour before, that many first attempts were asked for.
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            _lock_table(connection)
            if idempotency_key is not None and (known := _by_key(connection, idempotency_key)):
                return known.check_same(run)
            if open_run := _open(connection):
                raise RunOpenError(open_run.run_id)
            if runs_per_hour is not None:
                check_quota(
                    _asked_since(connection, run.asked_at - QUOTA_WINDOW), run.asked_at, runs_per_hour
                )
            connection.execute(insert(runs).values(idempotency_key=idempotency_key, **_columns(run)))
        return run

    def get(self, run_id: str) -> TrainingRun | None:
        """The run; None when there is none. Raises StoreError."""
        with self._database.reading() as connection:
            row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
        return None if row is None else _decode(row)

    def listed(self, limit: int = MAX_LISTED) -> tuple[TrainingRun, ...]:
        """The runs that were asked for last, newest first. Raises StoreError."""
        newest = select(runs).order_by(runs.c.asked_at.desc(), runs.c.run_id.desc()).limit(limit)
        with self._database.reading() as connection:
            rows = connection.execute(newest).all()
        return tuple(_decode(row) for row in rows)

    def open(self) -> TrainingRun | None:
        """The run that is queued or running. Raises StoreError."""
        with self._database.reading() as connection:
            return _open(connection)

    def claim(self, run_id: str, *, now: datetime) -> TrainingRun | None:
        """Take up a queued run; None where it is not queued any more. Raises StoreError."""
        return self._change(run_id, lambda run: run.claimed(now) if run.state is RunState.QUEUED else None)

    def beat(self, run_id: str, beat: Beat, *, now: datetime) -> Pulse:
        """Give a sign of life; what it is answered with. Raises StoreError."""
        run = self._change(run_id, lambda run: run.beaten(beat, now) if run.is_running else None)
        return Pulse.LOST if run is None else run.pulse

    def settle(self, run_id: str, outcome: Outcome, *, now: datetime) -> bool:
        """Note how the run ends, before its bundle moves an alias; False where it may not any more.

        It may while it is running and nobody wants it cancelled. Raises StoreError.
        """

        def settled(run: TrainingRun) -> TrainingRun | None:
            return run.settled(outcome, now) if run.is_running and not run.is_cancelling else None

        return self._change(run_id, settled) is not None

    def finish(self, run_id: str, outcome: Outcome, *, now: datetime) -> TrainingRun | None:
        """End a running run; None where it is not running any more. Raises StoreError."""
        return self._change(run_id, lambda run: run.ended(outcome, now) if run.is_running else None)

    def cancel(self, run_id: str, *, now: datetime) -> TrainingRun:
        """End a queued run, or ask the worker of a running one to end it; the run as it stands now.

        Raises:
            NotFoundError: there is no such run.
            RunEndedError: it has ended, or it is settled how it ends.
            StoreError: nothing was changed.
        """
        run = self._change(run_id, lambda run: run.cancelled(now))
        if run is None:
            raise NotFoundError("there is no such training run")
        return run

    def interrupt(
        self, run_id: str, *, now: datetime, silent_since: datetime | None = None, retry_as: str | None = None
    ) -> TrainingRun | None:
        """Mark a running run whose worker is gone, and queue its next attempt; the run as it ended.

        None where it is not running any more, is settled, or gave a sign of life
        after `silent_since`. A run that was to be cancelled is cancelled, and not tried again.

        Raises:
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            row = _locked(connection, run_id)
            run = None if row is None else _decode(row).interrupted(now, silent_since, retry_as)
            if run is None:
                return None
            _write(connection, run)
            if run.retried_as is not None:
                connection.execute(insert(runs).values(**_columns(run.again(run.retried_as, now))))
        return run

    def _change(self, run_id: str, change: Callable[[TrainingRun], TrainingRun | None]) -> TrainingRun | None:
        with self._database.writing() as connection:
            row = _locked(connection, run_id)
            changed = None if row is None else change(_decode(row))
            if changed is not None:
                _write(connection, changed)
        return changed


def _lock_table(connection: Connection) -> None:
    """Of several who ask at once, one after the other: on SQLite every writing transaction is alone."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE training_runs IN SHARE ROW EXCLUSIVE MODE")


def _columns(run: TrainingRun) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "asked_at": to_micros(run.asked_at),
        "is_open": 1 if run.state.is_open else None,
        "heartbeat_at": None if run.heartbeat_at is None else to_micros(run.heartbeat_at),
        "is_cancelling": int(run.is_cancelling),
        "document": encode_document(run, f"training run {run.run_id}"),
    }


def _write(connection: Connection, run: TrainingRun) -> None:
    connection.execute(update(runs).where(runs.c.run_id == run.run_id).values(**_columns(run)))


def _locked(connection: Connection, run_id: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(select(runs).where(runs.c.run_id == run_id).with_for_update()).one_or_none()


def _open(connection: Connection) -> TrainingRun | None:
    row = connection.execute(select(runs).where(runs.c.is_open == 1)).one_or_none()
    return None if row is None else _decode(row)


def _by_key(connection: Connection, key: str) -> TrainingRun | None:
    row = connection.execute(select(runs).where(runs.c.idempotency_key == key)).one_or_none()
    return None if row is None else _decode(row)


def _asked_since(connection: Connection, since: datetime) -> Sequence[TrainingRun]:
    rows = connection.execute(select(runs).where(runs.c.asked_at > to_micros(since))).all()
    return [_decode(row) for row in rows]


def _decode(row: Row[tuple[object, ...]]) -> TrainingRun:
    return decode_document(str(row.document), TrainingRun, "a training run")
