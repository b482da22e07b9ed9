"""A family with settings fixed by somebody. In: a family, settings. Out: one that search leaves at them.

What was not fixed is searched as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.base import Family, Fitted, FloatArray, TrainingData

_FOLDED = {"iterations": "n_iterations", "regularization": "regularization", "alpha": "confidence"}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "als": {"factors": "asked_factors", **_FOLDED},
    "bpr": {"factors": "n_factors", **_FOLDED},
    "lmf": {"factors": "n_factors", **_FOLDED},
    "spectral": {"factors": "n_components"},
    "ease": {"regularization": "asked_regularization"},
}
"""The field of each family that a setting of a training run stands for."""


def pinned(family: Family, settings: Mapping[str, Parameter]) -> Family:
    """The family with these settings fixed; itself where there are none."""
    if not settings:
        return family
    fields = tuple((FIELDS[family.name][name], value) for name, value in settings.items())
    return Pinned(_under(family, fields), fields)


@dataclass(frozen=True)
class Pinned(Family):
    """The family, with the fields of it that stay as they are."""

    family: Family
    fields: tuple[tuple[str, Parameter], ...]

    @property
    def name(self) -> str:
        return self.family.name

    @property
    def is_personal(self) -> bool:
        return self.family.is_personal

    @property
    def is_local(self) -> bool:
        return self.family.is_local

    def fit(self, data: TrainingData, *, seed: int) -> Fitted:
        return FittedPinned(self.family.fit(data, seed=seed), self.fields)

    def settings(self, data: TrainingData) -> tuple[Family, ...]:
        return tuple(dict.fromkeys(self._of(one) for one in self.family.settings(data)))

    def reduced(self) -> Family:
        return self._of(self.family.reduced())

    def _of(self, family: Family) -> Pinned:
        return Pinned(_under(family, self.fields), self.fields)


@dataclass(frozen=True)
class FittedPinned(Fitted):
    """The fitted family. It varies only in what was not fixed."""

    fitted: Fitted
    fields: tuple[tuple[str, Parameter], ...]

    @property
    def family(self) -> Family:  # type: ignore[override]
        return Pinned(self.fitted.family, self.fields)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return self.fitted.parameters

    def score(self, histories: csr_matrix) -> FloatArray:
        return self.fitted.score(histories)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return self.fitted.arrays()

    def item_factors(self) -> FloatArray | None:
        return self.fitted.item_factors()

    def variations(self) -> Iterator[Fitted]:
        here = self.fitted.family
        for varied in self.fitted.variations():
            if all(getattr(varied.family, name) == getattr(here, name) for name, _ in self.fields):
                yield FittedPinned(varied, self.fields)


def _under(family: Family, fields: tuple[tuple[str, Parameter], ...]) -> Family:
    changed: Any = family  # Every family is a frozen dataclass.
    return replace(changed, **dict(fields))  # type: ignore[no-any-return]
