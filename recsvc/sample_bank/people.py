"""Invent the customers. In: stages, the window. Out: `Customer` records, and arrays for the generator.

Ids are "c0001" and so on, but for a few of other legal shapes: 32 hexadecimal digits, a signed 64-bit
number, a number behind a prefix. Whoever handles ids as numbers will stumble here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.items import AttributeValue, Channel
from recsvc.sample_bank.rhythm import CHANNELS, STAGES, Stage
from recsvc.sample_bank.tastes import SHOW_TASTES
from recsvc.sample_bank.timeline import DAY_MS, BoolArray, IntArray, Window, moment

N_SHOW = len(SHOW_TASTES)
COUNTRIES = ("IE", "LU", "NL", "DE", "SG", "HK")

_COUNTRY_SHARES = (0.22, 0.08, 0.2, 0.24, 0.14, 0.12)
_CHINESE_SHARE = {"SG": 0.6, "HK": 0.9}
_CHINESE_ELSEWHERE = 0.2
_INCOME_BANDS = ("low", "medium", "high", "very_high")
_OCCUPATIONS = ("employed", "self_employed", "civil_servant", "student", "between_jobs")
_ODD_IDS = (
    "9f3c1b7e5d2a4860b1e7c94d3f6a0852",
    "-7310442876150923814",
    "6482017395516284907",
    "crm:NL.00042-a_1",
)
_MARKETING_SHARES = {
    Channel.WEB: 0.8,
    Channel.MOBILE: 0.8,
    Channel.EMAIL: 0.55,
    Channel.SMS: 0.3,
    Channel.PUSH: 0.45,
    Channel.CALL_CENTRE: 0.35,
    Channel.BRANCH: 0.6,
}
_OBJECTIVES = (("preservation", "income"), ("income", "growth"), ("growth",))
_NEVER_ASKED_SHARE = 0.08
_PERSONALISATION_SHARE = 0.9
_SUITABILITY_SHARE = 0.7
_SUITABILITY_EXPIRED_SHARE = 0.1
# Without a record, offers are shown only where the customer comes to us.
_UNASKED_CHANNELS = (Channel.WEB, Channel.MOBILE, Channel.BRANCH, Channel.CALL_CENTRE)
_OPEN_END_MS = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class Demographics:
    """What is known of a customer before anything is recorded of them."""

    age: IntArray
    country_row: IntArray  # row in COUNTRIES
    is_chinese_speaking: BoolArray


@dataclass(frozen=True, slots=True)
class People:
    """The customers. The arrays run along them."""

    customers: tuple[Customer, ...]
    country_row: IntArray  # row in COUNTRIES
    may_market: BoolArray  # (n_customers, n_channels)
    risk_limit: IntArray  # highest risk class allowed, until `risk_limit_until_ms`; 0 without an assessment
    risk_limit_until_ms: IntArray


def draw_demographics(n_customers: int, rng: np.random.Generator) -> Demographics:
    """Ages 18 to 92, countries, languages."""
    country_row = rng.choice(len(COUNTRIES), n_customers, p=_COUNTRY_SHARES)
    chinese_share = np.array([_CHINESE_SHARE.get(country, _CHINESE_ELSEWHERE) for country in COUNTRIES])
    is_chinese = rng.random(n_customers) < chinese_share[country_row]
    is_chinese[:N_SHOW] = np.arange(min(N_SHOW, n_customers)) % 2 == 1
    age = (18 + 74 * rng.beta(1.7, 2.3, n_customers)).astype(np.int64)
    return Demographics(age, country_row.astype(np.int64), is_chinese)


def register_people(known: Demographics, stage: IntArray, window: Window, rng: np.random.Generator) -> People:
    """Record attributes, locale, consents and suitability of every customer."""
    n = len(stage)
    consents = _consents(n, rng)
    suitability = _suitability(known, window, rng)
    attributes = _attributes(known, stage, rng)
    locales = np.where(known.is_chinese_speaking, "zh", "en").tolist()
    has_locale = (rng.random(n) >= 0.02) | (np.arange(n) < N_SHOW)
    customers = tuple(
        Customer(
            customer_id=customer_id,
            attributes=attributes[row],
            locale=locales[row] if has_locale[row] else None,
            consents=consents[row],
            suitability=suitability[row],
        )
        for row, customer_id in enumerate(_ids(n))
    )
    return People(
        customers=customers,
        country_row=known.country_row,
        may_market=np.array([_may_market(one) for one in consents], bool),
        risk_limit=np.array([one.max_risk_class if one else 0 for one in suitability], np.int64),
        risk_limit_until_ms=np.array([_until_ms(one) for one in suitability], np.int64),
    )


def _ids(n: int) -> list[str]:
    ids = [f"c{row + 1:04d}" for row in range(n)]
    odd = _ODD_IDS[: max(n - N_SHOW, 0)]
    ids[N_SHOW : N_SHOW + len(odd)] = odd
    return ids


def _attributes(
    known: Demographics, stage: IntArray, rng: np.random.Generator
) -> list[dict[str, AttributeValue]]:
    n = len(stage)
    age = known.age
    occupation = np.array(_OCCUPATIONS, object)[rng.choice(5, n, p=[0.58, 0.14, 0.14, 0.08, 0.06])]
    occupation = np.where(age >= 67, "retired", np.where(age < 24, "student", occupation))
    income = np.array(_INCOME_BANDS, object)[rng.choice(4, n, p=[0.3, 0.42, 0.2, 0.08])]
    tenure = np.minimum(rng.gamma(1.6, 4.5, n).astype(np.int64) + 1, age - 16)
    tenure[stage == STAGES.index(Stage.NEW)] = 0
    has_children = rng.random(n) < np.where((age > 27) & (age < 62), 0.5, 0.08)
    is_home_owner = rng.random(n) < np.clip((age - 22) / 60, 0.02, 0.7)
    is_unknown = (rng.random(n) < 0.02) & (np.arange(n) >= N_SHOW)
    columns = zip(
        age.tolist(),
        [COUNTRIES[row] for row in known.country_row.tolist()],
        income.tolist(),
        occupation.tolist(),
        tenure.tolist(),
        has_children.tolist(),
        is_home_owner.tolist(),
        strict=True,
    )
    names = ("age", "country", "income_band", "occupation", "tenure_years", "has_children", "is_home_owner")
    return [
        {"country": values[1]} if unknown else dict(zip(names, values, strict=True))
        for values, unknown in zip(columns, is_unknown.tolist(), strict=True)
    ]


def _consents(n: int, rng: np.random.Generator) -> list[Consents | None]:
    shares = np.array([_MARKETING_SHARES[channel] for channel in CHANNELS])
    agreed = rng.random((n, len(CHANNELS))) < shares
    personalisation = rng.random(n) < _PERSONALISATION_SHARE
    was_asked = rng.random(n) >= _NEVER_ASKED_SHARE
    agreed[:N_SHOW], personalisation[:N_SHOW], was_asked[:N_SHOW] = True, True, True
    return [
        Consents(yes, tuple(channel for channel, ok in zip(CHANNELS, oks, strict=True) if ok))
        if asked
        else None
        for asked, yes, oks in zip(was_asked.tolist(), personalisation.tolist(), agreed.tolist(), strict=True)
    ]


def _may_market(consents: Consents | None) -> list[bool]:
    allowed = _UNASKED_CHANNELS if consents is None else consents.marketing
    return [channel in allowed for channel in CHANNELS]


def _suitability(known: Demographics, window: Window, rng: np.random.Generator) -> list[Suitability | None]:
    """Assessments: most customers have one, a tenth of them has run out, a few never do."""
    n = len(known.age)
    limit = np.clip(rng.poisson(3.0, n) + (known.age < 45), 1, 6)
    horizon = np.clip(rng.poisson(np.clip(70 - known.age, 3, 35) / 2), 1, 35)
    days_left = np.where(
        rng.random(n) < _SUITABILITY_EXPIRED_SHARE, -rng.uniform(1, 200, n), rng.uniform(20, 700, n)
    )
    is_assessed = rng.random(n) < _SUITABILITY_SHARE
    is_open = rng.random(n) < 0.05
    is_professional = rng.random(n) < 0.06
    show = np.arange(n) < N_SHOW
    limit[show], days_left[show], is_assessed[show], is_open[show] = 5, 400.0, True, False
    expires: list[datetime | None] = [
        None if open_end else moment(window.end_ms + int(days * DAY_MS) // 1000 * 1000)
        for open_end, days in zip(is_open.tolist(), days_left.tolist(), strict=True)
    ]
    return [
        Suitability(
            client_type="professional" if is_professional[row] else "retail",
            max_risk_class=int(limit[row]),
            knowledge=("basic", "informed", "advanced")[int(limit[row] - 1) // 2],
            loss_capacity=("low", "medium", "high")[int(limit[row] - 1) // 2],
            objectives=_OBJECTIVES[int(limit[row] - 1) // 2],
            horizon_years=int(horizon[row]),
            expires_at=expires[row],
        )
        if is_assessed[row]
        else None
        for row in range(n)
    ]


def _until_ms(suitability: Suitability | None) -> int:
    if suitability is None or suitability.expires_at is None:
        return _OPEN_END_MS
    return int(suitability.expires_at.timestamp() * 1000)
