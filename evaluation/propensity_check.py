"""Do logged propensities agree with how often treatments were chosen? A wrong logger shows before its log is used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from evaluation.log import Log

ALARM = 0.001  # chance that a right logger is called wrong, for all treatments together; assumed: rare
FEWEST = 5.0  # choices of a treatment below which nothing is said of it; assumed, as for a chi-square


@dataclass(frozen=True)
class Frequency:
    """A treatment's decisions beside what the propensities say."""

    treatment: str
    chosen: int  # decisions that chose it
    apart: float  # choices more than the propensities say, as a share of what they say
    z: float  # the same in standard errors; NaN where too few chose it


@dataclass(frozen=True)
class PropensityCheck:
    """All treatments of a log."""

    frequencies: tuple[Frequency, ...]
    limit: float  # of |z|, Bonferroni over treatments

    @property
    def wrong(self) -> tuple[Frequency, ...]:
        """Treatments whose propensities do not agree with their frequencies."""
        return tuple(f for f in self.frequencies if abs(f.z) > self.limit)


def check_propensities(log: Log) -> PropensityCheck:
    """Compare every treatment, by the whole logged distribution mu where it is known:

        z = (chosen - sum mu) / sqrt(sum mu (1 - mu))

    else by the propensities of what was chosen, since over the decisions that allow a treatment 1[chosen] / e is 1 in
    the mean:

        z = (sum_{chosen} 1/e - allowed) / sqrt(sum_{chosen} (1 - e) / e^2)

    The latter calls it too rare, too, where a treatment is allowed and never tried. Horvitz & Thompson (1952), their
    variance for independent draws.
    """
    found = [_by_choices(log, a) if log.behaviour is None else _by_distribution(log, a) for a in range(log.width)]
    judged = max(1, sum(not np.isnan(f.z) for f in found))
    return PropensityCheck(tuple(found), float(ndtri(1 - ALARM / (2 * judged))))


def _by_distribution(log: Log, position: int) -> Frequency:
    assert log.behaviour is not None
    mu, chosen = log.behaviour[:, position], int((log.treatment == position).sum())
    return _frequency(log, position, chosen, float(mu.sum()), float((mu * (1 - mu)).sum()))


def _by_choices(log: Log, position: int) -> Frequency:
    inverse = 1 / log.propensity[log.treatment == position]
    allowed = float(log.mask[:, position].sum())
    return _frequency(log, position, float(inverse.sum()), allowed, float((inverse**2 - inverse).sum()))


def _frequency(log: Log, position: int, found: float, said: float, variance: float) -> Frequency:
    chosen = int((log.treatment == position).sum())
    apart, few = found - said, max(float(chosen), said if log.behaviour is not None else 0.0) < FEWEST
    z = np.nan if few else (0.0 if apart == 0 else apart / max(variance**0.5, 1e-12))
    return Frequency(log.treatments[position], chosen, apart / said if said > 0 else np.nan, float(z))
