"""A bundle of many customers is not read through where nobody was ever erased."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from recsvc.bundles.erased import check_none_erased
from recsvc.bundles.opening import open_bundle


def test_no_id_is_made_where_nobody_was_erased(published: tuple[Path, Path]) -> None:
    asked: list[Iterable[str]] = []

    def nobody(customer_ids: Iterable[str]) -> dict[str, datetime]:
        asked.append(customer_ids)
        return {}

    check_none_erased(open_bundle(published[0]), nobody)
    assert isinstance(asked[0], Iterator)
