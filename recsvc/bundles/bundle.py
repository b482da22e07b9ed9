"""A bundle as serving holds it. In: a folder. Out: checked, memory-mapped, read-only arrays.

Everything is checked before anything is served: files against the manifest, checksums, types, shapes,
finite values, and that every row that an array points at exists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.id_table import IdTable
from recsvc.bundles.manifest import SUPPORTED_FORMATS, Manifest, decode_manifest
from recsvc.domain.items import Item
from recsvc.domain.profiles import CustomerProfile
from recsvc.errors import BundleCorruptError, BundleIncompatibleError, BundleNotFoundError

MANIFEST_FILE = "manifest.json"
AnyArray = NDArray[Any]


@dataclass(frozen=True, slots=True)
class History:
    """What a customer did, as the model sees it: item rows, and the strength of each. Both (n,)."""

    item_rows: NDArray[np.int32]
    strengths: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.item_rows)


@dataclass(frozen=True)
class Bundle:
    """One trained version. `arrays` are memory-mapped and cannot be written to."""

    path: Path
    manifest: Manifest
    arrays: Mapping[str, AnyArray]

    @property
    def version(self) -> str:
        return self.manifest.version

    @cached_property
    def items(self) -> IdTable:
        return IdTable(self.arrays["item_ids_text"], self.arrays["item_ids_offsets"])

    @cached_property
    def customers(self) -> IdTable:
        return IdTable(self.arrays["customer_ids_text"], self.arrays["customer_ids_offsets"])

    @property
    def popularity(self) -> NDArray[np.float32]:
        """Decayed interactions per item: (n_items,)."""
        return self.arrays["popularity"]

    def segment_popularity(self, segment: str) -> NDArray[np.float32] | None:
        """Decayed interactions per item within a segment: (n_items,); None for an unknown segment."""
        if segment not in self.manifest.segments:
            return None
        row: NDArray[np.float32] = self.arrays["segment_popularity"][self.manifest.segments.index(segment)]
        return row

    def history_of(self, customer_row: int) -> History:
        """What the customer did in the training window."""
        start, stop = self.arrays["history_offsets"][customer_row : customer_row + 2]
        return History(self.arrays["history_items"][start:stop], self.arrays["history_strengths"][start:stop])

    def refused_by(self, customer_row: int) -> NDArray[np.int32]:
        """The rows of the items that the customer turned down in the training window: (n,)."""
        start, stop = self.arrays["refused_offsets"][customer_row : customer_row + 2]
        rows: NDArray[np.int32] = self.arrays["refused_items"][start:stop]
        return rows

    def profile_of(self, customer_row: int) -> CustomerProfile:
        """The customer's portrait as of the end of the training window."""
        facts = self.manifest
        affinity, share = (
            self.arrays[f"profile_{name}"][customer_row] for name in ("category_affinity", "channel_share")
        )
        return CustomerProfile(
            customer_id=self.customers.id_of(customer_row),
            recency_days=float(self.arrays["profile_recency_days"][customer_row]),
            frequency=int(self.arrays["profile_frequency"][customer_row]),
            monetary_value=float(self.arrays["profile_monetary_value"][customer_row]),
            category_affinity={c: float(x) for c, x in zip(facts.categories, affinity, strict=True) if x > 0},
            channel_share={c: float(x) for c, x in zip(facts.channels, share, strict=True) if x > 0},
            segment=facts.segments[int(self.arrays["profile_segment"][customer_row])],
        )

    def catalogue(self) -> tuple[Item, ...]:
        """The items as they were known at training: those with a row in row order, then the others."""
        return msgspec.json.decode(self.arrays["catalogue"].tobytes(), type=tuple[Item, ...])


def open_bundle(path: Path) -> Bundle:
    """Open a bundle after a full check of its bytes.

    Raises:
        BundleNotFoundError: there is no such bundle.
        BundleCorruptError: a file is missing, extra, cut short or altered, or its content is unsound.
        BundleIncompatibleError: the format is one that this release does not read.
    """
    manifest = read_manifest(path)
    _check_file_names(path, manifest)
    arrays = {name: _open_array(path, manifest, name) for name in manifest.arrays}
    bundle = Bundle(path, manifest, arrays)
    _check_structure(bundle)
    return bundle


