"""Ask the propensity model about a customer. In: a basis, a table of offers. Out: propensities by offer.

Without consent nothing of the customer is told: the propensities are then those of somebody unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.items import AttributeValue, Channel
from recsvc.domain.propensity import MAX_KNOWN
from recsvc.serving.basis import Basis
from recsvc.serving.customers import Subject, SubjectReader
from recsvc.serving.offers.table import OfferTable

_NO_ATTRIBUTES: Mapping[str, AttributeValue] = {}


@dataclass(frozen=True, slots=True)
class Propensities:
    """The chance of a response to each offer of a table, and of how many sendings it is known.

    Both are (n_offers,).
    """

    propensity: NDArray[np.float64]
    evidence: NDArray[np.float64]


class PropensityReader:
    """Tells a model what it asks of a customer."""

    def __init__(self, subjects: SubjectReader) -> None:
        self._subjects = subjects

    def read(self, basis: Basis, channel: Channel, table: OfferTable) -> Propensities | None:
        """The propensities on the channel now; None where the model has none. Raises StoreError."""
        scorer = basis.model.propensities if basis.model else None
        if scorer is None:
            return None
        subject, types = basis.subject, scorer.model.plan.rules.types
        # One more than count, so that it is known whether there are more.
        did = self._subjects.did(subject, types, limit=MAX_KNOWN + 1)
        facts = scorer.facts(_attributes(subject), did, table.items, basis.now)
        return Propensities(
            scorer.propensities(facts, table.items, channel),
            scorer.evidence(table.items),
        )


def _attributes(subject: Subject) -> Mapping[str, AttributeValue]:
    if subject.record is None or not subject.may_personalise:
        return _NO_ATTRIBUTES
    return subject.record.attributes
