"""Portraits of the whole sample bank: what the generator meant, and one answer from training and serving."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry
from recsvc.domain.interactions import Interaction
from recsvc.domain.lifetime import Purchases
from recsvc.domain.portraying import draw_profile
from recsvc.domain.profiles import CustomerProfile, Journey, Lifecycle, first_of
from recsvc.errors import BundleCorruptError
from recsvc.history.interactions import InteractionTable
from recsvc.policy import Policy, SegmentRule, SegmentTest, load_policy
from recsvc.sample_bank import SampleBank, make_sample_bank
from recsvc.training.families import FAMILIES
from recsvc.training.material import Source
from recsvc.training.pipeline import train
from recsvc.training.portraits import Portraits, draw_portraits

END = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
POLICY = load_policy()
POPULARITY = [family for family in FAMILIES if family.name == "popularity"]
WITH_PROFILES = replace(
    POLICY,
    segments=(
        SegmentRule(name="dormant savers", profile="top_category", equals="saving", all=(
            SegmentTest(profile="lifecycle", equals="dormant"),
        )),
        SegmentRule(name="young at risk", all=(
            SegmentTest(attribute="age", below=30),
            SegmentTest(profile="lifecycle", equals="at_risk"),
        )),
        SegmentRule(name="best", profile="monetary_score", at_least=5),
        SegmentRule(name="mobile first", profile="top_channel", equals="mobile"),
        *POLICY.segments,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drawn:
    """The same customers, drawn by training and one by one."""

    bank: SampleBank
    bundle: Bundle
    one_by_one: dict[str, CustomerProfile]


def published(bank: SampleBank, folder: Path, policy: Policy, *, has_times: bool = True) -> Bundle:
    events = bank.events if has_times else bank.events.drop("occurred_at")
    source = Source(InteractionTable.from_frame(events), bank.items, bank.customers)
    report = train(source, policy, Registry(folder), families=POPULARITY, seed=1, created_at=END)
    return open_bundle(folder / report.manifest.version)


@pytest.fixture(scope="module")
def small() -> SampleBank:
    return make_sample_bank(end=END, n_customers=300, n_articles=80, n_offers=12, n_events=8_000)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    bank = make_sample_bank(end=END)
    bundle = published(bank, tmp_path_factory.mktemp("models"), WITH_PROFILES)
    histories: dict[str, list[Interaction]] = defaultdict(list)
    for interaction in InteractionTable.from_frame(bank.events).interactions():
        histories[interaction.customer_id].append(interaction)
    as_of = bundle.manifest.data_window.until
    assert as_of is not None
    draw = partial(
        draw_profile,
        item_of={item.item_id: item for item in bank.items}.get,
        policy=WITH_PROFILES,
        population=bundle.manifest.population,
        as_of=as_of,
    )
    ids = bundle.customers.ids_of(range(len(bundle.customers)))
    return Drawn(bank, bundle, {one: draw(one, histories[one]) for one in ids})


def test_lifecycle_stages_are_those_that_the_generator_meant(drawn: Drawn) -> None:
    meant = drawn.bank.truth.lifecycle
    for stage in Lifecycle:
        of_stage = [one for one in drawn.one_by_one if meant[one] == stage]
        right = np.mean([drawn.one_by_one[one].lifecycle is stage for one in of_stage])
        print(f"{stage.value}: {right:.1%} of {len(of_stage)}")
    right = np.mean([profile.lifecycle == meant[one] for one, profile in drawn.one_by_one.items()])
    print(f"lifecycle: {right:.1%} of {len(drawn.one_by_one)} customers")
    assert right >= 0.85


def test_the_strongest_category_is_one_of_the_true_top_ones(drawn: Drawn) -> None:
    meant = drawn.bank.truth.top_categories
    found = {one: first_of(profile.category_affinity) for one, profile in drawn.one_by_one.items()}
    right = np.mean([found[one] in meant[one] for one in found])
    print(f"strongest category among the true two or three: {right:.1%} of {len(found)} customers")
    assert right >= 0.85


def test_training_and_one_by_one_draw_the_same(drawn: Drawn) -> None:
    for row, (customer_id, one) in enumerate(drawn.one_by_one.items()):
        kept = drawn.bundle.profile_of(row)
        exact = (
            "frequency",
            "recency_score",
            "frequency_score",
            "monetary_score",
            "lifecycle",
            "journey",
            "purchases",
        )
        for name in exact:
            assert getattr(kept, name) == getattr(one, name), (customer_id, name)
        assert kept.recency_days == pytest.approx(one.recency_days, rel=1e-6)
        assert kept.monetary_value == pytest.approx(one.monetary_value)
        assert kept.category_affinity == pytest.approx(one.category_affinity, abs=1e-6)
        assert kept.channel_share == pytest.approx(one.channel_share, abs=1e-6)


def at(type: str, customer_id: str, days_ago: float, value: str | None = None) -> Interaction:
    moment = END - timedelta(days=days_ago)
    money = None if value is None else Decimal(value)
    item = None if type in ("nps", "transaction") else "a1"
    return Interaction(f"{type}{customer_id}{days_ago}", type, customer_id, item, moment, value=money)


ODD_HISTORIES = {
    "bought long ago": [at("purchase", "c1", 200, "9.99"), at("view", "c1", 5)],
    "was only shown things": [at("impression", "c2", days) for days in range(9)],
    "comes rarely and was shown things": [
        *(at("view", "c3", days) for days in (60, 20)),
        *(at("impression", "c3", days) for days in range(15)),
    ],
    "only refused": [at("dismiss", "c4", 3), at("reject", "c4", 80)],
    "was paid back": [at("transaction", "c5", 3, "-5.005"), at("transaction", "c5", 2.9, "1.10")],
    "answered": [at("nps", "c6", 91)],
    "came on two days within an hour": [at("view", "c7", 9.38), at("view", "c7", 9.42)],
    "will have come": [at("view", "c8", -0.001), at("purchase", "c8", -0.001), at("purchase", "c8", 2)],
}


def test_training_and_one_by_one_agree_on_odd_histories() -> None:
    histories = {history[0].customer_id: history for history in ODD_HISTORIES.values()}
    table = InteractionTable.from_interactions([one for history in histories.values() for one in history])
    portraits = draw_portraits(table, list(histories), POLICY, as_of=END)
    for row, (customer_id, history) in enumerate(histories.items()):
        one = draw_profile(
            customer_id,
            history,
            item_of=lambda _: None,
            policy=POLICY,
            population=portraits.population,
            as_of=END,
        )
        stage, journey = portraits.lifecycle[row], portraits.journey[row]
        assert one.lifecycle == (None if stage < 0 else tuple(Lifecycle)[stage]), customer_id
        assert one.journey == (None if journey < 0 else tuple(Journey)[journey]), customer_id
        scores = (portraits.recency_score, portraits.frequency_score, portraits.monetary_score)
        found = (one.recency_score, one.frequency_score, one.monetary_score)
        assert found == tuple(int(score[row]) or None for score in scores), customer_id
        bought = portraits.purchases[row].tolist()
        assert one.purchases == (None if bought[0] < 0 else Purchases(*bought)), customer_id


def test_serving_finds_the_segment_that_training_counted_the_customer_in(drawn: Drawn) -> None:
    attributes = {one.customer_id: one.attributes for one in drawn.bank.customers}
    counts: dict[str, int] = defaultdict(int)
    for row, customer_id in enumerate(drawn.one_by_one):
        kept = drawn.bundle.profile_of(row)
        assert WITH_PROFILES.segment_of(attributes[customer_id], kept.fields()) == kept.segment
        counts[str(kept.segment)] += 1
    assert set(counts) == {rule.name for rule in WITH_PROFILES.segments}


def test_lifetimes_are_fitted_on_the_sample_bank(drawn: Drawn) -> None:
    population = drawn.bundle.manifest.population
    assert population is not None and population.lifetime is not None
    gone = [p for p in drawn.one_by_one.values() if p.lifecycle is Lifecycle.CHURNED and p.purchases]
    here = [p for p in drawn.one_by_one.values() if p.lifecycle is Lifecycle.ACTIVE and p.purchases]
    means = [
        np.mean(
            [population.lifetime.p_alive(p.purchases) for p in some if p.purchases and p.purchases.repeats]
        )
        for some in (gone, here)
    ]
    print(f"mean chance of being alive: churned {means[0]:.2f}, active {means[1]:.2f}")
    assert means[0] < means[1] - 0.2


def drawn_from(bank: SampleBank, table: InteractionTable, policy: Policy = POLICY) -> Portraits:
    ids = sorted(set(bank.events["customer_id"]))
    return draw_portraits(table, ids, policy, as_of=END)


def test_the_order_of_rows_changes_no_bit(small: SampleBank) -> None:
    table = InteractionTable.from_frame(small.events)
    other = InteractionTable.from_frame(small.events.sample(fraction=1.0, shuffle=True, seed=3))
    first, second = drawn_from(small, table), drawn_from(small, other)
    assert first.population == second.population
    for name, array in first.arrays().items():
        assert array.tobytes() == second.arrays()[name].tobytes(), name


def test_a_customer_who_did_nothing_has_no_stage_and_no_recency(small: SampleBank) -> None:
    found = draw_portraits(
        InteractionTable.from_frame(small.events), ["c0001", "unheard-of"], POLICY, as_of=END
    )
    assert found.lifecycle.tolist()[1] == found.journey.tolist()[1] == -1
    assert found.recency_score.tolist()[1] == 0
    assert found.purchases.tolist()[1] == [-1, -1, -1]


def test_without_times_what_needs_them_is_absent(small: SampleBank, tmp_path: Path) -> None:
    bundle = published(small, tmp_path, POLICY, has_times=False)
    population, profile = bundle.manifest.population, bundle.profile_of(0)
    assert population is not None
    assert (population.lifetime, population.lifetime_reason) == (None, "the history has no times")
    assert (profile.lifecycle, profile.recency_days, profile.recency_score, profile.purchases) == (None,) * 4
    assert profile.frequency > 0 and profile.frequency_score is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("profile_lifecycle", 5),
        ("profile_lifecycle", -2),
        ("profile_journey", 5),
        ("profile_recency_score", 6),
        ("profile_monetary_score", -1),
        ("profile_purchases", -7),
    ],
)
def test_a_bundle_with_an_impossible_portrait_is_refused(
    small: SampleBank, tmp_path: Path, name: str, value: int
) -> None:
    bundle = published(small, tmp_path, POLICY)
    arrays = {one: np.array(array) for one, array in bundle.arrays.items()}
    arrays[name][0] = value
    changed = Registry(tmp_path).publish(replace(bundle.manifest, name="changed"), arrays)
    with pytest.raises(BundleCorruptError, match=name):
        open_bundle(tmp_path / changed.version)
