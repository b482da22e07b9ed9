"""Who answered surveys, and who could have, in SQL. In: a scope. Out: answers, counts, attributes.

An id that is linked to a customer stands for that customer. One who met two variants of an experiment counts
for the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from sys import intern
from typing import Any

import msgspec
from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    and_,
    bindparam,
    exists,
    func,
    literal,
    select,
    text,
    tuple_,
    union,
    union_all,
)

from recsvc.domain.items import Channel
from recsvc.domain.moments import from_micros, to_micros
from recsvc.domain.surveys import Scope, StudiedExperiment, SurveyAnswer, score_on_scale
from recsvc.stores.database import Database
from recsvc.stores.documents import decode_document
from recsvc.stores.event_rows import from_row
from recsvc.stores.tables import ANSWERS, customers, events, experiments, exposures, identities

_PAGE = 5_000
_CHUNK = 5_000
_NEVER = (None, 2**62)
_EXPERIMENT = select(experiments.c.document).where(experiments.c.key == bindparam("wanted"))
_RECORDS = select(customers.c.customer_id, customers.c.document).where(
    customers.c.customer_id.in_(bindparam("ids", expanding=True))
)


class _Variant(msgspec.Struct):
    key: str


class _Experiment(msgspec.Struct):
    """What of an experiment tells whom it has."""

    variants: tuple[_Variant, ...]
    phase: int = 0


class _Record(msgspec.Struct):
    """What of a customer's record tells the segment."""

    attributes: dict[str, Any] = {}


class SqlSatisfaction:
    """What the store knows of surveys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def experiment(self, key: str) -> StudiedExperiment | None:
        """The experiment in the phase that it is in; None when there is none. Raises StoreError."""
        with self._database.reading() as connection:
            document = connection.execute(_EXPERIMENT, {"wanted": key}).scalar_one_or_none()
        if document is None:
            return None
        found = decode_document(document, _Experiment, f"experiment {key}")
        return StudiedExperiment(key, found.phase, tuple(one.key for one in found.variants))

    def answers(self, scope: Scope) -> Iterator[SurveyAnswer]:
        """Every answer by time, then id, a page at a time. Raises StoreError.

        Of an experiment, holds who was exposed in memory: to join them to each page would cost far more.
        """
        met = None if scope.experiment is None else self._first_met(scope.experiment)
        place = tuple_(events.c.occurred_at, events.c.event_id)
        page = (
            _happened(scope, *tuple(events.c)[:7])
            .where(text(ANSWERS), place > tuple_(bindparam("time"), bindparam("id")))
            .order_by(events.c.occurred_at, events.c.event_id)
            .limit(_PAGE)
        )
        after = {"time": to_micros(scope.since) - 1, "id": ""}
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(page, after).all()
            for row in rows:
                variant, exposed_at = (None, 0) if met is None else met.get(row.customer, _NEVER)
                if row.occurred_at >= exposed_at:
                    yield _to_answer(row, variant)
            if len(rows) < _PAGE:
                return
            after = {"time": rows[-1].occurred_at, "id": rows[-1].event_id}

    def n_customers(self, scope: Scope) -> int:
        """How many customers did, or were shown, anything in the scope. Raises StoreError."""
        with self._database.reading() as connection:
            counted = select(func.count()).select_from(_present(scope))
            return int(connection.execute(counted).scalar_one())

    def n_by_channel(self, scope: Scope) -> Mapping[Channel | None, int]:
        """The same by channel; None is for events that name none. Raises StoreError."""
        counted = self._counted_by(scope, "channel").items()
        return {None if name is None else Channel(name): n for name, n in counted}

    def n_by_variant(self, scope: Scope) -> Mapping[str, int]:
        """The same by the variant that they met first. Raises StoreError."""
        return {str(name): n for name, n in self._counted_by(scope, "variant").items()}

    def attributes(self, scope: Scope) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The same customers with their recorded attributes; without a record they have none.

        Holds their ids in memory. Raises StoreError.
        """
        with self._database.reading() as connection:
            ids = list(connection.execute(select(_present(scope).c.customer)).scalars())
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            with self._database.reading() as connection:
                found = connection.execute(_RECORDS, {"ids": chunk}).all()
            documents = {row.customer_id: row.document for row in found}
            for customer_id in chunk:
                document = documents.get(customer_id)
                yield customer_id, {} if document is None else _attributes(document)

    def _first_met(self, experiment: StudiedExperiment) -> Mapping[str, tuple[str, int]]:
        """The variant that each exposed customer met first, and when."""
        first = _first_met(experiment)
        with self._database.reading() as connection:
            found = connection.execute(select(first.c.customer, first.c.variant, first.c.exposed_at))
            return {customer_id: (intern(variant), moment) for customer_id, variant, moment in found}

    def _counted_by(self, scope: Scope, name: str) -> Mapping[str | None, int]:
        present = _present(scope, name)
        counted = select(present.c[name], func.count()).group_by(present.c[name])
        with self._database.reading() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(counted)}


