"""The list itself: always the same for the same inputs, as varied as was wished, and explained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean

import msgspec
import pytest

from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import SlateItem, Source
from recsvc.policy import Policy
from recsvc.sample_bank import SampleBank
from recsvc.serving.reason_texts import TEXTS

from ..small_bank import CONTENT, POLICY, World, categories, who


def because(item: SlateItem) -> tuple[str, ...]:
    assert item.reason
    return item.reason.because


def test_the_same_inputs_give_the_same_slate_but_for_its_id(world: World, shelf: tuple[Path, Path]) -> None:
    again = World(
        world.registry.folder, items=reversed(world.items.items()), customers=world.customers.each()
    )
    for kind in ItemKind:
        for customer_id in ("c0001", "c0002", "nobody"):
            for wanted in ({}, {"diversity": 0.5}, {"explain": True, "limit": 100}):
                one, other, elsewhere = (w.slate(kind, customer_id, **wanted) for w in (world, world, again))
                assert one.slate_id != other.slate_id
                assert (
                    one == replace(other, slate_id=one.slate_id) == replace(elsewhere, slate_id=one.slate_id)
                )


def test_a_wish_for_diversity_brings_more_categories(world: World, bank_in_small: SampleBank) -> None:
    some = who(bank_in_small.customers)[:40]

    def n_categories(diversity: float) -> float:
        return mean(len(set(categories(world.slate(CONTENT, one, diversity=diversity)))) for one in some)

    counts = [n_categories(diversity) for diversity in (0.0, 0.3, 1.0)]
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] + 1


def test_an_explanation_names_what_carried_the_score(world: World) -> None:
    model = world.bundles.model
    assert model
    bundle = model.bundle
    history = bundle.history_of(bundle.customers.row_of("c0001") or 0)
    read = set(bundle.items.ids_of(history.item_rows))
    slate = world.slate(CONTENT, "c0001", explain=True)
    named = [item for item in slate.items if because(item)]
    assert named
    for item in named:
        assert set(because(item)) <= read
        assert len(because(item)) <= 3


def test_without_the_wish_nothing_of_the_history_is_named(world: World) -> None:
    assert not any(because(item) for item in world.slate(CONTENT, "c0001").items)


@pytest.mark.parametrize(("locale", "language"), [("en", "en"), ("zh", "zh"), ("zh-HK", "zh"), ("fr", "en")])
def test_titles_and_reasons_are_in_the_language_that_was_asked_for(
    world: World, locale: str, language: str
) -> None:
    world.record(Customer("newcomer", attributes={"age": 22}))
    world.put(Item("brand-new", title={"en": "{New}", "zh": "{新}"}, published_at=world.now))
    codes = set()
    for customer_id in ("c0001", "newcomer", "nobody"):
        slate = world.slate(CONTENT, customer_id, locale=locale, explain=True, limit=100)
        assert slate.locale == locale
        for item in slate.items:
            known = world.catalogue.view.items
            assert item.title == known[item.item_id].title[language]
            assert item.reason
            codes.add(item.reason.code)
            title = known[because(item)[0]].title[language] if because(item) else ""
            assert item.reason.text == TEXTS[item.reason.code][language].format(title=title)
    assert {"because_you_read", "popular_with_people_like_you", "popular", "new"} <= codes


def test_a_customer_is_addressed_in_their_own_language(world: World) -> None:
    world.record(Customer("chinese", locale="zh"), Customer("silent"))
    assert world.slate(CONTENT, "chinese").locale == "zh"
    assert world.slate(CONTENT, "silent").locale == "en"
    assert world.slate(CONTENT, "chinese", locale="en").locale == "en"


def test_scores_fall_along_the_list(world: World) -> None:
    for source, customer_id in ((Source.PERSONALISED, "c0001"), (Source.POPULAR, "nobody")):
        slate = world.slate(CONTENT, customer_id)
        scores = [item.score for item in slate.items]
        assert slate.source is source
        assert scores == sorted(scores, reverse=True)


def test_a_policy_without_caching_makes_slates_that_end_at_once(world: World) -> None:
    def with_ttl(policy: Policy, seconds: int) -> Policy:
        return replace(policy, serving=msgspec.structs.replace(policy.serving, slate_ttl_seconds=seconds))

    brief = World(world.registry.folder, items=world.items.items(), policy=with_ttl(POLICY, 0))
    slate = brief.slate(CONTENT, "c0001")
    assert slate.expires_at == slate.generated_at