def read_manifest(path: Path) -> Manifest:
    """Read and check the manifest alone. Raises as `open_bundle` does."""
    version = path.name
    try:
        raw = (path / MANIFEST_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BundleNotFoundError(f"there is no bundle {version}; see recsvc models list") from None
    except OSError as error:
        raise BundleCorruptError(version, MANIFEST_FILE, f"cannot be read ({error.strerror})") from error
    try:
        found = msgspec.json.decode(raw, type=_Format).format
        if found not in SUPPORTED_FORMATS:
            raise BundleIncompatibleError(version, found=found, supported=SUPPORTED_FORMATS)
        manifest = decode_manifest(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleCorruptError(version, MANIFEST_FILE, f"cannot be parsed ({error})") from error
    if manifest.version != version or manifest.with_version().version != version:
        raise BundleCorruptError(version, MANIFEST_FILE, "does not belong to this version")
    return manifest


class _Format(msgspec.Struct):
    format: int


def _check_file_names(path: Path, manifest: Manifest) -> None:
    wanted = {MANIFEST_FILE, *(f"{name}.npy" for name in manifest.arrays)}
    found = {entry.name for entry in path.iterdir()}
    for name in sorted(wanted - found):
        raise BundleCorruptError(manifest.version, name, "is missing")
    for name in sorted(found - wanted):
        raise BundleCorruptError(manifest.version, name, "is not part of the bundle")


def _open_array(path: Path, manifest: Manifest, name: str) -> AnyArray:
    file, fact = path / f"{name}.npy", manifest.arrays[name]
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != fact.sha256:
            raise BundleCorruptError(
                manifest.version, file.name, "has another checksum than its manifest says"
            )
        is_empty = 0 in fact.shape
        array: AnyArray = np.load(file, mmap_mode=None if is_empty else "r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BundleCorruptError(manifest.version, file.name, f"cannot be read ({error})") from error
    if array.dtype.str != fact.dtype or array.shape != fact.shape:
        raise BundleCorruptError(manifest.version, file.name, "has another shape than its manifest says")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BundleCorruptError(manifest.version, file.name, "holds values that are not finite")
    array.flags.writeable = False
    return array


def _check_structure(bundle: Bundle) -> None:
    """Refuse arrays that are sound one by one but do not fit together."""
    rows, arrays = bundle.manifest.rows, bundle.arrays
    _demand(bundle, "item_ids", len(bundle.items) == rows.items, "does not hold every item")
    _demand(bundle, "customer_ids", len(bundle.customers) == rows.customers, "does not hold every customer")
    _demand(bundle, "popularity", len(arrays["popularity"]) == rows.items, "does not hold every item")
    for name in ("item_ids", "customer_ids"):
        text, offsets = arrays[f"{name}_text"], arrays[f"{name}_offsets"]
        _demand(bundle, name, _are_offsets(offsets, len(text)), "has offsets outside its text")
    _demand(bundle, "item_ids", bundle.items.is_in_order(), "is not in order")
    for name in ("history", "refused"):
        offsets, item_rows = arrays[f"{name}_offsets"], arrays[f"{name}_items"]
        _demand(bundle, name, len(offsets) == rows.customers + 1, "does not hold every customer")
        _demand(bundle, name, _are_offsets(offsets, len(item_rows)), "has offsets outside its items")
        in_range = not item_rows.size or (item_rows.min() >= 0 and item_rows.max() < rows.items)
        _demand(bundle, name, bool(in_range), "points at items that do not exist")


def _are_offsets(offsets: AnyArray, end: int) -> bool:
    return bool(offsets[0] == 0 and offsets[-1] == end and (np.diff(offsets) >= 0).all())


def _demand(bundle: Bundle, part: str, holds: bool, otherwise: str) -> None:
    if not holds:
        raise BundleCorruptError(bundle.version, part, otherwise)
