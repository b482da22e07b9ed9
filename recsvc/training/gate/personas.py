"""Golden personas. In: the policy's made-up customers, or the catalogue. Out: what each would see of it.

A persona of the policy must find its categories whatever the champion does: people asked for it. One that is
made of the catalogue (a reader of the three most popular items of a large category) must get at least as much
of that category as the popular list has; it holds a candidate back only where the champion serves it better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.gate_report import PersonaOutcome
from recsvc.policy_training import PersonaPolicy
from recsvc.training.families.base import FloatArray
from recsvc.training.gate.first_lists import FIRST, first_items
from recsvc.training.gate.footing import Contender, Footing

N_MADE = 3
N_READ = 3
LEAST_IN_CATEGORY = 2 * N_READ  # Of fewer, hardly any are left to read.


@dataclass(frozen=True, slots=True)
class _Persona:
    """`item_rows` of the history and `category_rows` that are expected; `least_share` None: made."""

    name: str
    item_rows: tuple[int, ...]
    category_rows: tuple[int, ...]
    least_share: float | None


@dataclass(frozen=True)
class Shelves:
    """What the items are: the row of each item's category, -1 for none, (n_items,); and the names."""

    of_items: NDArray[np.int64]
    names: tuple[str, ...]


def persona_outcomes(
    footing: Footing, shelves: Shelves, named: Sequence[PersonaPolicy]
) -> tuple[PersonaOutcome, ...]:
    """What becomes of each persona: those of the policy, or where there are none, made ones."""
    personas = _named(footing, shelves, named) if named else _made(footing, shelves)
    return tuple(_outcome(one, footing, shelves) for one in personas)


def _named(footing: Footing, shelves: Shelves, named: Sequence[PersonaPolicy]) -> list[_Persona]:
    rows = {item_id: row for row, item_id in enumerate(footing.matrix.item_ids)}
    return [
        _Persona(
            one.name,
            tuple(rows[item_id] for item_id in dict.fromkeys(one.history) if item_id in rows),
            tuple(shelves.names.index(name) for name in one.expect_categories if name in shelves.names),
            one.least_share if one.expect_categories else 0.0,
        )
        for one in named
    ]


def _made(footing: Footing, shelves: Shelves) -> list[_Persona]:
    popularity = footing.data.popularity
    sizes = np.bincount(shelves.of_items[shelves.of_items >= 0], minlength=len(shelves.names))
    largest = [row for row in np.argsort(-sizes, kind="stable")[:N_MADE] if sizes[row] >= LEAST_IN_CATEGORY]
    personas = []
    for category in largest:
        inside = np.flatnonzero(shelves.of_items == category)
        read = inside[np.argsort(-popularity[inside], kind="stable")[:N_READ]]
        name = f"a reader of {shelves.names[category]}"
        personas.append(_Persona(name, tuple(sorted(read.tolist())), (int(category),), None))
    return personas


def _outcome(persona: _Persona, footing: Footing, shelves: Shelves) -> PersonaOutcome:
    history = tuple(footing.matrix.item_ids[row] for row in persona.item_rows)
    expected = tuple(shelves.names[row] for row in persona.category_rows)
    if not history:
        return PersonaOutcome(persona.name, history, expected, None, None, None, None)
    popular = Contender(
        _Popular(footing.data.popularity), footing.data.popularity, footing.candidate.is_known
    )
    candidate, champion, of_popular = (
        _share(persona, one, footing, shelves) for one in (footing.candidate, footing.champion, popular)
    )
    if persona.least_share is not None:
        wanted = persona.least_share
        return PersonaOutcome(
            persona.name, history, expected, candidate, champion, wanted, candidate >= wanted
        )
    holds = candidate >= min(of_popular, champion)
    return PersonaOutcome(persona.name, history, expected, candidate, champion, of_popular, holds)


def _share(persona: _Persona, contender: Contender, footing: Footing, shelves: Shelves) -> float:
    """The share of the first ten items that are of the expected categories."""
    rows = np.sort(np.array(persona.item_rows))
    ones = np.ones(len(rows), dtype=np.float32)
    shape = (1, len(footing.matrix.item_ids))
    history = csr_matrix((ones, (np.zeros_like(rows), rows)), shape=shape)
    first = first_items(contender, history, may_repeat=False)[0]
    of_first = shelves.of_items[first[first >= 0]]
    return float(np.isin(of_first, persona.category_rows).sum() / FIRST)


@dataclass(frozen=True)
class _Popular:
    popularity: FloatArray

    def score(self, histories: csr_matrix) -> FloatArray:
        return np.tile(self.popularity, (histories.shape[0], 1)).astype(np.float32)
