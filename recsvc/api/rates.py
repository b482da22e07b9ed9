"""Hold back who calls too often. In: a key and the policy's limits. Out: nothing, or the refusal.

Counted in the memory of each worker, so a key may call as often as the limit says in every one of them;
nothing has to be asked, and nothing can fail. A counter slides: it weighs the window before by how much
of it is still in sight.
"""

from __future__ import annotations

from enum import StrEnum

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from werkzeug.exceptions import TooManyRequests

from recsvc.policy import LimitsPolicy


class Rate(StrEnum):
    """What is counted together."""

    EVENTS = "events"
    PROFILES = "profiles"


class RateKeeper:
    """Counts the calls of every key."""

    def __init__(self, policy: LimitsPolicy) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._allowed: dict[Rate, RateLimitItem] = {
            Rate.EVENTS: RateLimitItemPerSecond(policy.events_per_second),
            Rate.PROFILES: RateLimitItemPerSecond(policy.profiles_per_10_seconds, 10),
        }

    def count(self, rate: Rate, key_id: str) -> None:
        """Count one call.

        Raises:
            TooManyRequests: the key has called as often as it may.
        """
        allowed = self._allowed[rate]
        if not self._limiter.hit(allowed, rate.value, key_id):
            raise TooManyRequests(
                f"a key may do this {allowed.amount} times in {allowed.get_expiry()} s; wait, then go on",
                retry_after=allowed.get_expiry(),
            )
