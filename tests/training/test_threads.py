"""What the libraries under a training do with threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import recsvc.training.pipeline  # noqa: F401 - with all that a training loads
from recsvc.training.threads import one_blas_thread

WAITING = "OMP_WAIT_POLICY"


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_every_blas_that_a_training_loads_keeps_to_one_thread_within_and_no_longer() -> None:
    with threadpool_limits(2, user_api="blas"):
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {2}


@pytest.mark.parametrize(("before", "then"), [({}, "PASSIVE"), ({WAITING: "ACTIVE"}, "ACTIVE")])
def test_threads_that_wait_leave_the_cores_to_others_unless_told_otherwise(
    before: dict[str, str], then: str
) -> None:
    looks = f"import os, recsvc.training; print(os.environ[{WAITING!r}])"
    environment = {name: value for name, value in os.environ.items() if name != WAITING} | before
    ran = subprocess.run([sys.executable, "-c", looks], env=environment, capture_output=True, text=True)
    assert ran.stdout.strip() == then, ran.stderr
