"""Merchandising rules in SQL. In: rules. Out: rules, and a catalogue's revision that moves with every change.

The revision is the catalogue's own: a change of a rule reaches every worker as a change of an item does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from recsvc.domain.merchandising import MerchandisingRule, check_room
from recsvc.domain.records import Versioned, Written
from recsvc.stores.catalogue import lock_revision, move_revision
from recsvc.stores.database import Database
from recsvc.stores.documents import check_expected, decode_document, encode_document, etag_of
from recsvc.stores.tables import merchandising_rules as rules

_ALL = select(rules.c.document).order_by(rules.c.rule_id)
_ONE = select(rules.c.document).where(rules.c.rule_id == bindparam("wanted"))
_OTHERS = select(rules.c.document).where(rules.c.rule_id != bindparam("but"))
_DELETE = delete(rules).where(rules.c.rule_id == bindparam("unwanted"))


class _End(msgspec.Struct):
    """What of a document tells when the rule ends."""

    ends_at: datetime


class SqlMerchandising:
    """The rules as marketers keep them, those that have ended included."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rules(self) -> tuple[MerchandisingRule, ...]:
        """Every rule by id. Raises StoreError."""
        with self._database.reading() as connection:
            documents = connection.execute(_ALL).scalars().all()
        return tuple(_decode(document) for document in documents)

    def get(self, rule_id: str) -> Versioned[MerchandisingRule] | None:
        """The rule and its version; None when there is none. Raises StoreError."""
        with self._database.reading() as connection:
            document = _document(connection, rule_id)
        return None if document is None else Versioned(_decode(document), etag_of(document))

    def put(self, rule: MerchandisingRule, *, expected: str | None, now: datetime) -> Written:
        """Create the rule, or replace the version `expected` ("*" is any version there is).

        Raises:
            TooManyRulesError: with it more rules than `MAX_OPEN_RULES` would not have ended by `now`.
            PreconditionRequiredError: there is a rule, and `expected` is None.
            PreconditionFailedError: the rule is another version, or gone.
            StoreError: nothing was changed.
        """
        document = encode_document(rule, f"rule {rule.rule_id}")
        insert = self._database.insert(rules).values(rule_id=rule.rule_id, document=document)
        with self._database.writing() as connection:
            revision = lock_revision(connection)
            stored = _document(connection, rule.rule_id)
            check_expected(stored, expected)
            check_room(rule, (_end_of(one) for one in _others(connection, rule.rule_id)), now)
            connection.execute(
                insert.on_conflict_do_update(index_elements=["rule_id"], set_={"document": document})
            )
            move_revision(connection, revision + 1)
        return Written(etag_of(document), created=stored is None)

    def delete(self, rule_id: str, *, expected: str | None) -> bool:
        """Remove the rule; False when there is none.

        Raises:
            PreconditionRequiredError: there is a rule, and `expected` is None.
            PreconditionFailedError: the rule is another version.
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            revision = lock_revision(connection)
            stored = _document(connection, rule_id)
            if stored is None:
                return False
            check_expected(stored, expected)
            connection.execute(_DELETE, {"unwanted": rule_id})
            move_revision(connection, revision + 1)
        return True


def _document(connection: Connection, rule_id: str) -> str | None:
    stored = connection.execute(_ONE, {"wanted": rule_id}).scalar_one_or_none()
    return None if stored is None else str(stored)


def _others(connection: Connection, rule_id: str) -> Sequence[str]:
    return connection.execute(_OTHERS, {"but": rule_id}).scalars().all()


def _end_of(document: str) -> datetime:
    return decode_document(document, _End, "a merchandising rule").ends_at


def _decode(document: str) -> MerchandisingRule:
    return decode_document(document, MerchandisingRule, "a merchandising rule")
