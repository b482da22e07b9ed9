"""Marketers pin, boost, bury and block for a time: it shows, it says so, and no gate is opened by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.items import Channel, Item, ItemKind, ItemStatus
from recsvc.domain.merchandising import MerchandisingRule, RuleAction
from recsvc.domain.offer_terms import Disclosure, OfferTerms
from recsvc.domain.slates import AppliedRule, Slate, SlateItem, SlateRequest, Source
from recsvc.errors import StoreError
from recsvc.policy_lists import ListsPolicy, PagePlacement, PagePolicy
from recsvc.serving.eligibility import Circumstances, refusal_of
from recsvc.serving.reason_texts import TEXTS

from ..small_bank import CONTENT, END, OFFER, POLICY, World, alike_in_worth, categories, ids

WILLING = Consents(personalisation=True, marketing=tuple(Channel))
HOUR = timedelta(hours=1)
EVERY_KIND = pytest.mark.parametrize("kind", list(ItemKind))


def ruled(slate: Slate) -> dict[str, list[str]]:
    """The actions of the rules that each item names, of those that name any."""
    return {item.item_id: [rule.action.value for rule in item.rules] for item in slate.items if item.rules}


def shown(slate: Slate, item_id: str) -> SlateItem:
    return next(item for item in slate.items if item.item_id == item_id)


def enriched(world: World) -> World:
    """Beside the bank's own items some that nobody met, and a customer who may have all of them."""
    world.record(Customer("c0001", consents=WILLING, suitability=Suitability(max_risk_class=7)))
    world.put(
        *(Item(f"new-{n}", category="rare") for n in range(40)),
        *(Item(f"deal-{n}", OFFER, category="rare") for n in range(10)),
    )
    return world


@pytest.fixture
def rich(world: World) -> World:
    """Enriched, where nothing but scores and rules orders a list: places can be told beforehand."""
    by_score = ListsPolicy(calibration=0.0, most_of_a_category=1.0, least_relevance=0.0, rotation_hours=0.0)
    items, customers = world.items.items(), [*world.customers.each()]
    policy = replace(POLICY, lists=by_score)
    return alike_in_worth(
        enriched(World(world.registry.folder, items=items, customers=customers, policy=policy))
    )


def test_without_rules_no_item_names_any(world: World) -> None:
    with structlog.testing.capture_logs() as log:
        slates = [world.slate(kind, "c0001", limit=100) for kind in ItemKind]
    assert all(item.rules == () for slate in slates for item in slate.items)
    assert [line for line in log if line["event"] == "slate_ruled"] == []


# --- pin ------------------------------------------------------------------------------------------


@EVERY_KIND
@pytest.mark.parametrize("position", [1, 2, 5])
def test_a_pinned_item_is_at_its_position_and_says_that_it_is_our_pick(
    rich: World, kind: ItemKind, position: int
) -> None:
    plain = ids(rich.slate(kind, "c0001"))
    name = "new-7" if kind is CONTENT else "deal-7"
    rest = [each for each in plain if each != name]
    rich.rule("pin", rule_id="our-week", item_id=name, position=position)
    slate = rich.slate(kind, "c0001")
    assert ids(slate) == [*rest[: position - 1], name, *rest[position - 1 :]][:10]
    pinned = shown(slate, name)
    assert (pinned.position, pinned.rules) == (position, (AppliedRule("our-week", RuleAction.PIN),))
    assert pinned.reason is not None
    assert (pinned.reason.code, pinned.reason.text, pinned.reason.because) == ("our_pick", "Our pick", ())
    assert pinned.propensity == 1
    assert ruled(slate) == {name: ["pin"]}
    assert TEXTS["our_pick"] == {"en": "Our pick", "zh": "编辑推荐"}


def test_a_pin_changes_neither_the_rung_that_answered_nor_the_reasons_of_the_others(rich: World) -> None:
    plain = rich.slate(CONTENT, "c0001", explain=True)
    rich.rule("pin", item_id="new-7")
    slate = rich.slate(CONTENT, "c0001", explain=True)
    assert slate.source is plain.source is Source.PERSONALISED
    assert [item.reason for item in slate.items[1:]] == [item.reason for item in plain.items[:9]]
    assert [item.score for item in slate.items[1:]] == [item.score for item in plain.items[:9]]


