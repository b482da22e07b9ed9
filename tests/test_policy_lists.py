"""The policy on lists and pages: refused where it makes no sense, and not needed."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from recsvc.errors import PolicyError
from recsvc.policy import Policy, load_policy
from recsvc.policy_lists import LEVERS, ListsPolicy, PagePlacement, PagePolicy, with_levers

BUILT_IN = files("recsvc").joinpath("policy.toml").read_text("utf-8")
PAGE = (
    '[[pages]]\nname = "home"\nplacements = [{ name = "hero", items = 1 }, { name = "list", items = 10 }]\n\n'
)


def written(text: str, folder: Path) -> Policy:
    file = folder / "policy.toml"
    file.write_text(text, "utf-8")
    return load_policy(file)


def with_lists(line: str) -> str:
    name = line.split()[0]
    changed, n = re.subn(rf"^{name} = .*$", line, BUILT_IN, flags=re.MULTILINE)
    assert n == 1
    return changed


def with_page(page: str) -> str:
    return BUILT_IN.replace("[[segments]]", f"{page}[[segments]]", 1)


def test_a_policy_from_before_there_were_lists_goes_on_working(tmp_path: Path) -> None:
    older = re.sub(r"^\[lists\]$.*?(?=^\[)", "", BUILT_IN, flags=re.MULTILINE | re.DOTALL)
    assert "[lists]" not in older
    policy = written(older, tmp_path)
    assert policy.lists == load_policy().lists == ListsPolicy()
    assert policy.pages == ()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("calibration = 1.0", r"calibration must be 0 or more and below 1 - at `\$\.lists`"),
        ("most_of_a_category = 0.0", r"most_of_a_category must be above 0 .* at `\$\.lists`"),
        ("least_relevance = 1.5", r"least_relevance must be 0 to 1 - at `\$\.lists`"),
        ("rotation_hours = -1.0", r"rotation_hours must be 0 to 720 - at `\$\.lists`"),
        ("page_minutes = 61.0", r"page_minutes must be 0 to 60 - at `\$\.lists`"),
        ("like_dismissed_days = 366.0", r"like_dismissed_days must be 0 to 365 - at `\$\.lists`"),
        ('rotation_hours = "a day"', r"Expected `float`, got `str` - at `\$\.lists\.rotation_hours`"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_with_its_place(
    line: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError, match=sentence):
        written(with_lists(line), tmp_path)


def test_a_page_is_read(tmp_path: Path) -> None:
    placements = (PagePlacement("hero", 1), PagePlacement("list", 10))
    assert written(with_page(PAGE), tmp_path).pages == (PagePolicy("home", placements),)


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (PAGE * 2, "pages name the placement hero twice"),
        (PAGE.replace("items = 10", "items = 0"), r"items of a placement must be 1 to 100 - at `\$\.pages"),
        (PAGE.replace('"hero"', '""'), r"a placement must have a name - at `\$\.pages"),
        ('[[pages]]\nname = "home"\nplacements = []\n\n', r"a page must have placements - at `\$\.pages"),
        (PAGE.replace("items = 1 ", 'items = 1, kind = "news" '), r"'news' - at `\$\.pages"),
    ],
)
def test_a_page_that_makes_no_sense_is_refused(page: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=sentence):
        written(with_page(page), tmp_path)


def test_the_example_of_a_page_in_the_comments_can_be_used(tmp_path: Path) -> None:
    example = [line.removeprefix("#   ") for line in BUILT_IN.splitlines() if line.startswith("#   ")]
    first = example.index("[[pages]]")
    page = "\n".join(example[first : first + 3])
    assert [one.name for one in written(with_page(f"{page}\n\n"), tmp_path).pages] == ["home"]


def test_levers_are_laid_over_what_the_policy_says() -> None:
    lists = ListsPolicy(page_minutes=7.0)
    assert with_levers(lists, ()) == lists
    changed = with_levers(lists, (("calibration", 0.9), ("rotation_hours", 0)))
    assert (changed.calibration, changed.rotation_hours, changed.page_minutes) == (0.9, 0, 7.0)


@pytest.mark.parametrize(
    ("lever", "says"), [(("no_such", 1.0), "no_such is no lever"), (("calibration", 1.0), "calibration must")]
)
def test_a_lever_that_there_is_not_or_that_is_out_of_range_is_refused(
    lever: tuple[str, float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        with_levers(ListsPolicy(), (lever,))
    assert "calibration" in LEVERS
