"""Write a sample bank to files. In: the bank, a folder. Out: Parquet, JSON lines, the truth, and a note."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recsvc.sample_bank.bank import SampleBank

_NOTE = """\
Everything in this folder is synthetic.

It was made by a random number generator from a seed. No customer here is a real person, Specimen Bank is
not a real bank, no offer is a real product, and no article was ever published. Any likeness to a person,
a bank or a product is chance. Rates, costs and warnings are examples and no advice.

events.parquet    what customers did, in order of time, with the fields of a recsvc event
items.jsonl       articles and offers, one JSON object a line
customers.jsonl   attributes, consents and suitability, one JSON object a line
truth.json        the tastes and lifecycle stages that the generator meant; for tests only

这个文件夹里的所有数据都是合成的，与任何真实的个人、银行或产品无关。
"""


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """Where the files of a sample bank stand."""

    events: Path
    items: Path
    customers: Path
    truth: Path
    note: Path


def write_sample_bank(bank: SampleBank, folder: Path) -> SampleFiles:
    """Write the bank into the folder, which is made if need be. Files of the same names are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = SampleFiles(
        events=folder / "events.parquet",
        items=folder / "items.jsonl",
        customers=folder / "customers.jsonl",
        truth=folder / "truth.json",
        note=folder / "README.txt",
    )
    bank.events.write_parquet(paths.events)
    paths.items.write_bytes(_json_lines(bank.items))
    paths.customers.write_bytes(_json_lines(bank.customers))
    paths.truth.write_bytes(msgspec.json.encode(bank.truth))
    paths.note.write_text(_NOTE, encoding="utf-8")
    return paths


def _json_lines(values: Iterable[object]) -> bytes:
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(value) + b"\n" for value in values)
