"""Experiments: who is in which variant, and what the difference between variants is worth."""
