"""What the policy says of propensities is checked when it is read."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from recsvc.errors import PolicyError
from recsvc.policy import Policy, load_policy
from recsvc.policy_offers import PropensityPolicy


def policy_with(old: str, new: str, folder: Path) -> Policy:
    text = files("recsvc").joinpath("policy.toml").read_text("utf-8")
    head, section, rest = text.partition("[offers.propensity]\n")
    assert old in rest
    file = folder / "policy.toml"
    file.write_text(head + section + rest.replace(old, new, 1), "utf-8")
    return load_policy(file)


def test_the_built_in_policy_says_every_field_and_as_it_is_by_default() -> None:
    text = files("recsvc").joinpath("policy.toml").read_text("utf-8").partition("[offers.propensity]\n")[2]
    section = text.partition("\n[")[0]
    for name in PropensityPolicy.__struct_fields__:
        assert f"\n{name} = " in f"\n{section}", name
    assert load_policy().offers.propensity == PropensityPolicy()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('sent = ["impression"]', 'sent = ["mailed"]', "propensity names mailed, which is none of"),
        ('sent = ["impression"]', "sent = []", "must each name an interaction type"),
        ("within_days = 30.0", "within_days = 0", "within_days of propensity must be above 0"),
        ("history_days = 365.0", "history_days = 9999", "history_days of propensity"),
        ("same_sending_hours = 24.0", "same_sending_hours = -1", "same_sending_hours must be 0 to 8784"),
        ("least_sendings = 1000", "least_sendings = 5", "least_sendings must be at least 100"),
        ("least_responses = 100", "least_responses = 5", "least_responses at least 10"),
        ("within_days = 30.0", "in_days = 30.0", "in_days"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=says):
        policy_with(old, new, tmp_path)


def test_another_choice_of_responses_is_taken(tmp_path: Path) -> None:
    policy = policy_with(
        'responded = ["accept", "redeem", "convert", "purchase"]', 'responded = ["convert"]', tmp_path
    )
    assert policy.offers.propensity.responded == ("convert",)
