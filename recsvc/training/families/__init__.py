"""The model families: each one file, each with the same two verbs, fit and score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.als import Als, n_factors_for
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


_N_BIASES = {"bpr": 1, "lmf": 2}  # Columns that the fit adds to the factors.


def family_from(name: str, parameters: Mapping[str, Parameter], n_items: int) -> Family:
    """The family under the settings that a manifest keeps of it.

    Args:
        n_items: how many items it was fitted to, by which ALS chose its number of factors.

    Raises:
        KeyError: there is no such family.
    """
    family: Any = {one.name: one for one in FAMILIES + OPTIONAL_FAMILIES}[name]
    given = dict(parameters)
    if "n_factors" in given:
        n_factors = int(given["n_factors"]) - _N_BIASES.get(name, 0)
        given = {"factor_share": n_factors / n_factors_for(n_items), **given, "n_factors": n_factors}
    known = {field.name for field in fields(family)} - {"name", "is_personal"}
    made: Family = replace(family, **{setting: value for setting, value in given.items() if setting in known})
    return made