def test_an_item_that_is_on_the_list_anyway_is_moved_to_its_position_and_stands_once(rich: World) -> None:
    plain = rich.slate(CONTENT, "c0001")
    first, *rest = ids(plain)
    rich.rule("pin", item_id=first, position=4)
    slate = rich.slate(CONTENT, "c0001")
    assert ids(slate)[:4] == [*rest[:3], first]
    assert ids(slate).count(first) == 1
    assert shown(slate, first).score == plain.items[0].score


def test_several_pins_of_one_position_stand_by_rule_id_and_one_item_is_pinned_once(rich: World) -> None:
    for rule_id, name in [("c", "new-3"), ("a", "new-1"), ("b", "new-2")]:
        rich.rule("pin", rule_id=rule_id, item_id=name, position=2)
    rich.rule("pin", rule_id="d", item_id="new-1", position=9)
    slate = rich.slate(CONTENT, "c0001")
    assert ids(slate)[1:4] == ["new-1", "new-2", "new-3"]
    assert ids(slate).count("new-1") == 1
    assert len(slate.items) == 10


def test_a_pin_beyond_the_end_of_a_short_list_comes_last_and_one_beyond_the_limit_not_at_all(
    rich: World,
) -> None:
    rich.rule("pin", item_id="new-1", position=50)
    assert "new-1" not in ids(rich.slate(CONTENT, "c0001", limit=10))
    few = rich.slate(CONTENT, "c0001", limit=100, exclude=tuple(f"new-{n}" for n in range(3, 40)))
    assert "new-1" in ids(few)
    rich.put(Item("alone", category="only"))
    rich.rule("pin", rule_id="p2", item_id="alone", position=50)
    assert ids(rich.slate(CONTENT, "c0001", limit=100, categories=("only",))) == ["alone"]


def test_of_a_series_the_pinned_item_is_the_one_that_is_shown(rich: World) -> None:
    first, second, *_ = ids(rich.slate(CONTENT, "c0001"))
    told = rich.catalogue.view.items[first]
    rich.put(replace(told, attributes={"series": "budget"}))
    rich.put(*(Item(f"part-{n}", attributes={"series": "budget"}) for n in range(2)))
    assert ids(rich.slate(CONTENT, "c0001"))[:2] == [first, second]
    rich.rule("pin", rule_id="p1", item_id="part-1", position=3)
    rich.rule("pin", rule_id="p2", item_id="part-0", position=5)
    slate = rich.slate(CONTENT, "c0001")
    assert ids(slate)[0] == second
    assert ids(slate)[2] == "part-1"
    assert {first, "part-0"}.isdisjoint(ids(slate))
    assert len(slate.items) == 10


def test_a_pin_that_has_no_place_on_a_list_takes_nobody_elses(rich: World) -> None:
    """Neither that of an item of the same series, nor that of the item itself."""
    first, *_ = plain = ids(rich.slate(CONTENT, "c0001", limit=3))
    rich.put(replace(rich.catalogue.view.items[first], attributes={"series": "budget"}))
    rich.put(Item("part-2", attributes={"series": "budget"}))
    for position, place in [(50, None), (4, None), (3, 2)]:
        rich.rule("pin", item_id="part-2", position=position)
        found = ids(rich.slate(CONTENT, "c0001", limit=3))
        assert found == plain if place is None else found.index("part-2") == place
    rich.rule("pin", item_id=first, position=50)
    assert ids(rich.slate(CONTENT, "c0001", limit=3)) == plain


def test_a_pin_that_gives_way_to_another_beyond_the_end_takes_nobody_elses_place(rich: World) -> None:
    first, second, _ = ids(rich.slate(CONTENT, "c0001", limit=3))
    rich.put(replace(rich.catalogue.view.items[first], attributes={"series": "budget"}))
    rich.put(Item("part-2", attributes={"series": "budget"}))
    rich.rule("pin", rule_id="p1", item_id="new-1", position=3)
    rich.rule("pin", rule_id="p2", item_id="part-2", position=3)
    assert ids(rich.slate(CONTENT, "c0001", limit=3)) == [first, second, "new-1"]


def test_an_item_both_pinned_and_boosted_names_both_rules(rich: World) -> None:
    rich.rule("pin", rule_id="p", item_id="new-7")
    rich.rule("boost", rule_id="b", category="rare")
    rich.rule("bury", rule_id="a", item_id="new-7")
    applied = shown(rich.slate(CONTENT, "c0001"), "new-7").rules
    assert [(rule.rule_id, rule.action.value) for rule in applied] == [
        *(("p", "pin"), ("a", "bury"), ("b", "boost"))
    ]


