"""Merchandising rules in memory: for tests and trials. Same behaviour as the real store, nothing kept."""

from __future__ import annotations

import threading
from datetime import datetime

from recsvc.domain.merchandising import MerchandisingRule, check_room
from recsvc.domain.records import Versioned, Written
from recsvc.stores.documents import check_expected, encode_document, etag_of
from recsvc.stores.memory_records import MemoryCatalogue


class MemoryMerchandising:
    """The rules as marketers keep them. A change moves the catalogue's revision."""

    def __init__(self, catalogue: MemoryCatalogue) -> None:
        self._catalogue = catalogue
        self._rules: dict[str, MerchandisingRule] = {}
        self._lock = threading.Lock()

    def rules(self) -> tuple[MerchandisingRule, ...]:
        """Every rule by id."""
        with self._lock:
            return tuple(rule for _, rule in sorted(self._rules.items()))

    def get(self, rule_id: str) -> Versioned[MerchandisingRule] | None:
        """The rule and its version; None when there is none."""
        rule = self._rules.get(rule_id)
        return None if rule is None else Versioned(rule, etag_of(_encode(rule)))

    def put(self, rule: MerchandisingRule, *, expected: str | None, now: datetime) -> Written:
        """Create the rule, or replace the version `expected`. Raises as `SqlMerchandising.put` does."""
        document = _encode(rule)
        with self._lock:
            kept = self._rules.get(rule.rule_id)
            check_expected(None if kept is None else _encode(kept), expected)
            others = (one.ends_at for one in self._rules.values() if one.rule_id != rule.rule_id)
            check_room(rule, others, now)
            self._rules[rule.rule_id] = rule
            self._catalogue.move_revision()
        return Written(etag_of(document), created=kept is None)

    def delete(self, rule_id: str, *, expected: str | None) -> bool:
        """Remove the rule; False when there is none. Raises as `SqlMerchandising.delete` does."""
        with self._lock:
            kept = self._rules.get(rule_id)
            if kept is None:
                return False
            check_expected(_encode(kept), expected)
            del self._rules[rule_id]
            self._catalogue.move_revision()
        return True


def _encode(rule: MerchandisingRule) -> str:
    return encode_document(rule, f"rule {rule.rule_id}")
