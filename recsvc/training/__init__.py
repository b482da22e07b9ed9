"""Interactions become a bundle: fitting, evaluation, selection, profiles, publication."""

from __future__ import annotations

from recsvc.settings import set_environment_default

# Read by OpenMP when the first library that uses it is loaded, which is one of a training's. Threads that
# spin while they wait for each other take the cores from whoever has work, be it each other.
set_environment_default({"OMP_WAIT_POLICY": "PASSIVE"})
