"""What the business decides. In: policy.toml. Out: one frozen `Policy` with its version."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

from recsvc.errors import PolicyError
from recsvc.policy_experiments import ExperimentsPolicy, MetricKind, MetricPolicy
from recsvc.policy_lists import ListsPolicy, PagePolicy, check_pages
from recsvc.policy_offers import OffersPolicy
from recsvc.policy_training import PersonaPolicy, TrainingPolicy

NOTHING_KNOWN: Mapping[str, object] = MappingProxyType({})


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


ProfileField = Literal[
    "lifecycle",
    "journey",
    "recency_days",
    "frequency",
    "monetary_value",
    "recency_score",
    "frequency_score",
    "monetary_score",
    "top_category",
    "top_channel",
]
"""What a segment may ask of a customer's profile."""

LIFECYCLE_STAGES = ("new", "active", "at_risk", "dormant", "churned")
JOURNEY_STAGES = ("attention", "interest", "contact", "impression", "engagement")
_WORDS: Mapping[str, tuple[str, ...]] = {"lifecycle": LIFECYCLE_STAGES, "journey": JOURNEY_STAGES}


class PortraitPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How portraits are drawn: the rules that use these numbers are in `domain`."""

    purchases: tuple[str, ...]
    passive: tuple[str, ...]
    new_days: float
    at_risk_gaps: float
    dormant_days: float
    churned_days: float
    forecast_days: int
    journey_days: int
    journey: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for name in ("new_days", "at_risk_gaps", "dormant_days", "forecast_days", "journey_days"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if self.churned_days < self.dormant_days:
            raise ValueError("churned_days must be no less than dormant_days")
        unknown = [stage for stage in self.journey if stage not in JOURNEY_STAGES]
        if unknown:
            raise ValueError(f"journey knows {', '.join(JOURNEY_STAGES)}, not {unknown[0]}")


class SegmentTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test on one attribute, or on one field of the profile. With neither it fits everybody."""

    attribute: str | None = None
    profile: ProfileField | None = None
    equals: str | bool | None = None
    at_least: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        if self.attribute is not None and self.profile is not None:
            raise ValueError("a test is on an attribute or on a profile field, not on both")
        words = _WORDS.get(self.profile or "")
        if words is not None and (
            self.equals not in words or self.at_least is not None or self.below is not None
        ):
            raise ValueError(f"{self.profile} must have equals, one of {', '.join(words)}")

    @property
    def fits_everybody(self) -> bool:
        """Whether nothing is tested."""
        return self.attribute is None and self.profile is None

    def fits(self, attributes: Mapping[str, object], fields: Mapping[str, object] = NOTHING_KNOWN) -> bool:
        """Whether a customer with these attributes and profile fields passes."""
        if self.fits_everybody:
            return True
        value = fields.get(self.profile) if self.profile is not None else attributes.get(self.attribute or "")
        if self.equals is not None and value != self.equals:
            return False
        if self.at_least is None and self.below is None:
            return value is not None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.at_least is None or value >= self.at_least) and (
            self.below is None or value < self.below
        )


