"""One customer's profile from their history, by hand, and how it explains itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recsvc.domain.figures import MAX_SHARES, explain
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item
from recsvc.domain.lifetime import Lifetime, Purchases
from recsvc.domain.portraying import draw_profile
from recsvc.domain.profiles import CustomerProfile, Figure, Journey, Lifecycle, Population, Portrait
from recsvc.domain.segments import built_in_segments, segments_of
from recsvc.policy import load_policy

POLICY = load_policy()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ITEMS = {
    "i1": Item("i1", category="saving", tags=("rates", "guide", "rates")),
    "i2": Item("i2", category="cards", tags=("guide",)),
}
POPULATION = Population(
    n_customers=50,
    since=NOW - timedelta(days=400),
    gap_days=10.0,
    recency_edges=(-40.0, -30.0, -20.0, -10.0),
    frequency_edges=(2.0, 4.0, 6.0, 8.0),
    monetary_edges=(1.0, 10.0, 100.0, None),
    lifetime=Lifetime(0.243, 4.414, 0.793, 2.426),
    lifetime_reason=None,
)


def did(
    type: str,
    item_id: str | None = "i1",
    *,
    days_ago: float = 0,
    value: str | None = None,
    currency: str | None = None,
    channel: Channel | None = None,
    score: float | None = None,
    scale: float | None = None,
) -> Interaction:
    return Interaction(
        event_id=f"{type}-{item_id}-{days_ago}",
        type=type,
        customer_id="c1",
        item_id=item_id,
        occurred_at=NOW - timedelta(days=days_ago),
        channel=channel,
        value=None if value is None else Decimal(value),
        currency=currency,
        score=score,
        scale=scale,
    )


def profile_of(*history: Interaction, population: Population | None = POPULATION) -> CustomerProfile:
    return draw_profile("c1", history, item_of=ITEMS.get, policy=POLICY, population=population, as_of=NOW)


def figures_of(*history: Interaction, population: Population | None = POPULATION) -> dict[str, Figure]:
    return dict(explain(profile_of(*history, population=population), population, POLICY, as_of=NOW))


HISTORY = (
    did(
        "purchase", "i1", days_ago=30, value="10.50", currency="EUR", channel=Channel.BRANCH
    ),  # 8, faded to 4
    did("view", "i2", days_ago=6, channel=Channel.WEB),
    did("impression", "i1", channel=Channel.EMAIL),  # Nothing that the customer did.
    did("dismiss", "i1", days_ago=3, value="99"),  # A visit, and no positive interaction.
)


def test_recency_frequency_and_value_count_positive_interactions() -> None:
    profile = profile_of(*HISTORY)
    assert (profile.recency_days, profile.frequency, profile.monetary_value) == (6.0, 2, 10.5)
    assert (profile.recency_score, profile.frequency_score, profile.monetary_score) == (5, 2, 3)
    assert profile.currencies == ("EUR",)


def test_affinities_channels_and_hours_are_shares_of_decayed_strength() -> None:
    profile = profile_of(*HISTORY)
    view = 0.5 ** (6 / 30)
    whole = 4 + view
    assert profile.category_affinity == pytest.approx({"saving": 4 / whole, "cards": view / whole})
    assert profile.channel_share == pytest.approx({"branch": 4 / whole, "web": view / whole})
    assert profile.hour_share == {"12": 1.0}
    tags = 2 * 4 + view  # An item gives its whole strength to each of its tags, once.
    assert profile.tag_affinity == pytest.approx({"guide": whole / tags, "rates": 4 / tags})


def test_what_is_old_weighs_no_less_than_the_floor() -> None:
    affinity = profile_of(did("view", "i1", days_ago=3000), did("view", "i2")).category_affinity
    assert affinity == pytest.approx({"cards": 1 / 1.05, "saving": 0.05 / 1.05})


def test_the_largest_share_comes_first() -> None:
    assert list(profile_of(*HISTORY).category_affinity) == ["saving", "cards"]


def test_a_visit_is_what_the_customer_did_and_not_what_was_shown() -> None:
    """Visits 30, 6 and 3 days ago: a usual gap of (27 + 10) / 3 days."""
    assert profile_of(*HISTORY).lifecycle is Lifecycle.NEW
    shown = profile_of(did("view", days_ago=90), did("impression"))
    assert shown.lifecycle is Lifecycle.CHURNED


@pytest.mark.parametrize(
    ("type", "stage"),
    [
        ("impression", Journey.ATTENTION),
        ("click", Journey.INTEREST),
        ("complaint", Journey.CONTACT),
        ("share", Journey.IMPRESSION),
        ("accept", Journey.ENGAGEMENT),
        ("unsubscribe", None),
    ],
)
def test_each_stage_of_the_journey_is_shown_by_what_was_done(type: str, stage: Journey | None) -> None:
    assert profile_of(did(type)).journey is stage


def test_the_journey_is_the_furthest_within_its_window() -> None:
    assert profile_of(did("view"), did("like", days_ago=89), did("view")).journey is Journey.IMPRESSION
    assert profile_of(did("view"), did("purchase", days_ago=91)).journey is Journey.INTEREST


def test_purchases_of_one_day_count_once() -> None:
    bought = [did("purchase", days_ago=days) for days in (38.4, 38.3, 30, 8.4)]
    assert profile_of(*bought).purchases == Purchases(repeats=2, last=30, age=38)


def test_the_latest_answer_to_each_survey_counts() -> None:
    figures = figures_of(
        did("nps", None, days_ago=2, score=9, scale=10),
        did("nps", None, days_ago=40, score=3, scale=10),
        did("ces", None, days_ago=1, score=6, scale=7),
    )
    assert (figures["nps"].value, figures["nps"].as_of) == (9, NOW - timedelta(days=2))
    assert (figures["ces"].value, figures["ces"].unit) == (6, "score of at most 7")
    assert figures["csat"].value is None and figures["csat"].reason == "the customer never answered"


def test_a_customer_with_repeat_purchases_has_a_chance_and_a_forecast() -> None:
    figures = figures_of(*(did("purchase", days_ago=days) for days in (38, 20, 8)))
    assert POPULATION.lifetime is not None
    expected = POPULATION.lifetime.expected_purchases(Purchases(2, 30, 38), POLICY.portraits.forecast_days)
    assert figures["expected_purchases"].value == pytest.approx(expected, abs=1e-4)
    assert figures["expected_purchases"].unit == "purchases in the next 30 days"
    assert 0 < float(str(figures["p_alive"].value)) < 1


def test_without_a_repeat_purchase_there_is_no_chance_and_no_forecast() -> None:
    for history in ([did("purchase", days_ago=5)], [did("view")], [did("purchase"), did("redeem")]):
        figures = figures_of(*history)
        for name in ("p_alive", "expected_purchases"):
            assert figures[name].value is None
            assert "no repeat purchase" in str(figures[name].reason)


def test_where_the_model_of_lifetimes_is_left_out_its_reason_is_given() -> None:
    silent = Population(50, None, 10.0, (), (), (), None, "too few")
    figures = figures_of(did("purchase", days_ago=9), did("purchase"), population=silent)
    assert (figures["p_alive"].value, figures["p_alive"].reason) == (None, "too few")


def test_without_a_model_what_needs_a_population_is_absent_with_its_reason() -> None:
    figures = figures_of(*HISTORY, did("purchase"), population=None)
    for name in ("lifecycle", "recency_score", "frequency_score", "monetary_score", "p_alive"):
        assert figures[name].value is None
        assert figures[name].reason == "no model is in service to measure the customer by", name
    assert figures["frequency"].value == 3


def test_money_names_its_currency_and_owns_up_to_a_mixture() -> None:
    assert figures_of(*HISTORY)["monetary_value"].unit == "EUR"
    mixed = figures_of(*HISTORY, did("purchase", value="1", currency="CHF"))["monetary_value"].unit
    assert mixed == "money, added up over CHF, EUR as it stands"


def test_only_the_largest_shares_are_told() -> None:
    many = Item("i1", tags=tuple(f"t{place:02}" for place in range(MAX_SHARES + 5)))
    profile = draw_profile(
        "c1", [did("view")], item_of={"i1": many}.get, policy=POLICY, population=POPULATION, as_of=NOW
    )
    told = explain(profile, POPULATION, POLICY, as_of=NOW)["tag_affinity"].value
    assert isinstance(told, dict) and len(told) == MAX_SHARES


def test_every_figure_has_all_that_is_needed_to_read_it() -> None:
    for figures in (figures_of(*HISTORY), dict(explain(None, None, POLICY, as_of=NOW))):
        assert figures.keys() < set(Portrait.__dataclass_fields__)
        assert len(figures) == sum(kind == "Figure" for kind in Portrait.__annotations__.values())
        for name, figure in figures.items():
            assert figure.unit and figure.meaning and figure.as_of, name
            assert (figure.value is None) == (figure.reason is not None), name


def test_one_of_whom_nothing_is_known_has_no_figure_at_all() -> None:
    assert {one.value for one in explain(None, POPULATION, POLICY, as_of=NOW).values()} == {None}


def scored(recency: int, frequency: int, monetary: int) -> CustomerProfile:
    return CustomerProfile(
        "c1", NOW, 1.0, 1, 1.0, {}, {}, recency, frequency, monetary, lifecycle=Lifecycle.AT_RISK
    )


@pytest.mark.parametrize(
    ("scores", "name"),
    [
        ((5, 4, 4), "rfm:champions"),
        ((3, 4, 1), "rfm:loyal"),
        ((4, 2, 5), "rfm:promising"),
        ((2, 4, 3), "rfm:slipping"),
        ((1, 2, 5), "rfm:lost"),
    ],
)
def test_built_in_segments_follow_stage_and_scores(scores: tuple[int, int, int], name: str) -> None:
    assert built_in_segments(scored(*scores)) == ("lifecycle:at_risk", name)


def test_middling_scores_make_no_segment() -> None:
    assert built_in_segments(scored(3, 3, 3)) == ("lifecycle:at_risk",)


def test_all_segments_that_fit_are_named_the_policys_first() -> None:
    assert segments_of({"age": 20}, scored(5, 5, 5), POLICY) == (
        "young",
        "everyone",
        "lifecycle:at_risk",
        "rfm:champions",
    )
    assert segments_of({}, None, POLICY) == ("everyone",)
