"""Scores from history alone, with numpy only: for each family a part, and a model's parts as one scorer.

A part answers as its family did at training: the golden queries of every bundle hold it to that.
"""

from recsvc.serving.scoring.scorers import Scorer, make_scorer
from recsvc.serving.scoring.shortlist import Shortlist, make_shortlist

__all__ = ["Scorer", "Shortlist", "make_scorer", "make_shortlist"]