class SegmentRule(SegmentTest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A segment: its own test holds, and every one of `all`."""

    name: str
    all: tuple[SegmentTest, ...] = ()

    def __post_init__(self) -> None:
        SegmentTest.__post_init__(self)
        if any(test.fits_everybody for test in self.all):
            raise ValueError("each test of all must name an attribute or a profile field")

    @property
    def fits_everybody(self) -> bool:
        return self.attribute is None and self.profile is None and not self.all

    @property
    def reads_profile(self) -> bool:
        """Whether the rule asks for a profile field."""
        return self.profile is not None or any(test.profile is not None for test in self.all)

    def fits(self, attributes: Mapping[str, object], fields: Mapping[str, object] = NOTHING_KNOWN) -> bool:
        """Whether a customer with these attributes and profile fields belongs to the segment."""
        own = SegmentTest.fits(self, attributes, fields) if self.attribute or self.profile else True
        return own and all(test.fits(attributes, fields) for test in self.all)


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    interaction_types: dict[str, InteractionTypePolicy]
    decay: DecayPolicy
    serving: ServingPolicy
    feedback: FeedbackPolicy
    limits: LimitsPolicy
    consent_without_record: ConsentDefault
    portraits: PortraitPolicy
    segments: tuple[SegmentRule, ...]
    lists: ListsPolicy = ListsPolicy()
    pages: tuple[PagePolicy, ...] = ()
    training: TrainingPolicy = TrainingPolicy()
    personas: tuple[PersonaPolicy, ...] = ()
    experiments: ExperimentsPolicy = ExperimentsPolicy()
    offers: OffersPolicy = OffersPolicy()

    def __post_init__(self) -> None:
        check_pages(self.pages)
        if not self.segments or not self.segments[-1].fits_everybody:
            raise ValueError("the last of segments must have no test, so that it fits everybody")
        named = {name for names in self.portraits.journey.values() for name in names}
        named |= {*self.portraits.purchases, *self.portraits.passive}
        unknown = sorted(named - self.interaction_types.keys())
        if unknown:
            raise ValueError(f"portraits names {unknown[0]}, which is none of interaction_types")
        if unknown := sorted(self.offers.propensity.types - self.interaction_types.keys()):
            raise ValueError(f"propensity names {unknown[0]}, which is none of interaction_types")
        for name, metric in self.experiments.metrics.items():
            if unknown := sorted({*metric.of, *metric.per} - self.interaction_types.keys()):
                raise ValueError(f"metric {name} names {unknown[0]}, which is none of interaction_types")


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
    portraits: PortraitPolicy
    segments: tuple[SegmentRule, ...]
    lists: ListsPolicy = ListsPolicy()
    pages: tuple[PagePolicy, ...] = ()
    training: TrainingPolicy = TrainingPolicy()
    personas: tuple[PersonaPolicy, ...] = ()
    experiments: ExperimentsPolicy = ExperimentsPolicy()
    offers: OffersPolicy = OffersPolicy()

    def segment_of(
        self, attributes: Mapping[str, object], fields: Mapping[str, object] = NOTHING_KNOWN
    ) -> str:
        """The name of the first segment whose rule fits."""
        return next(rule.name for rule in self.segments if rule.fits(attributes, fields))

    def metric(self, name: str) -> MetricPolicy | None:
        """The metric of that name; of an interaction type's name, the share of customers with at least one.

        None where the policy knows neither. Less of a type is better where it says something against an item
        or against us.
        """
        known = self.experiments.all_metrics().get(name)
        kind = self.interaction_types.get(name)
        if known is not None or kind is None:
            return known
        is_against = kind.strength < 0 or name in ("complaint", "unsubscribe")
        return MetricPolicy(MetricKind.SHARE, of=(name,), better="lower" if is_against else "higher")

    def segments_reading_profiles(self) -> bool:
        """Whether a segment asks for more than attributes."""
        return any(rule.reads_profile for rule in self.segments)


def load_policy(path: Path | None = None) -> Policy:
    """Read the policy file, or the built-in one.

    Raises:
        PolicyError: the file cannot be read or breaks a rule.
    """
    name = str(path) if path else "the built-in policy.toml"
    try:
        raw = path.read_bytes() if path else files("recsvc").joinpath("policy.toml").read_bytes()
        read = tomllib.loads(raw.decode())
        document = msgspec.convert(read, type=_Document)
    except OSError as error:
        raise PolicyError(
            f"{name} cannot be read ({error.strerror}); check the path or unset RECSVC_POLICY_FILE"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PolicyError(f"{name} cannot be used: {error}; mend it or unset RECSVC_POLICY_FILE") from error
    sections = {name: getattr(document, name) for name in _Document.__struct_fields__}
    return Policy(version=hashlib.sha256(raw).hexdigest()[:12], **sections)
