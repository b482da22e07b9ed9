"""What loading a model left behind is given back once, and not at every look."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from recsvc.domain.items import Item
from recsvc.serving.freed_memory import FreedMemory, trim_of_libc
from recsvc.serving.scoring.scorers import Blend
from recsvc.serving.verification import Model, load_model


class _Kept:
    """Something that may be held weakly."""


def test_memory_is_given_back_when_something_else_is_served() -> None:
    served, trimmed, lies = ["1:m1"], list[str](), list[str]()
    freed = FreedMemory(lambda: served[0], lambda: trimmed.append(served[0]), lambda: lies.append(served[0]))
    for label in ("1:m1", "1:m1", "1:m2", "1:m2", "2:m2"):
        served[0] = label
        freed.give_back()
    assert trimmed == lies == ["1:m1", "1:m2", "2:m2"]


def test_the_collector_looks_no_more_at_what_serves() -> None:
    catalogue = [Item("a", title={"en": "Bonds"})]
    try:
        FreedMemory(lambda: "1:m1", lambda: None).give_back()
        looked_at = {id(one) for one in gc.get_objects()}
        assert looked_at.isdisjoint(map(id, (catalogue, catalogue[0], catalogue[0].title)))
        gone = weakref.ref(late := _Kept())
        FreedMemory(lambda: "1:m1", lambda: None).give_back()
        del late
        assert gone() is None
    finally:
        gc.unfreeze()


def test_what_nobody_can_reach_is_freed_before_the_rest_is_let_lie() -> None:
    """Such as a request that broke off: its error holds the frames, and they the error and the model."""

    def fail(model: _Kept) -> weakref.ref[_Kept]:
        try:
            raise ValueError
        except ValueError as error:
            kept = error  # noqa: F841 The circle.
        return weakref.ref(model)

    gc.disable()
    try:
        gone = fail(_Kept())
        assert gone() is not None
        FreedMemory(lambda: "1:m1", lambda: None).give_back()
        assert gone() is None
    finally:
        gc.enable()
        gc.unfreeze()


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
