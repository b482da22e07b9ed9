"""Each concern of a list does what it is for at every strength: 500 customers of the sample bank."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from benchmarks.lists import CALIBRATIONS, CAPS, DIVERSITIES, N_CUSTOMERS, PLAIN, ListBench, make_bench
from recsvc.domain.items import AttributeValue, Item
from recsvc.serving.reranking.pool import n_considered

from ..small_bank import CONTENT, World, ids


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> ListBench:
    return make_bench(tmp_path_factory.mktemp("models"))


def test_the_stronger_the_wish_for_diversity_the_less_alike_is_what_a_list_holds(bench: ListBench) -> None:
    assert len(bench.relevant) == N_CUSTOMERS
    for lists in (PLAIN, bench.policy.lists):
        found = [bench.figures("diversity", one, lists, one) for one in DIVERSITIES]
        for measure in ("intra_list_diversity", "unlikeness"):
            values = [getattr(one, measure) for one in found]
            assert values == sorted(values), measure
            assert values[-1] > values[0] + 0.1
        assert found[0].ndcg > found[-1].ndcg > 0


def test_the_stronger_the_calibration_the_closer_lists_are_to_the_mix_of_the_history(
    bench: ListBench,
) -> None:
    strengths = [msgspec.structs.replace(PLAIN, calibration=one) for one in CALIBRATIONS]
    found = [bench.figures("calibration", one.calibration, one) for one in strengths]
    distances = [one.divergence for one in found]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 4
    assert all(one.ndcg > 0.9 * found[0].ndcg for one in found)


def test_the_lower_the_cap_the_less_of_one_category_a_list_holds(bench: ListBench) -> None:
    caps = [msgspec.structs.replace(PLAIN, most_of_a_category=share) for share in CAPS]
    values = [bench.figures("cap", one.most_of_a_category, one).most_of_a_category for one in caps]
    assert values == sorted(values, reverse=True) and values[-1] < values[0]


def test_a_catalogue_of_one_category_is_not_looked_through_for_others(world: World) -> None:
    looked_at = set[str]()

    class Watched(dict[str, AttributeValue]):
        """The attributes of an item, which tell when they are asked for its series."""

        def get(self, name: str, default: object = None) -> Any:
            looked_at.add(str(self["id"]))
            return super().get(name, default)

    def alike(item: Item) -> Item:
        return replace(item, category="one", attributes=Watched(id=item.item_id))

    world.put(*map(alike, world.catalogue.view.items.values()), *(alike(Item(f"z{n}")) for n in range(300)))
    assert len(ids(world.slate(CONTENT, "c0001"))) == len(ids(world.slate(CONTENT, "stranger"))) == 10
    assert 0 < len(looked_at) <= 2 * n_considered(10)


def test_the_policy_costs_next_to_nothing_in_accuracy(bench: ListBench) -> None:
    plain, as_served = bench.figures("plain", 0, PLAIN), bench.figures("policy", 0, bench.policy.lists)
    assert as_served.ndcg > 0.95 * plain.ndcg
    assert as_served.divergence < plain.divergence
