"""A family as it will stand in a blend. In: a fitted family, a hold-out. Out: what it is judged as."""

from __future__ import annotations

from recsvc.training.blending import Model
from recsvc.training.evaluation import HeldOut
from recsvc.training.families.base import Fitted, TrainingData
from recsvc.training.families.popularity import Popularity
from recsvc.training.listing import Scores

POPULARITY_SHARE = 2 / 3


def in_company(tried: Fitted, data: TrainingData, held_out: HeldOut) -> Scores:
    """The family alone; where items may be had again, behind what is popular.

    What is taken up at all is known of every item, and no family need learn it. Settings that are best alone
    shrink what is the customer's own until they nearly repeat it; a blend wants those that add to it.
    """
    if not (held_out.may_repeat and tried.family.is_personal):
        return tried
    popularity = Popularity().fit(data, seed=0)
    return Model(((popularity, POPULARITY_SHARE), (tried, 1 - POPULARITY_SHARE)))
