"""The best settings of one family. In: a family, a judge. Out: its best fit on the part that is learned from.

Settings compete by successive halving (Jamieson and Talwalkar, "Non-stochastic best arm identification and
hyperparameter optimization", 2016): many at a fraction of the cost, the best third of them at more of it.
What then costs no new fit is climbed step by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recsvc.training.budget import Budget
from recsvc.training.families.base import Family
from recsvc.training.trials import Fit, Judge

_KEPT = 3  # One of so many goes on to the next rung.
_MAX_STEPS = 24  # Variations of one fit that are judged.


def search(family: Family, judge: Judge, budget: Budget) -> Fit | None:
    """The best fit that was seen; None where the family cannot learn from such data.

    A cheaper fit that scores higher than the whole one wins: it learned less, and less of it was chance. A
    spent budget ends the search with what there is.
    """
    settings: Sequence[Family] = family.settings(judge.data)
    if not settings:
        return None
    seen: list[_Scored] = []
    for rung in range(_n_rungs(len(settings)), 0, -1):
        tried = _try_reduced(settings, rung, judge, budget)
        settings = _best_third(settings, tried)
        seen += tried
    if not seen or not budget.is_spent():
        seen.append(_whole(settings[0], seen, judge))
    best = max(reversed(seen), key=lambda one: one.score)
    return (_climbed(best, judge, budget) if best is seen[-1] else best).fit


@dataclass(frozen=True, slots=True)
class _Scored:
    fit: Fit
    score: float


def _scored(fit: Fit, judge: Judge) -> _Scored:
    return _Scored(fit, judge.try_out(fit).value)


def _whole(family: Family, seen: Sequence[_Scored], judge: Judge) -> _Scored:
    """The fit at full cost; where there is nothing to reduce, it was made already."""
    return next((one for one in seen if one.fit.fitted.family == family), None) or _scored(
        judge.fit(family), judge
    )


def _n_rungs(n_settings: int) -> int:
    return math.ceil(math.log(n_settings, _KEPT) - 1e-9)


def _try_reduced(settings: Sequence[Family], rung: int, judge: Judge, budget: Budget) -> tuple[_Scored, ...]:
    """The settings in turn, each at its cost reduced `rung` times; the first always has its turn."""
    tried: list[_Scored] = []
    for one in settings:
        if tried and budget.is_spent():
            break
        for _ in range(rung):
            one = one.reduced()
        tried.append(_scored(judge.fit(one), judge))
    return tuple(tried)


def _best_third(settings: Sequence[Family], tried: Sequence[_Scored]) -> Sequence[Family]:
    """The settings, not reduced, of the third that scored best; of equals the likelier one."""
    places = sorted(range(len(tried)), key=lambda place: (-tried[place].score, place))
    return [settings[place] for place in places[: math.ceil(len(settings) / _KEPT)]]


def _climbed(best: _Scored, judge: Judge, budget: Budget) -> _Scored:
    """From one fit to a better variation of it, until none is better."""
    seen = {best.fit.fitted.family}
    is_climbing = True
    while is_climbing:
        is_climbing = False
        for varied in best.fit.fitted.variations():
            if varied.family in seen or len(seen) > _MAX_STEPS or budget.is_spent():
                continue
            seen.add(varied.family)
            fit = Fit(varied, best.fit.cpu_seconds)
            candidate = _Scored(fit, judge.try_variation(fit).value)
            if candidate.score > best.score:
                best, is_climbing = candidate, True
                break
    return best
