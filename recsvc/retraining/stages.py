"""How far a training has come. In: a stage and its share. Out: the share of the whole run, 0 to 1.

What each stage takes of the whole hangs on the data; these are the shares on a bank of middling size.
"""

from __future__ import annotations

_STAGES = {
    "read": (0.0, 0.05),
    "prepare": (0.05, 0.1),
    "select": (0.1, 0.55),
    "weigh families": (0.45, 0.45),
    "judge models": (0.45, 0.55),
    "live": (0.55, 0.75),
    "fit": (0.75, 0.85),
    "profiles": (0.85, 0.86),
    "propensity": (0.86, 0.88),
    "publish": (0.88, 0.92),
    "judge": (0.92, 1.0),
}
_WITHIN_ANOTHER = (0.0, 0.0)


def share_of_run(stage: str, share: float) -> float:
    """The share of the whole; 0 for a stage within another one, which says nothing of the whole."""
    begin, end = _STAGES.get(stage, _WITHIN_ANOTHER)
    return begin + (end - begin) * min(max(share, 0.0), 1.0)
