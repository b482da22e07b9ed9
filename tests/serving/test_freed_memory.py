"""What loading a model left behind is given back once, and not at every look."""

from __future__ import annotations

from recsvc.serving.freed_memory import FreedMemory, trim_of_libc


def test_memory_is_given_back_when_something_else_is_served() -> None:
    served, trimmed = ["1:m1"], list[str]()
    freed = FreedMemory(lambda: served[0], lambda: trimmed.append(served[0]))
    for label in ("1:m1", "1:m1", "1:m2", "1:m2", "2:m2"):
        served[0] = label
        freed.give_back()
    assert trimmed == ["1:m1", "1:m2", "2:m2"]


def test_the_c_library_can_be_told_whatever_it_is() -> None:
    trim_of_libc()()
