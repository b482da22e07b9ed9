"""The model families: each one file, each with the same two verbs, fit and score."""

from __future__ import annotations

from recsvc.training.families.als import Als
from recsvc.training.families.base import Family
from recsvc.training.families.bpr import Bpr
from recsvc.training.families.cooccurrence import Cooccurrence
from recsvc.training.families.ease import Ease
from recsvc.training.families.lmf import Lmf
from recsvc.training.families.neighbours import Neighbours
from recsvc.training.families.popularity import Popularity
from recsvc.training.families.spectral import Spectral

FAMILIES: tuple[Family, ...] = (Popularity(), Neighbours(), Cooccurrence(), Als(), Spectral(), Ease())
OPTIONAL_FAMILIES: tuple[Family, ...] = (Bpr(), Lmf())
"""Off unless asked for by name: they cost more than the others and have yet to find more."""


def families_named(names: tuple[str, ...]) -> tuple[Family, ...]:
    """The families of these names, in the order of their lists; for no names those that are on by default."""
    if not names:
        return FAMILIES
    return tuple(family for family in FAMILIES + OPTIONAL_FAMILIES if family.name in names)
