"""A synthetic bank, made from a seed: its magazine, its offers, its customers and what they did.

In: a seed and the moment the window ends. Out: a `SampleBank`, and on request its files. Nothing in it
belongs to a real person, bank or product. Because the true tastes are known, tests can ask whether
recommendations find them.
"""

from recsvc.sample_bank.bank import SampleBank, Truth, make_sample_bank
from recsvc.sample_bank.files import SampleFiles, write_sample_bank
from recsvc.sample_bank.rhythm import Stage
from recsvc.sample_bank.words import CATEGORIES

__all__ = [
    "CATEGORIES",
    "SampleBank",
    "SampleFiles",
    "Stage",
    "Truth",
    "make_sample_bank",
    "write_sample_bank",
]
