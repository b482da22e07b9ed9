"""What the business decides. In: policy.toml. Out: one frozen `Policy` with its version."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

import msgspec

from recsvc.errors import PolicyError


class ItemRule(StrEnum):
    """Whether an interaction type names an item."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


class InteractionTypePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one interaction of a type says for its item."""

    strength: float
    item: ItemRule


class DecayPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How interactions fade. Half-lives are in days; `floor` is a share of the strength."""

    half_life_days: float
    floor: float
    popularity_half_life_days: float

    def __post_init__(self) -> None:
        if self.half_life_days <= 0 or self.popularity_half_life_days <= 0:
            raise ValueError("a half-life must be above 0 days")
        if not 0 <= self.floor <= 1:
            raise ValueError("floor must be 0 to 1")


class ServingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How slates are made and how long they live."""

    slate_ttl_seconds: int
    default_locale: str
    repeat_content: bool
    repeat_offers: bool


class FeedbackPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a customer's own words stop, and for how long."""

    not_interested_days: float
    complaint_stops_marketing_days: float


class LimitsPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often one key may call, in each worker process."""

    events_per_second: int
    profiles_per_10_seconds: int

    def __post_init__(self) -> None:
        if self.events_per_second < 1 or self.profiles_per_10_seconds < 1:
            raise ValueError("a limit must be at least 1")


class ConsentDefault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for a customer whose consents were never recorded."""

    personalisation: bool
    marketing: tuple[str, ...]


class SegmentRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A segment: all of the given tests on one attribute hold. Without an attribute it fits everybody."""

    name: str
    attribute: str | None = None
    equals: str | bool | None = None
    at_least: float | None = None
    below: float | None = None

    def fits(self, attributes: Mapping[str, object]) -> bool:
        """Whether a customer with these attributes belongs to the segment."""
        if self.attribute is None:
            return True
        value = attributes.get(self.attribute)
        if self.equals is not None and value != self.equals:
            return False
        if self.at_least is None and self.below is None:
            return value is not None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.at_least is None or value >= self.at_least) and (
            self.below is None or value < self.below
        )


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    interaction_types: dict[str, InteractionTypePolicy]
    decay: DecayPolicy
    serving: ServingPolicy
    feedback: FeedbackPolicy
    limits: LimitsPolicy
    consent_without_record: ConsentDefault
    segments: tuple[SegmentRule, ...]

    def __post_init__(self) -> None:
        if not self.segments or self.segments[-1].attribute is not None:
            raise ValueError("the last of segments must have no attribute, so that it fits everybody")


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force. `version` is the first 12 hexadecimal digits of its content's SHA-256."""

    version: str
    interaction_types: Mapping[str, InteractionTypePolicy]
    decay: DecayPolicy
    serving: ServingPolicy
    feedback: FeedbackPolicy
    limits: LimitsPolicy
    consent_without_record: ConsentDefault
    segments: tuple[SegmentRule, ...]

    def segment_of(self, attributes: Mapping[str, object]) -> str:
        """The name of the first segment whose rule fits."""
        return next(rule.name for rule in self.segments if rule.fits(attributes))


def load_policy(path: Path | None = None) -> Policy:
    """Read the policy file, or the built-in one.

    Raises:
        PolicyError: the file cannot be read or breaks a rule.
    """
    name = str(path) if path else "the built-in policy.toml"
    try:
        raw = path.read_bytes() if path else files("recsvc").joinpath("policy.toml").read_bytes()
        document = msgspec.convert(tomllib.loads(raw.decode()), type=_Document)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PolicyError(f"{name} cannot be used: {error}; mend it or unset RECSVC_POLICY_FILE") from error
    return Policy(
        version=hashlib.sha256(raw).hexdigest()[:12],
        interaction_types=document.interaction_types,
        decay=document.decay,
        serving=document.serving,
        feedback=document.feedback,
        limits=document.limits,
        consent_without_record=document.consent_without_record,
        segments=document.segments,
    )
