"""Bundles as large as those of a bank with many customers. In: a trained bundle. Out: others beside it.

Each customer stands there many times over under ids of their own, so what grows is what grows in earnest:
ids, histories and profiles. Whatever a bundle's items are called begins with the bundle's mark, so that an
answer shows which bundles it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsvc.bundles.bundle import AnyArray, Bundle
from recsvc.bundles.id_table import id_arrays
from recsvc.bundles.item_pages import item_arrays
from recsvc.bundles.layouts import COMMON
from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry


def publish_big(bundle: Path, registry: Registry, *, mark: str, megabytes: float) -> str:
    """Publish the bundle with so many copies of each customer that it is about so large; its version."""
    opened = open_bundle(bundle)
    once = sum(array.nbytes for array in opened.arrays.values())
    each = sum(array.nbytes for array in _copied(opened, 2).values()) / 2
    n_copies = max(1, round((megabytes * 1e6 - once) / each))
    arrays = dict(opened.arrays) | _copied(opened, n_copies) | _marked(opened, mark)
    rows = opened.manifest.rows
    counts = replace(rows, customers=rows.customers * n_copies, pairs=rows.pairs * n_copies)
    manifest = replace(opened.manifest, name=f"{mark}, {n_copies} of each customer", rows=counts)
    return registry.publish(manifest, arrays).version


def copy_of(customer_id: str, number: int) -> str:
    """The id of the customer's copy; number 0 is the customer."""
    return f"{customer_id}.{number:05}" if number else customer_id


def _copied(bundle: Bundle, n: int) -> Mapping[str, AnyArray]:
    ids = [
        copy_of(customer_id, number)
        for customer_id in bundle.customers.ids_of(range(len(bundle.customers)))
        for number in range(n)
    ]
    of_customers = [name for name, (_, dimensions) in COMMON.items() if dimensions[0] == "customers"]
    found: dict[str, AnyArray] = {name: np.repeat(bundle.arrays[name], n, axis=0) for name in of_customers}
    for name, runs in (("history", ("items", "strengths")), ("refused", ("items",))):
        offsets = bundle.arrays[f"{name}_offsets"]
        lengths = np.repeat(np.diff(offsets), n)
        starts = np.repeat(offsets[:-1], n)
        ends = np.cumsum(lengths)
        places = np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1])
        found |= {f"{name}_{run}": bundle.arrays[f"{name}_{run}"][places] for run in runs}
        found[f"{name}_offsets"] = np.concatenate([[0], ends]).astype(np.int64)
    if "live_meeting_customers" in bundle.arrays:
        found["live_meeting_customers"] = bundle.arrays["live_meeting_customers"] * np.int32(n)
    return found | dict(id_arrays("customer_ids", ids))


def _marked(bundle: Bundle, mark: str) -> Mapping[str, AnyArray]:
    return item_arrays([replace(item, title=_with_mark(item.title, mark)) for item in bundle.catalogue])


def _with_mark(title: Mapping[str, str], mark: str) -> Mapping[str, str]:
    return {locale: f"{mark} {text}" for locale, text in title.items()}
