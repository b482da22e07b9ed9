"""What loading a model left behind is given back once, and not at every look."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from recsvc.serving.freed_memory import FreedMemory, trim_of_libc
from recsvc.serving.scoring.scorers import Blend
from recsvc.serving.verification import Model, load_model


def test_memory_is_given_back_when_something_else_is_served() -> None:
    served, trimmed = ["1:m1"], list[str]()
    freed = FreedMemory(lambda: served[0], lambda: trimmed.append(served[0]))
    for label in ("1:m1", "1:m1", "1:m2", "1:m2", "2:m2"):
        served[0] = label
        freed.give_back()
    assert trimmed == ["1:m1", "1:m2", "2:m2"]


def test_a_model_goes_with_the_last_reference_to_it(shelf: tuple[Path, Path]) -> None:
    model: Model | None = load_model(shelf[0])
    assert model is not None and isinstance(model.scorer, Blend)
    held = [weakref.ref(one) for one in (model.scorer, model.bundle, *model.bundle.arrays.values())]
    gc.collect()
    gc.disable()
    try:
        model = None
        assert [one() for one in held if one() is not None] == []
    finally:
        gc.enable()


def test_the_c_library_can_be_told_whatever_it_is() -> None:
    trim_of_libc()()
