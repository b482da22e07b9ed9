"""What may be asked of a training run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recsvc.domain.training_runs import FAMILY_SETTINGS, TrainingRequest

DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"model": "implicit.als.AlternatingLeastSquares"}, "must be the model$"),
        ({"model": "als", "factors": 1_000_000_000}, "^factors must be from 1 to 1024$"),
        ({"model": "als", "factors": 0}, "factors"),
        ({"model": "als", "regularization": float("nan")}, "^regularization must be"),
        ({"model": "als", "alpha": float("inf")}, "alpha"),
        ({"model": "als", "iterations": 501}, "iterations"),
        ({"seed": -1}, "^seed must be from 0 to 2147483647$"),
        ({"time_budget_seconds": 0.5}, "time_budget_seconds"),
        ({"factors": 64}, "^auto finds settings by itself and takes none, and no factors$"),
        ({"model": "ease", "factors": 64}, "^ease takes regularization, and no factors$"),
        ({"model": "popularity", "alpha": 1.0}, "^popularity takes none, and no alpha$"),
        ({"since": DAY, "until": DAY}, "^until must be after since$"),
        ({"since": DAY, "until": DAY - timedelta(days=31)}, "^until must be after since$"),
        ({"name": "n" * 101}, "^name must be at most 100"),
    ],
)
def test_what_no_run_can_be_is_refused(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TrainingRequest(**asked)


def test_what_a_family_takes_may_be_given() -> None:
    values = {"factors": 64, "iterations": 15, "regularization": 7.0, "alpha": 40.0}
    for model, taken in FAMILY_SETTINGS.items():
        given = {name: values[name] for name in taken}
        assert TrainingRequest(model=model, **given).fixed == given  # type: ignore[arg-type]


def test_nothing_has_to_be_given() -> None:
    assert TrainingRequest().fixed == {}
