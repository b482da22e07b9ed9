"""The model families: each one file, each with the same two verbs, fit and score."""

from __future__ import annotations

from recsvc.training.families.als import Als
from recsvc.training.families.base import Family
from recsvc.training.families.neighbours import Neighbours
from recsvc.training.families.popularity import Popularity

FAMILIES: tuple[Family, ...] = (Popularity(), Neighbours(), Als())


def families_named(names: tuple[str, ...]) -> tuple[Family, ...]:
    """The families of these names, in the order of `FAMILIES`; all of them for no names."""
    return tuple(family for family in FAMILIES if not names or family.name in names)
