"""Sequential estimators: what a policy is worth over several decisions of a customer.

Shapes: C customers, H steps. Where a customer has no such decision: ratio 1, everything else 0.
`ratio` = pi(a|x) / propensity of the logged treatment (C, H); `reward` (C, H);
`q` = model's value of the logged treatment (C, H); `v` = sum_a pi(a|x) q(x, a) (C, H);
`discount` = gamma ** days since the first decision (C, H).
Each returns Terms: `.estimate()` is the value; a bootstrap over customers resamples them.
"""

from __future__ import annotations

import numpy as np

from evaluation.terms import ONE, Terms, joined, mean_of, ratio_of


def cumulative(ratio: np.ndarray) -> np.ndarray:  # (C, H)
    """rho_t = prod_{s <= t} pi(a_s|x_s) / propensity_s; carried on after a customer's last decision."""
    return np.cumprod(ratio, axis=1)


def _before(weight: np.ndarray) -> np.ndarray:  # (C, H)
    """rho_{t-1}, with rho_{-1} = 1."""
    return np.concatenate([np.ones((len(weight), 1)), weight[:, :-1]], axis=1)


def on_policy(reward: np.ndarray, discount: np.ndarray) -> Terms:
    """Mean discounted return of the logging policy: no weights, no model."""
    return mean_of((discount * reward).sum(axis=1))


def pdis(ratio: np.ndarray, reward: np.ndarray, discount: np.ndarray) -> Terms:
    """Per-decision importance sampling: mean sum_t gamma^t rho_t r_t. Unbiased; variance grows with H.

    Precup, Sutton & Singh (2000), "Eligibility traces for off-policy policy evaluation".
    """
    return mean_of((discount * cumulative(ratio) * reward).sum(axis=1))


def snpdis(ratio: np.ndarray, reward: np.ndarray, discount: np.ndarray) -> Terms:
    """Self-normalised per-decision importance sampling: sum_t gamma^t (sum_i rho_t r_t) / (sum_i rho_t).

    Precup, Sutton & Singh (2000), the weighted form of `pdis`, normalised step by step.
    """
    rho = cumulative(ratio)
    return ratio_of(discount * rho * reward, rho)


def pddr(ratio: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray, discount: np.ndarray) -> Terms:
    """Per-decision doubly robust: mean sum_t gamma^t [rho_t (r_t - q_t) + rho_{t-1} v_t].

    q, v are the policy's values from step t on. Jiang & Li (2016), "Doubly robust off-policy value
    evaluation for reinforcement learning", unrolled; Thomas & Brunskill (2016).
    """
    rho = cumulative(ratio)
    return mean_of((discount * (rho * (reward - q) + _before(rho) * v)).sum(axis=1))


def snpddr(ratio: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray, discount: np.ndarray) -> Terms:
    """Weighted doubly robust: as `pddr`, with rho_t / mean rho_t for rho_t, step by step.

    Thomas & Brunskill (2016), "Data-efficient off-policy policy evaluation", the WDR estimator.
    """
    rho = cumulative(ratio)
    before = _before(rho)
    return joined(ratio_of(discount * rho * (reward - q), rho), ratio_of(discount * before * v, before))


def kstep(ratio: np.ndarray, reward: np.ndarray, discount: np.ndarray, k: int) -> Terms:
    """k-step value, self-normalised: the policy for k decisions, then the logging policy.

    `snpdis` with rho_t = rho_{k-1} from step k on; all rewards of the customer count.
    """
    rho = cumulative(ratio[:, :k])
    gain = discount * reward
    gains = np.concatenate([gain[:, : k - 1], gain[:, k - 1 :].sum(axis=1, keepdims=True)], axis=1)
    return ratio_of(rho * gains, rho)


def kstep_dr(
    ratio: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray, discount: np.ndarray, k: int
) -> Terms:
    """k-step value, weighted doubly robust: `kstep` with a model's values as control variates.

    q, v (C, >= k) are values from step t on of "the policy until step k, then the logging policy". With
    q = v = 0 from step k on this is `snpddr`; Thomas & Brunskill (2016).
    """
    rho = cumulative(ratio[:, :k])
    before = _before(rho)
    known = discount[:, :k] * q[:, :k]
    gain = discount * reward
    gains = np.concatenate([gain[:, : k - 1], gain[:, k - 1 :].sum(axis=1, keepdims=True)], axis=1)
    return joined(ratio_of(rho * (gains - known), rho), ratio_of(before * discount[:, :k] * v[:, :k], before))


def deviation(
    ratio: np.ndarray, reward: np.ndarray, discount: np.ndarray, alive: np.ndarray, pooled: bool = False
) -> Terms:
    """One-decision deviations, self-normalised per step: sum_t E[gamma^t r_t | logged history, a_t from pi].

    Each decision is weighted by its own ratio alone, the history stays the logging policy's; the
    normaliser of a step runs over the customers who have it (alive, (C, H) bool). What a treatment does
    after the next decision is not counted. Per step this is Swaminathan & Joachims (2015).

    pooled: one normaliser over the decisions of all steps, for a continuing task, where one step is like
    another: the mean weight is 1 at each of them, and all of them together say it with less noise.
    """
    weight = ratio * alive
    if pooled:
        counted = alive.sum(axis=1, keepdims=True).astype(np.float64)
        together = (discount * weight * reward).sum(axis=1, keepdims=True)
        return ratio_of(together, weight.sum(axis=1, keepdims=True), counted)
    return ratio_of(discount * weight * reward, weight, alive.astype(np.float64))


def deviation_dr(
    ratio: np.ndarray,
    reward: np.ndarray,
    q: np.ndarray,
    v: np.ndarray,
    discount: np.ndarray,
    alive: np.ndarray,
    pooled: bool = False,
) -> Terms:
    """One-decision deviations, weighted doubly robust; q, v: model of the reward until the next decision.

    sum_t gamma^t [v_t + w_t (r_t - q_t) / mean w_t]; Dudik, Langford & Li (2011) per step, with the
    normaliser of Thomas & Brunskill (2016).
    """
    modelled = Terms((discount * v).sum(axis=1, keepdims=True), ONE, ONE)
    return joined(modelled, deviation(ratio, reward - q, discount, alive, pooled))
