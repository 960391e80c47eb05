"""How often something happened over many logs, with an interval that knows policies of one log to be alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

TAIL = 0.025


@dataclass(frozen=True)
class Rate:
    """A share of cases with its 95 % interval."""

    share: float
    lo: float
    hi: float

    def meets(self, least: float, most: float) -> bool:
        """Whether the interval reaches into [least, most]: nothing says that the rate lies outside."""
        return self.lo <= most and self.hi >= least

    def shown(self) -> str:
        """In per cent.

        >>> Rate(0.05, 0.021, 0.112).shown()
        '5 [2, 11]'
        """
        return f"{100 * self.share:.0f} [{100 * self.lo:.0f}, {100 * self.hi:.0f}]"


def rate(happened: np.ndarray) -> Rate:
    """happened: (logs, policies) bool, or (logs,) for one policy.

    The exact binomial interval (Clopper and Pearson 1934) of as many independent cases as have the variance that is
    found between logs: policies of one log share its customers (Korn and Graubard 1998, "Confidence intervals for
    proportions with small expected number of positive counts").
    """
    cases = happened.reshape(len(happened), -1).astype(np.float64)
    share, between = float(cases.mean()), float(cases.mean(axis=1).var()) / len(cases)
    size = float(cases.size)
    if 0 < share < 1 and between > 0:
        size = min(size, share * (1 - share) / between)
    elif cases.shape[1] > 1:
        size = float(len(cases))  # nothing varies: as few as there can be
    hits = share * size
    lo = float(beta.ppf(TAIL, hits, size - hits + 1)) if hits > 0 else 0.0
    hi = float(beta.ppf(1 - TAIL, hits + 1, size - hits)) if hits < size else 1.0
    return Rate(share, lo, hi)
