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

LARGEST = 1e40  # product of weights; assumed: with any amount it still has a fourth power


def cumulative(ratio: np.ndarray) -> np.ndarray:  # (C, H)
    """rho_t = prod_{s <= t} pi(a_s|x_s) / propensity_s; carried on after a customer's last decision.

    None is above LARGEST: who is so unlikely a customer is the only one that counts.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rho = np.cumprod(ratio, axis=1)
    return np.minimum(np.where(np.isnan(rho), 0.0, rho), LARGEST)  # a number too large, times 0, is 0


def before(weight: np.ndarray) -> np.ndarray:  # (C, H)
    """Weights one step earlier: w_{t-1}, with w_{-1} = 1."""
    return np.concatenate([np.ones((len(weight), 1)), weight[:, :-1]], axis=1)


def on_policy(reward: np.ndarray, discount: np.ndarray) -> Terms:
    """Mean discounted return of the logging policy: no weights, no model."""
    return mean_of((discount * reward).sum(axis=1))


def tis(ratio: np.ndarray, reward: np.ndarray, discount: np.ndarray) -> Terms:
    """Trajectory importance sampling: mean rho_{H-1} sum_t gamma^t r_t. Unbiased; every reward bears the whole product.

    Precup, Sutton & Singh (2000), the "importance sampling" form.
    """
    return mean_of(cumulative(ratio)[:, -1] * (discount * reward).sum(axis=1))


def sntis(ratio: np.ndarray, reward: np.ndarray, discount: np.ndarray) -> Terms:
    """Self-normalised trajectory importance sampling: sum_i rho_{H-1} (sum_t gamma^t r_t) / sum_i rho_{H-1}.

    Precup, Sutton & Singh (2000), the weighted form of `tis`.
    """
    rho = cumulative(ratio)[:, -1:]
    return ratio_of(rho * (discount * reward).sum(axis=1, keepdims=True), rho)


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
    return mean_of((discount * (rho * (reward - q) + before(rho) * v)).sum(axis=1))


def snpddr(ratio: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray, discount: np.ndarray) -> Terms:
    """Weighted doubly robust: as `pddr`, with rho_t / mean rho_t for rho_t, step by step.

    Thomas & Brunskill (2016), "Data-efficient off-policy policy evaluation", the WDR estimator.
    """
    rho = cumulative(ratio)
    earlier = before(rho)
    return joined(ratio_of(discount * rho * (reward - q), rho), ratio_of(discount * earlier * v, earlier))


def marginal(weight: np.ndarray, reward: np.ndarray, discount: np.ndarray) -> Terms:
    """Marginalised importance sampling, self-normalised: sum_t gamma^t (sum_i w_t r_t) / (sum_i w_t).

    weight: (C, H) how much likelier the policy is than the log to come to the state and choose the treatment at step t,
    see `evaluation.density_ratio`. Variance does not multiply from step to step. Xie, Ma & Wang (2019), "Towards
    optimal off-policy evaluation for reinforcement learning with marginalized importance sampling".
    """
    return ratio_of(discount * weight * reward, weight)


def marginal_dr(
    weight: np.ndarray, earlier: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray, discount: np.ndarray
) -> Terms:
    """Marginalised doubly robust: mean sum_t gamma^t [w_t (r_t - q_t) + w_{t-1} v_t], both weights self-normalised.

    weight: as in `marginal`; earlier: (C, H) w_{t-1}, 1 at the first step. Right if the density ratios or Q are.
    Kallus & Uehara (2020), "Double reinforcement learning for efficient off-policy evaluation in Markov decision
    processes", with the normaliser of Thomas & Brunskill (2016).
    """
    return joined(ratio_of(discount * weight * (reward - q), weight), ratio_of(discount * earlier * v, earlier))


def blend(
    ratio: np.ndarray,
    reward: np.ndarray,
    q: np.ndarray,
    v: np.ndarray,
    discount: np.ndarray,
    sampled: np.ndarray,
) -> Terms:
    """Weighted doubly robust for as many steps as sampling deserves, the model's values from there on.

    sampled: (H,) from 1 down to 0, how far step t is left to sampling: the blend of partial returns
    sum_{s <= j} of `snpddr` plus the model's value of step j + 1, with weights x_j, has sampled_t = sum_{j >= t} x_j.
    All 1 it is `snpddr`, all 0 the model's value of the first decision. Thomas & Brunskill (2016), MAGIC.
    """
    rho = cumulative(ratio)
    earlier, modelled = before(rho), np.concatenate([[1.0], sampled[:-1]])
    here, there = sampled > 0, modelled > 0  # a step that is left to the model needs no weight
    gained = (discount * sampled * rho * (reward - q))[:, here]
    return joined(
        ratio_of(gained, rho[:, here]), ratio_of((discount * modelled * earlier * v)[:, there], earlier[:, there])
    )


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
    earlier = before(rho)
    known = discount[:, :k] * q[:, :k]
    gain = discount * reward
    gains = np.concatenate([gain[:, : k - 1], gain[:, k - 1 :].sum(axis=1, keepdims=True)], axis=1)
    return joined(ratio_of(rho * (gains - known), rho), ratio_of(earlier * discount[:, :k] * v[:, :k], earlier))


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
