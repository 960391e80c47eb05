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


@dataclass(frozen=True)
class Counted:
    """Sums over some decisions, (treatments,) each."""

    chosen: np.ndarray  # int64
    found: np.ndarray  # choices: their number, or that over their propensities
    said: np.ndarray  # what the propensities say of them
    variance: np.ndarray

    @classmethod
    def of(cls, log: Log) -> Counted:
        """Of a log, or a part of one."""
        chosen = np.bincount(log.treatment, minlength=log.width)
        if log.behaviour is not None:
            mu = log.behaviour
            return cls(chosen, chosen.astype(np.float64), mu.sum(axis=0), (mu * (1 - mu)).sum(axis=0))
        inverse = 1 / log.propensity
        found, noise = (np.bincount(log.treatment, w, log.width) for w in (inverse, inverse**2 - inverse))
        return cls(chosen, found, log.mask.sum(axis=0).astype(np.float64), noise)


def check_propensities(log: Log) -> PropensityCheck:
    """Of a log, see `checked_propensities`."""
    return checked_propensities(Counted.of(log), log.treatments, log.behaviour is not None)


def checked_propensities(counted: Counted, treatments: tuple[str, ...], known: bool) -> PropensityCheck:
    """Compare every treatment, by the whole logged distribution mu where it is known:

        z = (chosen - sum mu) / sqrt(sum mu (1 - mu))

    else by the propensities of what was chosen, since over the decisions that allow a treatment 1[chosen] / e is 1 in
    the mean:

        z = (sum_{chosen} 1/e - allowed) / sqrt(sum_{chosen} (1 - e) / e^2)

    The latter calls it too rare, too, where a treatment is allowed and never tried. Horvitz & Thompson (1952), their
    variance for independent draws. known: the former
    """
    found = [_frequency(name, known, *of) for name, *of in zip(treatments, *vars(counted).values(), strict=True)]
    judged = max(1, sum(not np.isnan(f.z) for f in found))
    return PropensityCheck(tuple(found), float(ndtri(1 - ALARM / (2 * judged))))


def _frequency(treatment: str, known: bool, chosen: int, found: float, said: float, variance: float) -> Frequency:
    apart, few = float(found - said), max(float(chosen), float(said) if known else 0.0) < FEWEST
    z = np.nan if few else (0.0 if apart == 0 else apart / max(float(variance) ** 0.5, 1e-12))
    return Frequency(treatment, int(chosen), apart / float(said) if said > 0 else np.nan, float(z))
