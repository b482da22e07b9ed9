"""That a bundle's files are untouched is remembered for a moment, and no longer."""

from __future__ import annotations

from types import SimpleNamespace

from recsvc.serving.untouched import LOOK_SECONDS, LatelyUntouched


def test_files_are_looked_at_again_once_the_moment_is_over() -> None:
    now, looks, is_same = 10.0, [], True

    def look() -> bool:
        looks.append(now)
        return is_same

    bundle = SimpleNamespace(version="v1", is_untouched=look, is_whole=lambda: True)
    other = SimpleNamespace(version="v2", is_untouched=look)
    ask = LatelyUntouched(lambda: now)
    assert [ask(bundle), ask(bundle), ask(other)] == [True, True, True]  # type: ignore[arg-type]
    assert len(looks) == 2
    is_same = False
    assert ask(bundle)  # type: ignore[arg-type]
    now += LOOK_SECONDS
    assert not ask(bundle) and not ask(bundle)  # type: ignore[arg-type]
    is_same = True
    assert ask(bundle) and len(looks) == 5  # type: ignore[arg-type]


def test_that_a_file_was_cut_short_is_told_within_the_moment() -> None:
    sound = True
    bundle = SimpleNamespace(version="v1", is_untouched=lambda: sound, is_whole=lambda: sound)
    ask = LatelyUntouched(lambda: 10.0)
    assert ask(bundle)  # type: ignore[arg-type]
    sound = False
    assert not ask(bundle)  # type: ignore[arg-type]
