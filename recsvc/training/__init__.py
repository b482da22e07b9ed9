"""Interactions become a bundle: fitting, evaluation, selection, profiles, publication."""