def test_more_pins_than_places_fill_the_list_and_no_more(rich: World) -> None:
    for n in range(5):
        rich.rule("pin", rule_id=f"p{n}", item_id=f"new-{n}")
    assert ids(rich.slate(CONTENT, "c0001", limit=3)) == ["new-0", "new-1", "new-2"]


def test_a_pinned_list_of_nobodys_own_choice_is_editorial(tmp_path: Path) -> None:
    world = World(tmp_path, items=[Item("a"), Item("b")])
    world.rule("pin", item_id="b")
    slate = world.slate(CONTENT, "nobody")
    assert (ids(slate)[0], slate.source) == ("b", Source.EDITORIAL)


def test_diversity_does_not_move_a_pin(rich: World) -> None:
    rich.rule("pin", item_id="new-7", position=2)
    for diversity in (0.0, 0.5, 1.0):
        assert ids(rich.slate(CONTENT, "c0001", diversity=diversity))[1] == "new-7"


@EVERY_KIND
def test_what_a_customer_used_is_pinned_again_only_where_the_policy_repeats(
    rich: World, kind: ItemKind
) -> None:
    """Both an item of the model and one that it never met."""
    known, unknown = ids(rich.slate(kind, "c0001"))[0], "new-7" if kind is CONTENT else "deal-7"
    rich.did("c0001", "click", known, unknown)
    rich.rule("pin", rule_id="p1", item_id=known)
    rich.rule("pin", rule_id="p2", item_id=unknown)
    repeats = {CONTENT: POLICY.serving.repeat_content, OFFER: POLICY.serving.repeat_offers}[kind]
    assert {known, unknown}.isdisjoint(ids(rich.slate(kind, "c0001", limit=100))) is not repeats
    assert unknown in ids(rich.slate(kind, "nobody-else"))[:2]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"status": ItemStatus.PAUSED}, {}),
        ({"valid_from": END + HOUR}, {}),
        ({"valid_to": END}, {}),
        ({"channels": (Channel.EMAIL,)}, {}),
        ({}, {"categories": ("travel",)}),
        ({}, {"exclude": ("deal-7",)}),
        ({"terms": OfferTerms(risk_class=5)}, {}),
        ({"terms": OfferTerms(disclosures=(Disclosure("d", 1, {}),))}, {}),
    ],
    ids=["paused", "to_come", "over", "channel", "category", "excluded", "risk", "undisclosed"],
)
def test_a_gate_that_shuts_stops_a_pin(rich: World, changes: dict[str, Any], wanted: dict[str, Any]) -> None:
    limited = Customer("c0001", consents=WILLING, suitability=Suitability(max_risk_class=4))
    rich.record(limited)
    rich.rule("pin", item_id="deal-7")
    assert ids(rich.slate(OFFER, "c0001"))[0] == "deal-7"
    rich.put(Item("deal-7", OFFER, **{"category": "rare", **changes}))
    assert "deal-7" not in ids(rich.slate(OFFER, "c0001", limit=100, **wanted))


def test_without_consent_or_after_a_no_nothing_is_pinned(rich: World) -> None:
    rich.rule("pin", rule_id="p1", item_id="deal-7")
    rich.rule("pin", rule_id="p2", item_id="new-7")
    rich.did("c0001", "dismiss", "new-7", "deal-7")
    assert "new-7" not in ids(rich.slate(CONTENT, "c0001", limit=100))
    assert "deal-7" not in ids(rich.slate(OFFER, "c0001", limit=100))
    rich.record(Customer("c0002", consents=Consents(personalisation=True)))
    assert rich.slate(OFFER, "c0002").items == ()
    assert ids(rich.slate(CONTENT, "c0002"))[0] == "new-7"


# --- boost and bury -------------------------------------------------------------------------------


@EVERY_KIND
def test_a_boost_by_two_lifts_an_item_to_half_its_place_and_a_bury_sinks_it_to_twice(
    rich: World, kind: ItemKind
) -> None:
    plain = ids(rich.slate(kind, "c0001"))
    rich.rule("boost", item_id=plain[5])
    rich.rule("bury", item_id=plain[1], factor=0.25)
    slate = rich.slate(kind, "c0001")
    assert ids(slate).index(plain[5]) == 1  # The second went down.
    assert ids(slate).index(plain[1]) > 5
    assert ruled(slate) == {plain[5]: ["boost"], plain[1]: ["bury"]}


