"""What the promotion gate found. In: a decision and its figures. Out: a file beside the bundle, and back.

The report is kept with its version, but is no part of what the manifest speaks for: a bundle may be judged
again, and stays the same bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from recsvc.typed_decoding import decode_json

REPORT_FILE = "gate.json"


class Decision(StrEnum):
    """What becomes of a candidate."""

    PROMOTE = "promote"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class GateReason:
    """Why: a code to go by, and one sentence with the figures that were compared."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure of the same customers under both models.

    `change` is what the candidate gains, as a share of the champion's figure; `low` and `high` are its
    bounds, one-sided, of 95 % each. None where the champion's figure is 0.
    """

    candidate: float
    champion: float
    change: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class GuardrailOutcome:
    """One guardrail. `limit` is what the candidate's figure must reach at least.

    `holds` is None where there was nothing to judge by; `note` says what was measured, or what was lacking.
    """

    name: str
    candidate: float | None
    champion: float | None
    limit: float | None
    holds: bool | None
    note: str


@dataclass(frozen=True, slots=True)
class SegmentOutcome:
    """The primary metric within a segment; `compared` is None for one that is too small to be judged."""

    segment: str
    n_customers: int
    compared: Compared | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class PersonaOutcome:
    """A made-up customer: the shares of the expected categories in the first ten items.

    `wanted` is the least share that passes. `holds` is None where the model knows nothing of its history.
    """

    name: str
    history: tuple[str, ...]
    expect_categories: tuple[str, ...]
    candidate: float | None
    champion: float | None
    wanted: float | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class GateReport:
    """The decision on a version. `basis` says what stood for the champion, `holdout` what was judged on.

    Without a champion, or without anything to judge by, there are no figures.
    """

    version: str
    champion: str | None
    decision: Decision
    reasons: tuple[GateReason, ...]
    basis: str = ""
    holdout: str = ""
    n_customers: int = 0
    metric: str = ""
    primary: Compared | None = None
    guardrails: tuple[GuardrailOutcome, ...] = ()
    segments: tuple[SegmentOutcome, ...] = ()
    personas: tuple[PersonaOutcome, ...] = ()

    @property
    def promotes(self) -> bool:
        """Whether the candidate may take the champion's place."""
        return self.decision is Decision.PROMOTE


def encode_report(report: GateReport) -> bytes:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def decode_report(raw: bytes) -> GateReport:
    """Read a report. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return decode_json(raw, GateReport)
