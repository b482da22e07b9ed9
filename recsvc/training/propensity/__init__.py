"""Offers sent become a propensity model: examples, boosted trees, calibration, what it was judged to be."""
