"""Segments of the policy that ask for fields of the profile."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from recsvc.errors import PolicyError
from recsvc.policy import Policy, load_policy

POLICY = load_policy()


def policy_with(rule: str, folder: Path) -> Policy:
    text = files("recsvc").joinpath("policy.toml").read_text("utf-8")
    file = folder / "policy.toml"
    file.write_text(text.replace("[[segments]]", f"[[segments]]\n{rule}\n\n[[segments]]", 1), "utf-8")
    return load_policy(file)


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ('name = "x"\nprofile = "lifecyle"\nequals = "new"', r"'lifecyle' - at `\$\.segments\[0\]\.profile`"),
        ('name = "x"\nall = [{ profile = "shoe_size" }]', r"at `\$\.segments\[0\]\.all\[0\]\.profile`"),
        (
            'name = "x"\nprofile = "lifecycle"\nequals = "newish"',
            r"one of new, active.* at `\$\.segments\[0\]`",
        ),
        ('name = "x"\nprofile = "journey"\nat_least = 3', r"at `\$\.segments\[0\]`"),
        ('name = "x"\nprofile = "journey"\nattribute = "age"', r"not on both - at `\$\.segments\[0\]`"),
        ('name = "x"\nall = [{ below = 3 }]', r"must name an attribute .* at `\$\.segments\[0\]`"),
    ],
)
def test_a_segment_that_asks_for_what_is_not_there_is_refused_with_its_place(
    rule: str, place: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError, match=place):
        policy_with(rule, tmp_path)


def test_a_segment_may_ask_for_attributes_and_profile_at_once(tmp_path: Path) -> None:
    policy = policy_with(
        'name = "x"\nall = [{ attribute = "age", below = 30 },'
        ' { profile = "lifecycle", equals = "at_risk" }]',
        tmp_path,
    )
    assert policy.segments_reading_profiles() and not POLICY.segments_reading_profiles()
    assert policy.segment_of({"age": 20}, {"lifecycle": "at_risk"}) == "x"
    assert policy.segment_of({"age": 20}, {"lifecycle": "new"}) == "young"
    assert policy.segment_of({"age": 20}) == "young"
    assert policy.segment_of({"age": 40}, {"lifecycle": "at_risk"}) == "everyone"
