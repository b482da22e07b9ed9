"""How experiments deal customers. In: an experiment as registered, or the policy. Out: an allocation.

The hold-out is an experiment like any other to whoever counts exposures and results: its arms are the
customers who are in no experiment and all others. The policy makes it, nobody begins or ends it, and its salt
is fixed, so the same customers are held out for good; to hold out more moves nobody back.
"""

from __future__ import annotations

from recsvc.domain.experiments import HOLDOUT_KEY, Experiment, ExperimentStatus, ExperimentVariant
from recsvc.experimentation.assignment import Allocation, LayerPlace, Variant
from recsvc.policy_experiments import ExperimentsPolicy

HELD_OUT = "held_out"
IN_EXPERIMENTS = "in_experiments"


def allocation_of(experiment: Experiment) -> Allocation:
    """How the experiment deals customers in its phase, whatever its status."""
    layer = None
    if experiment.layer_salt is not None:
        layer = LayerPlace(experiment.layer_salt, *experiment.layer_range)
    variants = tuple(Variant(one.key, one.weight) for one in experiment.variants)
    return Allocation(experiment.salt, variants, experiment.coverage, layer)


def holdout_experiment(policy: ExperimentsPolicy) -> Experiment | None:
    """The hold-out; None where nobody is held out.

    Its phase is the percentage: what was counted of one share of held-out customers is never mixed with what
    is counted of another. Both of its variants are served by whatever the champion is.
    """
    if policy.holdout_percent == 0:
        return None
    return Experiment(
        HOLDOUT_KEY,
        (
            ExperimentVariant(HELD_OUT, None, policy.holdout_percent),
            ExperimentVariant(IN_EXPERIMENTS, None, 100 - policy.holdout_percent),
        ),
        status=ExperimentStatus.RUNNING,
        phase=policy.holdout_percent,
    )


def is_held_out(holdout: Allocation | None, unit: str) -> bool:
    """Whether the unit is in no experiment at all; `holdout` is the hold-out's allocation."""
    return holdout is not None and holdout.assign(unit).variant == HELD_OUT
