"""Explain a profile. In: a `CustomerProfile`, the population. Out: figures that say what they are.

A figure that cannot be given is None with its reason, never a number that looks like one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from recsvc.domain.profiles import CustomerProfile, Figure, FigureValue, Population
from recsvc.domain.surveys import SURVEYS
from recsvc.policy import Policy

MAX_SHARES = 25

_SUMMARY_ONLY = "only the summary that training kept is known of this customer"
_NOTHING = "nothing that the customer did is known"
_NO_POPULATION = "no model is in service to measure the customer by"
_NO_TIMES = "the history has no times"
_NO_REPEAT = "the customer has no repeat purchase: the model would only repeat what it assumes"
_ASKED = {
    "nps": "the latest answer to how likely the customer is to recommend us",
    "csat": "the latest answer to how satisfied the customer is",
    "ces": "the latest answer to how easy it was; higher is easier",
}
_SURVEYS = {
    name: (f"score, {scale.lowest:g} to {scale.highest:g}", _ASKED[name]) for name, scale in SURVEYS.items()
}


def explain(
    profile: CustomerProfile | None, population: Population | None, policy: Policy, *, as_of: datetime
) -> Mapping[str, Figure]:
    """Every figure of a portrait by its name; a profile of None leaves all of them absent."""
    if profile is None:
        return {
            name: _absent(unit, meaning, as_of, _NOTHING) for name, (unit, meaning) in _texts(policy).items()
        }
    return _Explained(profile, population, policy).figures()


class _Explained:
    def __init__(self, profile: CustomerProfile, population: Population | None, policy: Policy) -> None:
        self._profile = profile
        self._population = population
        self._policy = policy
        self._texts = _texts(policy)

    def figures(self) -> Mapping[str, Figure]:
        one = self._profile
        journey_days = float(self._policy.portraits.journey_days)
        unmeasured = _NO_POPULATION if self._population is None else _NOTHING if one.as_of else _NO_TIMES
        recency = _NOTHING if one.as_of else _NO_TIMES
        return {
            "recency_days": self._figure("recency_days", one.recency_days, recency),
            "frequency": self._figure("frequency", one.frequency),
            "monetary_value": self._figure("monetary_value", round(one.monetary_value, 2), unit=_money(one)),
            "recency_score": self._figure("recency_score", one.recency_score, unmeasured),
            "frequency_score": self._figure("frequency_score", one.frequency_score, unmeasured),
            "monetary_score": self._figure("monetary_score", one.monetary_score, unmeasured),
            "lifecycle": self._figure("lifecycle", one.lifecycle and one.lifecycle.value, unmeasured),
            **self._forecasts(),
            "category_affinity": self._shares("category_affinity", one.category_affinity),
            "tag_affinity": self._shares("tag_affinity", one.tag_affinity),
            "channels": self._shares("channels", one.channel_share),
            "hours": self._shares("hours", one.hour_share),
            "journey": self._figure("journey", one.journey and one.journey.value, window=journey_days),
            **{name: self._answer(name) for name in _SURVEYS},
        }

    def _figure(
        self,
        name: str,
        value: FigureValue,
        reason: str = _NOTHING,
        *,
        unit: str | None = None,
        window: float | None = None,
    ) -> Figure:
        known_unit, meaning = self._texts[name]
        why = reason if value is None else None
        return Figure(value, unit or known_unit, meaning, window, self._profile.as_of, why)

    def _shares(self, name: str, shares: Mapping[str, float] | None) -> Figure:
        if not shares:
            return self._figure(name, None, _SUMMARY_ONLY if shares is None else _NOTHING)
        return self._figure(name, {one: round(share, 4) for one, share in list(shares.items())[:MAX_SHARES]})

    def _forecasts(self) -> Mapping[str, Figure]:
        """Both stay absent without a repeat purchase: then the model knows nothing of the customer."""
        purchases, reason = self._profile.purchases, None
        lifetime = self._population.lifetime if self._population else None
        if purchases is None or purchases.repeats == 0:
            reason = _NO_REPEAT
        elif lifetime is None:
            reason = (self._population and self._population.lifetime_reason) or _NO_POPULATION
        if reason or purchases is None or lifetime is None:
            return {name: self._figure(name, None, str(reason)) for name in ("p_alive", "expected_purchases")}
        ahead = lifetime.expected_purchases(purchases, self._policy.portraits.forecast_days)
        return {
            "p_alive": self._figure("p_alive", round(lifetime.p_alive(purchases), 4)),
            "expected_purchases": self._figure("expected_purchases", round(ahead, 4)),
        }

    def _answer(self, name: str) -> Figure:
        unit, meaning = _SURVEYS[name]
        answers = self._profile.answers
        if answers is None:
            return _absent(unit, meaning, self._profile.as_of, _SUMMARY_ONLY)
        if name not in answers:
            return _absent(unit, meaning, self._profile.as_of, "the customer never answered")
        answer = answers[name]
        known_unit = f"score of at most {answer.scale:g}" if answer.scale is not None else unit
        return Figure(answer.score, known_unit, meaning, None, answer.answered_at)


def _absent(unit: str, meaning: str, as_of: datetime | None, reason: str) -> Figure:
    return Figure(None, unit, meaning, None, as_of, reason)


def _money(profile: CustomerProfile) -> str:
    if profile.currencies is None:
        return "money, as recorded"
    if len(profile.currencies) > 1:
        return f"money, added up over {', '.join(profile.currencies)} as it stands"
    return profile.currencies[0] if profile.currencies else "money"


def _texts(policy: Policy) -> Mapping[str, tuple[str, str]]:
    """Unit and meaning of every figure."""
    rule, half_life = policy.portraits, f"{policy.decay.half_life_days:g} days"
    bought = f"a purchase is a day with one of: {', '.join(rule.purchases)}"
    fading = f"by strength, which halves in {half_life}"
    return {
        "recency_days": ("days", "time since the last interaction of positive strength"),
        "frequency": ("interactions", "number of interactions of positive strength"),
        "monetary_value": ("money", "sum of the values of interactions of positive strength"),
        "recency_score": ("score, 1 to 5", "quintile of recency among the model's customers: 5 came last"),
        "frequency_score": ("score, 1 to 5", "quintile of frequency among the model's customers: 5 is most"),
        "monetary_score": ("score, 1 to 5", "quintile of value among the model's customers: 5 is most"),
        "lifecycle": (
            "stage",
            "where the customer stands, by the silence against the usual gap between visits",
        ),
        "p_alive": ("probability", f"chance that the customer ever buys again (BG/NBD); {bought}"),
        "expected_purchases": (
            f"purchases in the next {rule.forecast_days} days",
            f"purchases to expect (BG/NBD); {bought}",
        ),
        "category_affinity": ("share of 1 by category", f"what the customer turns to, {fading}"),
        "tag_affinity": (
            "share of 1 by tag",
            f"what the customer turns to, {fading}; the {MAX_SHARES} largest shares",
        ),
        "channels": ("share of 1 by channel", f"where the customer is met, {fading}"),
        "hours": ("share of 1 by hour of the day (UTC)", f"when the customer comes, {fading}"),
        "journey": (
            "stage",
            "the furthest that the customer went: attention, interest, contact, impression, engagement",
        ),
        **_SURVEYS,
    }
