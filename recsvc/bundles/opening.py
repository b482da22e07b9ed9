"""Open a bundle. In: a folder. Out: checked, memory-mapped, read-only arrays, or a refusal with its reason.

Everything is checked before anything is served: files against the manifest, checksums, types, shapes,
finite values, and that the arrays fit together.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

import msgspec
import numpy as np

from recsvc.bundles.bundle import AnyArray, Bundle, Stamp, stamp_of
from recsvc.bundles.gate_report import REPORT_FILE
from recsvc.bundles.manifest import (
    SUPPORTED_FORMATS,
    ArrayFact,
    Manifest,
    decode_manifest,
    encode_manifest,
)
from recsvc.bundles.soundness import check_soundness
from recsvc.errors import BundleCorruptError, BundleIncompatibleError, BundleNotFoundError
from recsvc.typed_decoding import decode_json

MANIFEST_FILE = "manifest.json"


def open_bundle(path: Path) -> Bundle:
    """Open a bundle after a full check of its bytes.

    Raises:
        BundleNotFoundError: there is no such bundle.
        BundleCorruptError: a file is missing, extra, cut short or altered, or its content is unsound.
        BundleIncompatibleError: the format is one that this release does not read.
    """
    manifest = read_manifest(path)
    _check_file_names(path, manifest)
    bundle = _opened(path, manifest, _check_array)
    check_soundness(bundle)
    return bundle


def map_bundle(path: Path) -> Bundle:
    """Open a bundle that somebody checked as its files stand: nothing of the arrays is read.

    Raises as `open_bundle` does, for what does not fit its manifest at first sight.
    """
    return _opened(path, read_manifest(path), _map_array)


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
        found = decode_json(raw, _Format).format
        if found not in SUPPORTED_FORMATS:
            raise BundleIncompatibleError(version, found=found, supported=SUPPORTED_FORMATS)
        manifest = decode_manifest(raw)
        is_as_written = encode_manifest(manifest) == raw and manifest.with_version() == manifest
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise BundleCorruptError(version, MANIFEST_FILE, f"cannot be parsed ({error})") from error
    if not is_as_written:
        raise BundleCorruptError(version, MANIFEST_FILE, "is not as it was written")
    if manifest.version != version:
        raise BundleCorruptError(version, MANIFEST_FILE, f"is that of bundle {manifest.version}")
    return manifest


class _Format(msgspec.Struct):
    format: int


def _check_file_names(path: Path, manifest: Manifest) -> None:
    wanted = {MANIFEST_FILE, *(f"{name}.npy" for name in manifest.arrays)}
    try:
        found = set(os.listdir(path))
    except OSError as error:
        raise BundleCorruptError(
            manifest.version, "its folder", f"cannot be read ({error.strerror})"
        ) from error
    for name in sorted(wanted - found):
        raise BundleCorruptError(manifest.version, name, "is missing")
    for name in sorted(found - wanted - {REPORT_FILE}):
        raise BundleCorruptError(manifest.version, name, "is not part of the bundle")


_OpenArray = Callable[[BufferedReader, str, str, ArrayFact], AnyArray]


def _opened(path: Path, manifest: Manifest, open_array: _OpenArray) -> Bundle:
    """Every file is opened once, so what is mapped is what was checked."""
    arrays: dict[str, AnyArray] = {}
    stamps: dict[str, Stamp] = {}
    for name, fact in manifest.arrays.items():
        file = path / f"{name}.npy"
        try:
            with file.open("rb") as stream:
                stamps[str(file)] = stamp_of(os.fstat(stream.fileno()))
                arrays[name] = open_array(stream, file.name, manifest.version, fact)
        except (OSError, ValueError) as error:
            raise BundleCorruptError(manifest.version, file.name, f"cannot be read ({error})") from error
    return Bundle(path, manifest, arrays, stamps)


def _check_array(stream: BufferedReader, name: str, version: str, fact: ArrayFact) -> AnyArray:
    if hashlib.file_digest(stream, "sha256").hexdigest() != fact.sha256:
        raise BundleCorruptError(version, name, "has another checksum than its manifest says")
    stream.seek(0)
    array = _map_array(stream, name, version, fact)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BundleCorruptError(version, name, "holds values that are not finite")
    return array


def _map_array(stream: BufferedReader, name: str, version: str, fact: ArrayFact) -> AnyArray:
    array = _map_pages(stream)
    if array.dtype.str != fact.dtype or array.shape != fact.shape:
        raise BundleCorruptError(version, name, "has another shape than its manifest says")
    return array


def _map_pages(stream: BufferedReader) -> AnyArray:
    """The .npy file as an array over its pages, which no write can reach. Nothing is ever unpickled."""
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not of .npy format 1.0")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or is_fortran:
        raise ValueError("not a plain array in row order")
    offset, count = stream.tell(), math.prod(shape)
    if stream.seek(0, os.SEEK_END) != offset + count * dtype.itemsize:
        raise ValueError("longer or shorter than its header says")
    pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    array: AnyArray = np.frombuffer(pages, dtype, count, offset).reshape(shape)
    return array
