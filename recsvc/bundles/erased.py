"""Erased customers in bundles. In: a bundle, who was erased. Out: nothing, or a refusal.

A bundle that knows somebody who was erased after it was trained is not promoted: it is asked just before.
One that served before may be rolled back to, since a tombstone takes the customer's row from whatever serves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from recsvc.bundles.bundle import Bundle
from recsvc.errors import BundleErasedError

ErasedAmong = Callable[[Iterable[str]], Mapping[str, datetime]]
"""Those of the customers who were erased, and when: `SqlCustomers.erased_among`."""


def check_none_erased(bundle: Bundle, erased_among: ErasedAmong) -> None:
    """Refuse a bundle that knows customers who were erased since its training began. Raises StoreError.

    Ids are made one by one as they are asked for: where nobody was ever erased, none is.

    Raises:
        BundleErasedError: how many there are.
    """
    ids = map(bundle.customers.id_of, range(len(bundle.customers)))
    created_at = bundle.manifest.created_at
    n_erased = sum(erased_at >= created_at for erased_at in erased_among(ids).values())
    if n_erased:
        raise BundleErasedError(bundle.version, n_erased)
