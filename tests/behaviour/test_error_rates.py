"""Where nothing differs, results say so: by the fixed test, at twenty looks, and not by impressions.

`scripts/simulate_experiments` is the long form, whose figures stand in the README.
"""

from __future__ import annotations

from benchmarks.experiments import measure_error_rates


def test_results_err_as_often_as_they_say_and_a_test_by_impressions_far_more() -> None:
    found = measure_error_rates(150, 8, n_customers=800, seed=7)
    assert 0.01 <= found.fixed_test <= 0.1
    assert found.twenty_looks_at_the_sequence is not None
    assert found.twenty_looks_at_the_sequence <= 0.13
    assert found.test_by_impressions > 0.15
