"""What a report rests on and answers: the card of its data, and one estimate."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.intervals import Interval
from evaluation.weighting import Weighting


@dataclass(frozen=True)
class Estimate:
    """One estimator's answer for one policy."""

    policy: str
    estimator: str
    amount: str  # reward, margin, cost, annoyance, undiscounted (without gamma) or caught_up (`evaluation.late`)
    interval: Interval
    difference: Interval | None  # to the reference, paired; None for the reference itself
    weighting: Weighting | None = None  # how the estimator made its weights smaller


@dataclass(frozen=True)
class DataCard:
    """What the estimates were computed on."""

    customers: int
    decisions: int
    horizon: int
    training_customers: int  # on whom models were fitted; 0: cross-fitted on the evaluated customers
    kind: str
    gamma: float
    currency: str
    first: str  # instant of the first decision, ISO 8601
    last: str
    digest: str
    training_digest: str | None  # of the training customers' log; None: there is none
    propensity_source: str
    propensity_note: str
    annoyance_missing: tuple[str, ...]
    discounted_decisions: float  # per customer, each counted by its discount
    open_windows: float  # share of the decisions whose outcomes may still come
    only_treatment: str | None  # that every decision took; None: there were several
    certain: float  # share of the decisions whose treatment was certain, though the rules left a choice
    same_instant: float  # share of the decisions after which the customer was decided again at the same instant
    same_return: float | None  # what every customer brought, where all brought the same; None: they did not
