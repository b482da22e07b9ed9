"""The facts of a bundle: what it holds, where it came from, how good it was.

A version is `<time>-<family>-<digest>`: sortable by time, and bound by its last part to every other
fact of the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from recsvc.bundles.measured import Measured as Measured
from recsvc.bundles.propensity import PropensityModel
from recsvc.domain.items import ItemKind
from recsvc.domain.profiles import Population
from recsvc.typed_decoding import decode_json

FORMAT = 3
SUPPORTED_FORMATS = (2, 3)
BLEND = "blend"
LEAST_DEVIATION = 0.01
"""Of the scores that a blend sums up, as a share of their mean: training and serving go by the same."""
NO_DEVIATION = 1e-10
"""What scores of a family that learned nothing differ by: they are rounding, and next to 0 in a blend."""
MOST_PROPOSED = 1_000
"""Of what a history's items propose, so many are looked at: training says what they hold."""
PRIMARY_METRIC = "ndcg@20"
"""What models are chosen by."""
PROPOSED_METRIC = "proposed@20"
"""The share of a list that is found among what its history's items propose."""

Parameter = int | float | str


@dataclass(frozen=True, slots=True)
class ArrayFact:
    """What an array file must be: numpy dtype, shape, and the SHA-256 of the file's bytes."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class GoldenQuery:
    """A history of items and the answer at training: the best items, with their scores."""

    history: tuple[str, ...]
    best: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DataWindow:
    """The times of the first and the last interaction. None where the source had no times."""

    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How much went into the bundle."""

    customers: int
    items: int
    interactions: int
    pairs: int


@dataclass(frozen=True, slots=True)
class PartFacts:
    """One of the families that a model is made of, its weight in the sum, and what it was fitted with."""

    family: str
    weight: float
    parameters: Mapping[str, Parameter]


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """How what is live is weighed against what was trained, as a replay of the history chose it.

    `kind` is that of the items that were met: the choice holds for them, and those of another kind are
    ranked by what was trained alone.
    `weights` are by live part, `trained_weight` is of the model's standardised score; `n_learned` is how
    many first meetings they were chosen by. `metrics` is by contestant (blend, live, trained), then metric.
    """

    kind: ItemKind
    half_life_days: float
    long_half_life_days: float
    weights: Mapping[str, float]
    trained_weight: float
    n_learned: int
    metrics: Mapping[str, Mapping[str, Measured]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything about a bundle but its arrays. `metrics` is by model, then by metric (`ndcg@20`).

    `strength_scale` is what strengths were multiplied by before anything was fitted to them. `lists` is by
    model, then by what its lists of 10, 20 and 100 do as a whole: coverage, gini, novelty, and of the shorter
    ones intra_list_diversity where items have categories; where neighbours propose, of the chosen one also
    proposed@20, the share of its exact first 20 that the proposals hold.
    """

    version: str
    parts: tuple[PartFacts, ...]
    strength_scale: float
    created_at: datetime
    seed: int
    data_window: DataWindow
    rows: RowCounts
    policy_version: str
    categories: tuple[str, ...]
    segments: tuple[str, ...]
    channels: tuple[str, ...]
    libraries: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, Measured]]
    holdout: str
    arrays: Mapping[str, ArrayFact]
    golden_queries: tuple[GoldenQuery, ...]
    population: Population | None = None
    live: LiveFacts | None = None
    lists: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    name: str = ""
    propensity: PropensityModel | None = None
    format: int = FORMAT

    @property
    def family(self) -> str:
        """The family of the only part; of several it is a blend."""
        return self.parts[0].family if len(self.parts) == 1 else BLEND

    def with_version(self) -> Manifest:
        """The same facts under the version that they determine."""
        moment = self.created_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        return replace(self, version=f"{moment}-{self.family}-{self.digest()[:6]}")

    def digest(self) -> str:
        """SHA-256 over every fact but the version."""
        return hashlib.sha256(encode_manifest(replace(self, version=""))).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as indented JSON with sorted keys.

    A propensity model that is not there is not named: a bundle from before there were any stays as it was.
    """
    facts = msgspec.to_builtins(manifest)
    if manifest.propensity is None:
        del facts["propensity"]
    return msgspec.json.format(msgspec.json.encode(facts, order="sorted"), indent=1) + b"\n"


def decode_manifest(raw: bytes) -> Manifest:
    """Read a manifest. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return decode_json(raw, Manifest)
