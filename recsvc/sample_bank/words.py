"""The words of the magazine. In: words.toml. Out: categories, topics and angles, in English and Chinese."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec

LOCALES = ("en", "zh")

Topic = tuple[str, str, str, str]  # English phrase, Chinese phrase, tag, nature


class Angle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to write about a topic. `fits` names the natures of topic that it suits."""

    form: str
    fits: tuple[str, ...]
    title: dict[str, str]
    summary: dict[str, str]


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the magazine."""

    name: dict[str, str]
    topics: tuple[Topic, ...]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that titles and summaries are composed from."""

    angles: tuple[Angle, ...]
    categories: dict[str, Category]


@cache
def load_words() -> Words:
    """Read words.toml, once."""
    raw = files("recsvc.sample_bank").joinpath("words.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(raw), type=Words)


CATEGORIES: tuple[str, ...] = tuple(load_words().categories)


def compose(pattern: str, phrase: str) -> str:
    """Put the topic's phrase into a title or summary, with a capital where the pattern asks for one."""
    return pattern.replace("{Topic}", phrase[:1].upper() + phrase[1:]).replace("{topic}", phrase)
