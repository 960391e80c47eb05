"""The lead estimate: the one that the data support, chosen before any reward of the evaluated customers is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.diagnostics import Support
from evaluation.settings import EvaluationSettings

Kind = Literal["one-step", "k-step", "deviation", "model"]


@dataclass(frozen=True)
class Lead:
    """Which estimate leads a comparison, the same for every policy in it, and why."""

    estimator: str  # key of `evaluation.estimators.ESTIMATORS`
    kind: Kind
    decisions: int  # decisions for which the policy is followed: k, 1, or the horizon
    model_based: bool
    threshold: float  # effective sample size that was needed, in customers
    ess: float  # of the policy with the least support, for the lead (for a model: where sampling failed)
    policy: str  # that policy
    lost_at: int | None  # first decision, from 1, at which the cumulative size falls below the threshold
    ess_of_two: float | None  # effective sample size over two decisions; None where a customer has one
    untried: float  # largest share of a policy's probability that lies on treatments the log never tried
    model_rows: int  # training decisions for a reward model


def choose_lead(
    supports: Sequence[Support],
    customers: int,
    model_rows: int,
    settings: EvaluationSettings,
    *,
    pooled: bool = False,
) -> Lead:
    """Pick the lead estimate by support alone: it sees weights and never a reward.

    One decision: SNIPS or DR if the effective sample size reaches the threshold, else the direct method.
    Several: the k-step value with the largest k >= 2 whose cumulative size reaches it; else one-decision
    deviations if every decision's own size does (in proportion to the customers who have that decision);
    else fitted Q, marked model-based. The policy with the least support decides for all.

    pooled: a continuing task, whose steps are alike: deviations are normalised over all steps, so that the
    effective size of the customers' summed weights is what counts.
    """
    need = settings.threshold(customers)
    horizon = len(supports[0].ess)
    cumulative = np.min([s.ess_cumulative for s in supports], axis=0)
    alone = [single_size(s, customers, pooled) for s in supports]
    enough = np.flatnonzero(cumulative < need)
    k = int(enough[0]) if len(enough) else horizon
    lost_at = k + 1 if k < horizon else None
    untried = max(s.untried for s in supports)
    tried = untried <= settings.max_untried
    corrected = settings.correction == "dr" or (settings.correction == "auto" and model_rows >= settings.min_model_rows)

    def weakest(sizes: Sequence[float]) -> str:
        return supports[int(np.argmin(sizes))].policy

    def lead(estimator: str, kind: Kind, decisions: int, sizes: Sequence[float]) -> Lead:
        return Lead(
            estimator, kind, decisions, kind == "model", need, float(min(sizes)), weakest(sizes), lost_at,
            float(cumulative[1]) if horizon > 1 else None, untried, model_rows,
        )  # fmt: skip

    if tried and horizon == 1 and k == 1:
        sizes = [float(s.ess_cumulative[0]) for s in supports]
        return lead("dr" if corrected else "snips", "one-step", 1, sizes)
    if tried and k >= 2:
        sizes = [float(s.ess_cumulative[k - 1]) for s in supports]
        return lead("kstep_dr" if corrected else "kstep", "k-step", k, sizes)
    if tried and horizon > 1 and min(alone) >= need:
        return lead("deviation_dr" if corrected else "deviation", "deviation", 1, alone)
    return lead("dm" if horizon == 1 else "fqe", "model", horizon, alone)


def single_size(support: Support, customers: int, pooled: bool) -> float:
    """Effective size, in customers, of single decisions: of all steps together, or of the step with the least."""
    if pooled:
        return support.ess_pooled
    return float((support.ess / np.maximum(support.alive, 1) * customers).min())
