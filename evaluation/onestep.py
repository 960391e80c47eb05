"""One-step estimators: what a policy is worth where a customer is decided once.

Shapes: n rounds. `weight` = pi(a|x) / propensity of the logged treatment (n,); `reward` (n,);
`q` = model's reward of the logged treatment (n,); `v` = sum_a pi(a|x) q(x, a) (n,).
Each returns Terms: `.estimate()` is the value; a bootstrap resamples them.
"""

from __future__ import annotations

import numpy as np

from evaluation.terms import ONE, Terms, joined, mean_of, ratio_of


def expected(probabilities: np.ndarray, q: np.ndarray) -> np.ndarray:  # (n,)
    """v(x) = sum_a pi(a|x) q(x, a); both (n, treatments)."""
    return np.asarray((probabilities * q).sum(axis=-1))


def dm(v: np.ndarray) -> Terms:
    """Direct method: mean v. Right if the reward model is.

    Beygelzimer & Langford (2009); Dudik, Langford & Li (2011).
    """
    return mean_of(v)


def ips(weight: np.ndarray, reward: np.ndarray) -> Terms:
    """Inverse propensity score: mean w r. Unbiased if propensities are right and nowhere 0.

    Horvitz & Thompson (1952); Dudik, Langford & Li (2011).
    """
    return mean_of(weight * reward)


def snips(weight: np.ndarray, reward: np.ndarray) -> Terms:
    """Self-normalised IPS: sum w r / sum w. Consistent; equivariant to shifts of the reward.

    Swaminathan & Joachims (2015), "The self-normalized estimator for counterfactual learning".
    """
    return ratio_of((weight * reward)[:, None], weight[:, None])


def dr(weight: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray) -> Terms:
    """Doubly robust: mean v + w (r - q). Right if the propensities or the model are.

    Dudik, Langford & Li (2011).
    """
    return mean_of(v + weight * (reward - q))


def sndr(weight: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray) -> Terms:
    """Self-normalised doubly robust: mean v + sum w (r - q) / sum w.

    Thomas & Brunskill (2016), WDR at one step.
    """
    return joined(Terms(v[:, None], ONE, ONE), ratio_of((weight * (reward - q))[:, None], weight[:, None]))