def _happened(scope: Scope, *columns: ColumnElement[Any]) -> Select[Any]:
    """Columns of the events in the scope, whoever was exposed, and the canonical customer of each."""
    customer = func.coalesce(identities.c.customer_id, events.c.customer_id).label("customer")
    source = events.outerjoin(identities, identities.c.identity_id == events.c.customer_id)
    return select(*columns, customer).select_from(source).where(_in_window(scope, events))


def _in_window(scope: Scope, rows: FromClause, moment: str = "occurred_at") -> ColumnElement[bool]:
    column = rows.c[moment]
    holds = and_(column >= to_micros(scope.since), column < to_micros(scope.until))
    return holds if scope.channel is None else and_(holds, rows.c.channel == literal(scope.channel.value))


def _first_met(experiment: StudiedExperiment) -> CTE:
    """Of every customer who was exposed, the first exposure: customer, variant, exposed_at, channel."""
    customer = func.coalesce(identities.c.customer_id, exposures.c.customer_id)
    order = func.row_number().over(
        partition_by=customer, order_by=(exposures.c.exposed_at, exposures.c.variant)
    )
    columns = (exposures.c.variant, exposures.c.exposed_at, exposures.c.channel)
    ranked = (
        select(customer.label("customer"), *columns, order.label("place"))
        .select_from(exposures.outerjoin(identities, identities.c.identity_id == exposures.c.customer_id))
        .where(exposures.c.experiment == experiment.key, exposures.c.phase == experiment.phase)
        .subquery()
    )
    names = ("customer", "variant", "exposed_at", "channel")
    return select(*(ranked.c[name] for name in names)).where(ranked.c.place == 1).cte("first_met")


def _present(scope: Scope, by: str | None = None) -> Subquery:
    """Each customer of the scope once, or once for every channel or variant."""
    if scope.experiment is None:
        return _happened(scope, *([events.c[by]] if by else [])).distinct().subquery()
    first = _first_met(scope.experiment)
    ids = _ids_of(first)
    named = {"channel": events.c.channel, "variant": ids.c.variant}
    did = (
        select(ids.c.customer, *([named[by].label(by)] if by else []))
        .join_from(ids, events, events.c.customer_id == ids.c.id)
        .where(_in_window(scope, events), events.c.occurred_at >= ids.c.exposed_at)
    )
    # Who was exposed was shown a list, whether or not an event tells of it.
    shown = select(first.c.customer, *([first.c[by]] if by else []))
    return union(did, shown.where(_in_window(scope, first, "exposed_at"))).subquery()


def _ids_of(first: CTE) -> Subquery:
    """Every id that events of the exposed may bear, so that these are found by customer."""
    columns = (first.c.customer, first.c.variant, first.c.exposed_at)
    is_linked = exists().where(identities.c.identity_id == first.c.customer)
    own = select(*columns, first.c.customer.label("id")).where(~is_linked)
    linked = select(*columns, identities.c.identity_id.label("id")).join_from(
        first, identities, identities.c.customer_id == first.c.customer
    )
    return union_all(own, linked).subquery()


def _to_answer(row: Any, variant: str | None) -> SurveyAnswer:
    one = from_row(row[:7])
    score = score_on_scale(one.type, one.score, one.scale)
    return SurveyAnswer(row.customer, one.type, score, from_micros(row.occurred_at), one.channel, variant)


def _attributes(document: str) -> Mapping[str, object]:
    return decode_document(document, _Record, "a customer").attributes
