"""The risk class of an investment product. In: credit risk, volatility. Out: its summary risk indicator.

Method: Commission Delegated Regulation (EU) 2017/653, Annex II: part 1 for the market risk measure (MRM),
part 2 for the credit risk measure (CRM), part 3 for how they make the summary risk indicator (SRI).
"""

from __future__ import annotations

import bisect
import math

SRI_TABLE: tuple[tuple[int, ...], ...] = (
    (1, 2, 3, 4, 5, 6, 7),
    (1, 2, 3, 4, 5, 6, 7),
    (3, 3, 3, 4, 5, 6, 7),
    (5, 5, 5, 5, 5, 6, 7),
    (5, 5, 5, 5, 5, 6, 7),
    (6, 6, 6, 6, 6, 6, 7),
)
"""A row for each CRM class 1 to 6, a column for each MRM class 1 to 7."""

_MRM_FROM = (0.005, 0.05, 0.12, 0.20, 0.30, 0.80)  # What volatility each class from the second on begins at.


def market_risk_class(volatility: float) -> int:
    """The MRM class, 1 to 7, of a VaR-equivalent volatility (a year's, as a share: 0.12 is 12 %).

    Raises:
        ValueError: the volatility is below 0 or no number.
    """
    if not math.isfinite(volatility) or volatility < 0:
        raise ValueError("volatility must be a number of at least 0")
    return bisect.bisect_right(_MRM_FROM, volatility) + 1


def summary_risk_indicator(credit_risk_class: int, mrm_class: int) -> int:
    """The SRI, 1 to 7, which is the risk class of an offer of the product.

    Raises:
        ValueError: there is no such class.
    """
    if not 1 <= credit_risk_class <= len(SRI_TABLE):
        raise ValueError("credit_risk_class must be 1 to 6")
    if not 1 <= mrm_class <= len(SRI_TABLE[0]):
        raise ValueError("mrm_class must be 1 to 7")
    return SRI_TABLE[credit_risk_class - 1][mrm_class - 1]