def test_what_is_boosted_keeps_its_own_true_reason_with_its_history(rich: World) -> None:
    plain = rich.slate(CONTENT, "c0001", limit=20, explain=True)
    rich.rule("boost", item_id=plain.items[15].item_id, factor=10.0)
    slate = rich.slate(CONTENT, "c0001", explain=True)
    moved = shown(slate, plain.items[15].item_id)
    assert moved.position <= 2
    assert moved.reason == plain.items[15].reason


@EVERY_KIND
def test_a_boost_brings_what_was_far_down_and_never_more_than_was_asked_for(
    rich: World, kind: ItemKind
) -> None:
    everything = ids(rich.slate(kind, "c0001", limit=100))
    place = min(30, len(everything))
    name = everything[place - 1]
    assert name not in ids(rich.slate(kind, "c0001", limit=5))
    rich.rule("boost", item_id=name, factor=10.0)
    slate = rich.slate(kind, "c0001", limit=5)
    assert name in ids(slate)[: -(-place // 10)]
    assert len(slate.items) == 5


def test_what_is_buried_makes_room_for_what_was_below(rich: World) -> None:
    plain = ids(rich.slate(CONTENT, "c0001", limit=20))
    for n, name in enumerate(plain[:3]):
        rich.rule("bury", rule_id=f"b{n}", item_id=name, factor=0.01)
    assert ids(rich.slate(CONTENT, "c0001")) == plain[3:13]


def test_a_category_is_boosted_or_buried_as_a_whole_and_of_one_kind_if_so_said(rich: World) -> None:
    assert "rare" not in categories(rich.slate(CONTENT, "c0001"))
    rich.rule("boost", category="rare", factor=10.0, kind=CONTENT)
    assert categories(rich.slate(CONTENT, "c0001")).count("rare") >= 2
    assert "rare" not in categories(rich.slate(OFFER, "c0001", limit=5))
    rich.rule("boost", category="rare", factor=10.0)
    assert categories(rich.slate(OFFER, "c0001", limit=5)).count("rare") >= 2
    rich.rule("bury", category="rare", factor=0.01)  # The two together are a factor of 0.1.
    for kind in ItemKind:
        assert "rare" not in categories(rich.slate(kind, "c0001", limit=5))


@EVERY_KIND
def test_factors_near_one_change_next_to_nothing_and_no_item_is_lost_or_doubled(
    rich: World, kind: ItemKind
) -> None:
    plain = ids(rich.slate(kind, "c0001", limit=100))
    rich.rule("boost", item_id=plain[3], factor=1.01)
    rich.rule("bury", item_id=plain[2], factor=0.99)
    moved = ids(rich.slate(kind, "c0001", limit=100))
    assert sorted(moved) == sorted(plain)
    assert moved[:2] == plain[:2]


@pytest.mark.parametrize("diversity", [0.0, 0.5])
@EVERY_KIND
def test_among_all_concerns_of_a_list_a_boost_never_sinks_and_a_bury_never_lifts(
    world: World, kind: ItemKind, diversity: float
) -> None:
    """With the mix of categories, the limits and the rotation of the policy that is shipped."""
    enriched(world)

    def place_of(name: str) -> int:
        listed = ids(world.slate(kind, "c0001", diversity=diversity))
        return listed.index(name) if name in listed else len(listed)

    plain = ids(world.slate(kind, "c0001", diversity=diversity))
    lifted, sunk = 0, 0
    for place, name in enumerate(plain):
        world.rule("boost", item_id=name, factor=5.0)
        assert place_of(name) <= place
        lifted += place_of(name) < place
        assert world.rules.delete("boost", expected="*")
        world.rule("bury", item_id=name, factor=0.05)
        assert place_of(name) >= place
        sunk += place_of(name) > place
        assert world.rules.delete("bury", expected="*")
    assert lifted >= 5
    assert sunk >= 5


def test_a_rule_of_a_placement_holds_there_and_what_it_pins_stands_on_the_page_once(world: World) -> None:
    page = PagePolicy("home", (PagePlacement("hero", 3), PagePlacement("below", 5)))
    both = World(
        world.registry.folder,
        items=world.items.items(),
        customers=world.customers.each(),
        policy=replace(POLICY, pages=(page,)),
    )
    enriched(both)
    both.rule("pin", item_id="new-7", placements=("hero",))
    both.rule("pin", rule_id="below", item_id="new-8", placements=("below",))
    hero, below = (both.slate(CONTENT, "c0001", placement=name) for name in ("hero", "below"))
    assert (ids(hero)[0], ids(below)[0]) == ("new-7", "new-8")
    assert set(ids(hero)).isdisjoint(ids(below))
    both.rule("pin", item_id="new-7")
    hero, below = (both.slate(CONTENT, "c0001", placement=name) for name in ("hero", "below"))
    assert ids(hero)[0] == "new-7"
    assert "new-7" not in ids(below)


def on_a_page(world: World, *placements: PagePlacement) -> World:
    return World(
        world.registry.folder,
        items=world.items.items(),
        customers=world.customers.each(),
        policy=replace(world.policy, pages=(PagePolicy("home", placements),)),
    )


def test_what_is_pinned_further_down_the_page_is_left_to_that_placement(rich: World) -> None:
    paged = on_a_page(
        rich, PagePlacement("hero", 1), PagePlacement("list", 10), PagePlacement("deals", 3, "offer")
    )
    (best,), (second, *_) = (ids(paged.slate(CONTENT, "c0001", placement=name)) for name in ("hero", "list"))
    for position in (1, 4, 10):
        paged.rule("pin", item_id=best, position=position, placements=("list",))
        assert ids(paged.slate(CONTENT, "c0001", placement="hero")) == [second]
        assert ids(paged.slate(CONTENT, "c0001", placement="list")).index(best) == position - 1
    for unheard in ({"position": 11, "placements": ("list",)}, {"placements": ("deals",)}):
        paged.rule("pin", item_id=best, **unheard)
        assert ids(paged.slate(CONTENT, "c0001", placement="hero")) == [best]
    paged.rule("pin", item_id=best, placements=("list",))
    paged.rule("block", item_id=best, placements=("list",))
    assert ids(paged.slate(CONTENT, "c0001", placement="hero")) == [best]


def test_an_item_that_is_pinned_in_two_placements_of_a_page_is_in_the_first(rich: World) -> None:
    paged = on_a_page(rich, PagePlacement("hero", 2), PagePlacement("list", 10))
    paged.rule("pin", rule_id="p1", item_id="new-7", position=2, placements=("hero",))
    paged.rule("pin", rule_id="p2", item_id="new-7", position=1, placements=("list",))
    hero, below = (ids(paged.slate(CONTENT, "c0001", placement=name)) for name in ("hero", "list"))
    assert hero[1] == "new-7"
    assert "new-7" not in below


def test_of_a_series_the_item_that_is_pinned_below_is_the_one_that_the_page_shows(rich: World) -> None:
    paged = on_a_page(rich, PagePlacement("hero", 1), PagePlacement("list", 10))
    (best,) = ids(paged.slate(CONTENT, "c0001", placement="hero"))
    paged.put(replace(paged.catalogue.view.items[best], attributes={"series": "budget"}))
    paged.put(*(Item(f"part-{n}", attributes={"series": "budget"}) for n in range(2)))
    paged.rule("pin", item_id="part-0", position=3, placements=("list",))
    hero, below = (ids(paged.slate(CONTENT, "c0001", placement=name)) for name in ("hero", "list"))
    assert below[2] == "part-0"
    assert best not in (*hero, *below)
    paged.rule("pin", rule_id="p2", item_id="part-1", placements=("hero",))
    hero, below = (ids(paged.slate(CONTENT, "c0001", placement=name)) for name in ("hero", "list"))
    assert hero == ["part-1"]
    assert {"part-0", best}.isdisjoint(below)


# --- block ----------------------------------------------------------------------------------------


@EVERY_KIND
def test_a_blocked_item_is_on_no_list_and_a_blocked_category_neither(rich: World, kind: ItemKind) -> None:
    plain = rich.slate(kind, "c0001", limit=100)
    name, category = plain.items[0].item_id, plain.items[1].category
    rich.rule("block", rule_id="b1", item_id=name)
    rich.rule("block", rule_id="b2", category=category)
    rich.rule("pin", rule_id="p1", item_id=name)
    rich.rule("boost", rule_id="p2", category=category)
    for customer_id in ("c0001", "nobody"):
        slate = rich.slate(kind, customer_id, limit=100)
        assert name not in ids(slate)
        assert category not in categories(slate)
    if kind is CONTENT:
        assert len(rich.slate(kind, "c0001").items) == 10


def test_a_block_is_the_last_of_the_gates_and_has_a_reason_code(rich: World) -> None:
    rich.rule("block", category="rare")
    model, view = rich.catalogue.model_and_view()
    rules = view.rules.on(rich.now, Channel.WEB, "default")

    def refusal(item_id: str, customer_id: str) -> str | None:
        subject = rich.engine._subjects.read(
            customer_id, channel=Channel.WEB, model=model, items=view.items, now=rich.now
        )
        kind = view.items[item_id].kind
        request = SlateRequest(kind, customer_id)
        return refusal_of(view.items[item_id], Circumstances(request, subject, rich.now, rules))

    rich.record(Customer("silent", consents=Consents()))
    assert (refusal("new-1", "c0001"), refusal("deal-1", "c0001")) == ("blocked", "blocked")
    assert (refusal("new-1", "silent"), refusal("deal-1", "silent")) == ("blocked", "no_consent")
    rich.did("c0001", "dismiss", "new-1")
    assert refusal("new-1", "c0001") == "suppressed"


def test_what_is_blocked_is_on_no_list_that_is_nobodys_own(world: World) -> None:
    def listed(channel: Channel = Channel.WEB) -> tuple[list[str], list[str]]:
        trending = world.browser.trending(
            kind=CONTENT, limit=100, channel=channel, locale=None, categories=()
        )
        similar = world.browser.similar(seed, limit=100, channel=channel, locale=None)
        return [item.item_id for item in trending.items], [item.item_id for item in similar.items]

    seed = ids(world.slate(CONTENT, "nobody"))[0]
    name = next(each for each in listed()[1] if each in listed()[0])
    world.rule("block", item_id=name, channels=(Channel.WEB,))
    assert all(name not in each for each in listed())
    assert all(name in each for each in listed(Channel.MOBILE))
    world.rule("block", item_id=name, placements=("home",))
    assert all(name in each for each in listed())


# --- when and where -------------------------------------------------------------------------------

EFFECTS = {
    "pin": {"item_id": "new-7"},
    "boost": {"category": "rare", "factor": 10.0},
    "bury": {"item_id": "FIRST", "factor": 0.01},
    "block": {"item_id": "FIRST"},
}


@pytest.mark.parametrize("action", EFFECTS)
def test_a_rule_holds_in_its_time_on_its_channels_and_placements_and_nowhere_else(
    rich: World, action: str
) -> None:
    def listed(**wanted: Any) -> list[str]:
        return ids(rich.slate(CONTENT, "c0001", **{"placement": "home", **wanted}))

    plain = listed()
    effect = {name: plain[0] if value == "FIRST" else value for name, value in EFFECTS[action].items()}
    rich.rule(
        action,
        starts_at=END + HOUR,
        ends_at=END + 2 * HOUR,
        channels=(Channel.WEB, Channel.EMAIL),
        placements=("home", "basket"),
        **effect,
    )
    assert listed() == plain
    rich.now = END + HOUR
    changed = listed()
    assert changed != plain
    assert listed(placement="basket") == listed(channel=Channel.EMAIL) == changed
    assert listed(placement="default") == listed(channel=Channel.MOBILE) == plain
    rich.now = END + 2 * HOUR - timedelta.resolution
    assert listed() == changed
    rich.now = END + 2 * HOUR
    assert listed() == plain


@EVERY_KIND
def test_a_slate_ends_when_a_rule_begins_or_ends_to_be_on(world: World, kind: ItemKind) -> None:
    seconds = timedelta(seconds=1)
    world.rule("block", item_id="x", starts_at=END + 7 * seconds, ends_at=END + 20 * seconds)
    assert world.slate(kind, "c0001").expires_at == END + 7 * seconds
    world.now = END + 7 * seconds
    assert world.slate(kind, "c0001").expires_at == END + 20 * seconds
    world.now = END + 20 * seconds
    assert world.slate(kind, "c0001").expires_at == END + 80 * seconds


def test_a_change_of_a_rule_outdates_the_slates_that_were_kept(world: World) -> None:
    request = SlateRequest(CONTENT, "c0001")

    def first() -> str:
        return str(b"new-7" in world.cached.recommend(request).body)

    world.put(Item("new-7"))
    assert (first(), first()) == ("False", "False")
    rule = world.rule("pin", item_id="new-7")
    assert (first(), first()) == ("True", "True")
    assert world.rules.delete(rule.rule_id, expected="*")
    assert first() == "True"  # Until this worker looks again.
    world.catalogue.refresh()
    assert first() == "False"


def test_while_the_store_is_down_the_last_rules_go_on(world: World) -> None:
    world.put(Item("new-7"))
    world.rule("pin", item_id="new-7")
    world.items.move_revision()

    def down() -> tuple[MerchandisingRule, ...]:
        raise StoreError("the store does not answer")

    world.catalogue._read_rules = down
    world.refresh()
    slate = world.slate(CONTENT, "c0001")
    assert (ids(slate)[0], slate.degraded) == ("new-7", ("store",))


def test_without_a_model_rules_hold_too(tmp_path: Path) -> None:
    items = [Item(f"a{n}", category="xy"[n % 2]) for n in range(30)]
    world = World(tmp_path, items=items)
    plain = ids(world.slate(CONTENT, "nobody"))
    world.rule("pin", item_id=plain[9], position=2)
    world.rule("block", item_id=plain[0])
    world.rule("boost", item_id=plain[7], factor=8.0)
    slate = world.slate(CONTENT, "nobody")
    assert ids(slate)[:3] == [plain[7], plain[9], plain[1]]
    assert slate.source is Source.EDITORIAL


def test_one_line_of_the_log_says_what_rules_did_and_names_no_customer(rich: World) -> None:
    first = ids(rich.slate(CONTENT, "c0001"))[0]
    rich.rule("pin", rule_id="p", item_id="new-7")
    rich.rule("boost", rule_id="b", item_id=first)
    with structlog.testing.capture_logs() as log:
        slate = rich.slate(CONTENT, "c0001")
    (line,) = (line for line in log if line["event"] == "slate_ruled")
    assert line == {
        "event": "slate_ruled",
        "log_level": "info",
        "slate_id": slate.slate_id,
        "rules": [
            {"rule_id": "p", "action": "pin", "item_id": "new-7"},
            {"rule_id": "b", "action": "boost", "item_id": first},
        ],
    }
    assert "c0001" not in str(line)


def logged(world: World, **wanted: Any) -> list[dict[str, str]]:
    with structlog.testing.capture_logs() as log:
        slate = world.slate(CONTENT, "c0001", **wanted)
    lines = [line for line in log if line["event"] == "slate_ruled"]
    assert all(line["slate_id"] == slate.slate_id and "c0001" not in str(line) for line in lines)
    return [rule for line in lines for rule in line["rules"]]


def test_the_log_says_what_was_blocked_and_by_which_rule(rich: World) -> None:
    first, second, *_ = ids(rich.slate(CONTENT, "c0001"))
    rich.rule("block", rule_id="b1", item_id=first)
    assert logged(rich) == [{"rule_id": "b1", "action": "block", "item_id": first}]
    rich.rule("pin", rule_id="p", item_id=second)
    rich.rule("block", rule_id="b2", item_id="new-7")
    rich.rule("pin", rule_id="p2", item_id="new-7")
    assert sorted((rule["rule_id"], rule["item_id"]) for rule in logged(rich)) == [
        *(("b1", first), ("b2", "new-7"), ("p", second))
    ]
    assert [rule["rule_id"] for rule in logged(rich, exclude=(first, second))] == ["b2"]


def test_the_log_names_only_so_many_of_what_was_blocked(rich: World) -> None:
    rich.rule("block", category="rare")
    assert len(logged(rich, limit=100)) == 20


# --- no gate is opened ----------------------------------------------------------------------------

CATEGORIES = ("saving", "cards", "odd", None)
NAMES = tuple(f"x{n}" for n in range(8))
SOMETIMES = st.sampled_from([None, None, END - HOUR, END, END + HOUR])


@st.composite
def items(draw: st.DrawFn) -> Item:
    kind = draw(st.sampled_from(ItemKind))
    start, end = draw(SOMETIMES), draw(SOMETIMES)
    terms = OfferTerms(
        risk_class=draw(st.sampled_from([0, 0, 3, 7])),
        disclosures=draw(st.sampled_from([(), (), (Disclosure("d", 1, {}),)])),
    )
    return Item(
        draw(st.sampled_from(NAMES)),
        kind,
        category=draw(st.sampled_from(CATEGORIES)),
        valid_from=start if start is None or end is None or start < end else None,
        valid_to=end,
        channels=draw(st.sampled_from([(), (), (Channel.WEB,), (Channel.EMAIL,)])),
        status=draw(st.sampled_from([ItemStatus.LIVE, ItemStatus.LIVE, ItemStatus.PAUSED])),
        terms=terms if kind is OFFER else None,
    )


@st.composite
def rule_fields(draw: st.DrawFn) -> dict[str, Any]:
    action = draw(st.sampled_from(["pin", "pin", "boost", "bury", "block"]))
    fields: dict[str, Any] = {
        "action": action,
        "channels": draw(st.sampled_from([(), (Channel.WEB,), (Channel.EMAIL,)])),
        "placements": draw(st.sampled_from([(), ("home",), ("other",)])),
        "starts_at": END + draw(st.sampled_from([-HOUR, -HOUR, HOUR])),
        "ends_at": END + 2 * HOUR,
    }
    if action == "pin" or draw(st.booleans()):
        fields["item_id"] = draw(st.sampled_from([*NAMES, "a0001", "a0002", "o0001"]))
    else:
        fields["category"] = draw(st.sampled_from(CATEGORIES[:3]))
    if action == "pin":
        fields["position"] = draw(st.integers(1, 12))
    if action == "boost":
        fields["factor"] = draw(st.sampled_from([1.5, 10.0]))
    return fields


customers = st.builds(
    lambda name, consents, suitability: Customer(name, consents=consents, suitability=suitability),
    st.sampled_from(["c0001", "c0002", "stranger"]),
    st.sampled_from([None, WILLING, Consents(), Consents(personalisation=True, marketing=(Channel.EMAIL,))]),
    st.sampled_from(
        [None, Suitability(max_risk_class=3), Suitability(max_risk_class=7, expires_at=END - HOUR)]
    ),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given_items=st.lists(items(), max_size=8),
    given_rules=st.lists(rule_fields(), min_size=1, max_size=6),
    customer=customers,
    refused=st.lists(st.sampled_from(NAMES), max_size=3),
    kind=st.sampled_from(ItemKind),
    channel=st.sampled_from([Channel.WEB, Channel.EMAIL]),
    limit=st.sampled_from([1, 3, 10, 100]),
    diversity=st.sampled_from([0.0, 0.0, 0.7]),
    wanted=st.sampled_from([(), (), ("saving",)]),
    has_model=st.booleans(),
)
def test_no_rule_brings_an_item_onto_a_list_that_a_gate_would_keep_from_it(
    world: World,
    tmp_path_factory: pytest.TempPathFactory,
    given_items: list[Item],
    given_rules: list[dict[str, Any]],
    customer: Customer,
    refused: list[str],
    kind: ItemKind,
    channel: Channel,
    limit: int,
    diversity: float,
    wanted: tuple[str, ...],
    has_model: bool,
) -> None:
    folder = world.registry.folder if has_model else tmp_path_factory.getbasetemp() / "no-models"
    fresh = World(folder, items=world.items.items(), customers=[customer])
    fresh.put(*given_items)
    if refused:
        fresh.did(customer.customer_id, "dismiss", *refused)
    for n, fields in enumerate(given_rules):
        fresh.rule(rule_id=f"r{n}", **fields)
    request = SlateRequest(
        kind,
        customer.customer_id,
        limit=limit,
        channel=channel,
        placement="home",
        diversity=diversity,
        categories=wanted,
        exclude=("x0",),
    )
    slate = fresh.engine.recommend(request)
    model, view = fresh.catalogue.model_and_view()
    subject = fresh.engine._subjects.read(
        customer.customer_id, channel=channel, model=model, items=view.items, now=fresh.now
    )
    without_rules = Circumstances(request, subject, fresh.now)
    on = view.rules.on(fresh.now, channel, "home")
    for item in slate.items:
        assert view.items[item.item_id].kind is kind
        assert refusal_of(view.items[item.item_id], without_rules) is None
        assert not on.blocks(view.items[item.item_id])
    assert len(set(ids(slate))) == len(slate.items) <= limit
    assert [item.position for item in slate.items] == list(range(1, len(slate.items) + 1))


def test_a_rule_for_what_is_not_there_does_nothing_until_it_comes(world: World) -> None:
    plain = ids(world.slate(CONTENT, "c0001"))
    world.rule("pin", item_id="to-come")
    world.rule("boost", category="unheard of")
    assert ids(world.slate(CONTENT, "c0001")) == plain
    world.put(replace(Item("to-come"), published_at=world.now))
    assert ids(world.slate(CONTENT, "c0001"))[0] == "to-come"
