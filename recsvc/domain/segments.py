"""All segments of a customer. In: attributes, a profile, the policy. Out: names, the policy's first.

The built-in ones need no rule: `lifecycle:<stage>`, and by quintile scores of recency, frequency and value

    rfm:champions   all three at least 4
    rfm:loyal       frequency at least 4, recency at least 3
    rfm:promising   recency at least 4, frequency at most 2
    rfm:slipping    recency at most 2, frequency at least 4
    rfm:lost        recency and frequency at most 2

of which the first that holds is the customer's. They are for people and reports; a rule of the policy on the
same fields makes a segment whose popularity serves its customers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recsvc.domain.profiles import CustomerProfile
from recsvc.policy import LIFECYCLE_STAGES, Policy

_Scores = tuple[int, int, int]
_RFM: tuple[tuple[str, Callable[[_Scores], bool]], ...] = (
    ("champions", lambda rfm: min(rfm) >= 4),
    ("loyal", lambda rfm: rfm[1] >= 4 and rfm[0] >= 3),
    ("promising", lambda rfm: rfm[0] >= 4 and rfm[1] <= 2),
    ("slipping", lambda rfm: rfm[0] <= 2 and rfm[1] >= 4),
    ("lost", lambda rfm: rfm[0] <= 2 and rfm[1] <= 2),
)

BUILT_IN_SEGMENTS = (
    *(f"lifecycle:{stage}" for stage in LIFECYCLE_STAGES),
    *(f"rfm:{name}" for name, _ in _RFM),
)
"""Every segment that no policy has to write."""


def segments_of(
    attributes: Mapping[str, object], profile: CustomerProfile | None, policy: Policy
) -> tuple[str, ...]:
    """Every segment that the customer belongs to."""
    fields = profile.fields() if profile else {}
    return (
        *(rule.name for rule in policy.segments if rule.fits(attributes, fields)),
        *(built_in_segments(profile) if profile else ()),
    )


def built_in_segments(profile: CustomerProfile) -> tuple[str, ...]:
    """The segments that no policy has to write."""
    names = [f"lifecycle:{profile.lifecycle.value}"] if profile.lifecycle else []
    if profile.recency_score and profile.frequency_score and profile.monetary_score:
        scores = profile.recency_score, profile.frequency_score, profile.monetary_score
        names += [f"rfm:{name}" for name, fits in _RFM if fits(scores)][:1]
    return tuple(names)
