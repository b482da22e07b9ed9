"""Ask the propensity model about a customer. In: a basis, rows of offers. Out: their propensities.

Without consent nothing of the customer is told: the propensities are then those of somebody unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsvc.domain.items import AttributeValue, Channel
from recsvc.domain.propensity import MAX_KNOWN
from recsvc.serving.basis import Basis
from recsvc.serving.customers import Subject, SubjectReader
from recsvc.serving.offers.arbitration import Floats
from recsvc.serving.offers.table import OfferTable, Rows

_NO_ATTRIBUTES: Mapping[str, AttributeValue] = {}


@dataclass(frozen=True, slots=True)
class Propensities:
    """The chance of a response to each offer of a table, and of how many sendings it is known: (n_offers,).

    NaN for an offer that was not asked about.
    """

    propensity: Floats
    evidence: Floats


class PropensityReader:
    """Tells a model what it asks of a customer."""

    def __init__(self, subjects: SubjectReader) -> None:
        self._subjects = subjects

    def read(self, basis: Basis, channel: Channel, table: OfferTable, rows: Rows) -> Propensities | None:
        """The propensities of the rows on the channel now; None where there is nothing to ask.

        Raises StoreError.
        """
        scorer = basis.model.propensities if basis.model else None
        if scorer is None or not len(rows):
            return None
        subject, types = basis.subject, scorer.model.plan.rules.types
        # One more than count, so that it is known whether there are more.
        did = self._subjects.did(subject, types, limit=MAX_KNOWN + 1)
        facts = scorer.facts(_attributes(subject), did, table.items, basis.now)
        propensity = np.full(len(table), np.nan)
        propensity[rows] = scorer.propensities(facts, table.items, channel, rows)
        return Propensities(propensity, scorer.evidence(table.items))


def _attributes(subject: Subject) -> Mapping[str, AttributeValue]:
    if subject.record is None or not subject.may_personalise:
        return _NO_ATTRIBUTES
    return subject.record.attributes
