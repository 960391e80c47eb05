"""Off-policy estimators: errors on a published design, and seconds beside a bootstrap that takes one after the other.

**Errors.** The synthetic example of the Open Bandit Pipeline (Saito et al. 2021), written again by its description:
contexts of five normal numbers, thirty treatments, a binary reward whose probability is logistic in the context, with
coefficients of each treatment from 0 to 1, and an intercept of the same kind; logged by a softmax of thirty such
numbers; evaluated is a softmax of the probabilities of a logistic regression of the logged treatments, weighted by
reward / propensity, on other rounds. Twenty logs of 10,000 rounds; an error is |estimate - truth| / truth. Published
were mean errors of dm .0744, ips .0095, snips .0067, dr .0062. All is drawn anew, so that only their size can be
compared. The reward model is the example's, which is not right: a logistic regression without products of context and
treatment, cross-fitted in three folds. Beside it: errors of a report, which chooses its model by held-out loss.

**Seconds.** All one-step estimators with 1,000 shared resamples in one call (`evaluation.estimates`), beside the sum of
plain numpy bootstraps: for each estimator draw rounds with replacement, take them, compute. Few of their resamples are
timed and the rest reckoned. A reward model is given to both. Then every sequential estimator but fitted Q.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from benchmarks.kit import Options, Result, main, show
from evaluation.estimates import estimates, one_step
from evaluation.estimators import ESTIMATORS, Inputs, estimated
from evaluation.evaluate import evaluate
from evaluation.intervals import Interval
from evaluation.log import Log, log_from_arrays
from evaluation.settings import EvaluationSettings

RUNS, ROUNDS, TREATMENTS, CONTEXT = 20, 10_000, 30, 5
PUBLISHED = {"dm": 0.0744, "ips": 0.0095, "snips": 0.0067, "dr": 0.0062}
FOLDS = 3
FACTOR, FASTER, MEMORY, MINUTE = 3.0, 10.0, 6.0, 60.0
TIMED = 10  # resamples of the plain bootstrap that are timed


def estimators(options: Options, result: Result) -> None:
    """Errors, then seconds."""
    runs, rounds, many, trajectories = (2, 2000, 50_000, 5000) if options.quick else (RUNS, ROUNDS, 1_000_000, 100_000)
    _errors(runs, rounds, options.seed, result)
    _one_step(many, options.seed, result)
    _sequential(trajectories, 20, options.seed, result)
    result.conditions |= {"runs": runs, "rounds": rounds, "resamples": 1000}


def _errors(runs: int, rounds: int, seed: int, result: Result) -> None:
    """Relative errors of every one-step estimator, over runs."""
    by_example: dict[str, list[float]] = {}
    by_report: dict[str, list[float]] = {}
    covered: dict[str, list[bool]] = {}
    for run in range(runs):
        log, policy, truth = design(np.random.default_rng([seed, run]), rounds)
        for name, one in _example(log, policy).items():
            by_example.setdefault(name, []).append(abs(one.value - truth) / truth)
        report = evaluate(log, {"learned": policy}, settings=EvaluationSettings(resamples=400), seed=run)
        for name in report.estimators:
            one = report.estimate("learned", name).interval
            by_report.setdefault(name, []).append(abs(one.value - truth) / truth)
            covered.setdefault(name, []).append(one.lo <= truth <= one.hi)
    rows = [
        {"estimator": name, "error": float(np.mean(errors)), "lo": _quantile(errors, 0.025),
         "hi": _quantile(errors, 0.975), "published": PUBLISHED.get(name),
         "error in a report": float(np.mean(by_report[name])), "covered there": float(np.mean(covered[name]))}
        for name, errors in by_example.items()
    ]  # fmt: skip
    show(f"Relative errors, {runs} logs of {rounds:,} rounds (mean; bootstrap over logs, 95 %)", pl.DataFrame(rows), 4)
    result.figures["errors"] = rows
    mean = {row["estimator"]: float(str(row["error"])) for row in rows}
    worst = max(mean[name] for name in PUBLISHED if name != "dm")
    result.target("dm is worst", f"dm {mean['dm']:.4f}, of the other three at most {worst:.4f}", mean["dm"] > worst)
    for name, published in list(PUBLISHED.items())[1:]:
        words = f"at most {FACTOR:.0f} times the published {published} ({mean[name]:.4f})"
        result.target(name, words, mean[name] <= FACTOR * published)


def _example(log: Log, policy: Callable[..., np.ndarray]) -> dict[str, Interval]:
    """Every estimate with the example's own reward model."""
    rows, q = np.arange(len(log)), np.zeros((len(log), TREATMENTS))
    chosen = np.concatenate([log.observation, np.eye(TREATMENTS)[log.treatment]], axis=1)
    for fold in range(FOLDS):
        fit, here = rows % FOLDS != fold, rows % FOLDS == fold
        model = LogisticRegression(C=100.0, max_iter=300).fit(chosen[fit], log.margin[fit])
        for treatment, one in enumerate(np.eye(TREATMENTS)):
            asked = np.concatenate([log.observation[here], np.tile(one, (int(here.sum()), 1))], axis=1)
            q[here, treatment] = model.predict_proba(asked)[:, 1]
    pi = policy(log.observation, log.mask)
    weight = pi[rows, log.treatment] / log.propensity
    return estimates(one_step(weight, log.margin, q[rows, log.treatment], (pi * q).sum(axis=1)), resamples=100)


def _quantile(errors: list[float], q: float) -> float:
    drawn = np.random.default_rng(0).choice(errors, (2000, len(errors))).mean(axis=1)
    return float(np.quantile(drawn, q))


def design(random: np.random.Generator, rounds: int) -> tuple[Log, Callable[..., np.ndarray], float]:
    """A log of the published design, a learned policy, and its true value."""
    slope, intercept = random.uniform(size=(CONTEXT, TREATMENTS)), random.uniform(size=TREATMENTS)
    logged_by = np.exp(random.uniform(size=TREATMENTS))

    def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        context = random.normal(size=(rounds, CONTEXT))
        chance = 1 / (1 + np.exp(-context @ slope - intercept))
        mu = np.tile(logged_by / logged_by.sum(), (rounds, 1))
        treatment = (mu.cumsum(axis=1) < random.random((rounds, 1))).sum(axis=1).clip(0, TREATMENTS - 1)
        reward = (random.random(rounds) < chance[np.arange(rounds), treatment]).astype(np.float64)
        return context, treatment, mu, reward, chance

    context, treatment, mu, reward, _ = drawn()
    learner = LogisticRegression(C=100.0, max_iter=300)
    learner.fit(context, treatment, sample_weight=reward / mu[np.arange(rounds), treatment])

    def policy(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        scores = np.exp(learner.predict_proba(np.asarray(observation, np.float64)))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    context, treatment, mu, reward, chance = drawn()
    log = log_from_arrays(
        context, treatment, mu[np.arange(rounds), treatment], reward, behaviour=mu,
        mask=np.ones((rounds, TREATMENTS), bool),
    )  # fmt: skip
    return log, policy, float((policy(log.observation, log.mask) * chance).sum(axis=1).mean())


def _one_step(rounds: int, seed: int, result: Result) -> None:
    """One call beside a bootstrap for each."""
    random, treatments = np.random.default_rng(seed), 10
    mu = random.dirichlet(np.ones(treatments), rounds)
    pi = random.dirichlet(np.ones(treatments), rounds)
    treatment = (mu.cumsum(axis=1) < random.random((rounds, 1))).sum(axis=1).clip(0, treatments - 1)
    at = np.arange(rounds)
    q = random.random((rounds, treatments))
    weight, reward = pi[at, treatment] / mu[at, treatment], (random.random(rounds) < q[at, treatment]).astype(float)
    inputs = one_step(weight, reward, q[at, treatment], (pi * q).sum(axis=1))
    before = time.perf_counter()
    ours = estimates(inputs)
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows = [{"estimator": name, "estimate": one.value, "plain numpy, seconds": _plain(name, inputs, random)}
            for name, one in ours.items()]  # fmt: skip
    total = float(sum(float(str(row["plain numpy, seconds"])) for row in rows))
    show(f"{rounds:,} rounds x {treatments}, 1,000 resamples: one call {seconds:.1f} s", pl.DataFrame(rows), 3)
    ratio = total / seconds
    result.figures["one_step"] = {"seconds": seconds, "plain": total, "ratio": ratio, "gib": peak, "rows": rows}
    words = (
        f"at least {FASTER:.0f} times as fast as plain bootstraps ({ratio:.0f}: {seconds:.1f} s beside {total:.0f} s)"
    )
    result.target("one call", words, ratio >= FASTER)
    result.target("memory", f"at most {MEMORY:.0f} GiB ({peak:.1f} GiB at the peak)", peak <= MEMORY)


def _plain(name: str, inputs: Inputs, random: np.random.Generator) -> float:
    """Seconds of 1,000 resamples, one after the other, as one would write it down."""
    w, r, q, v = (getattr(inputs, field)[:, 0] for field in ("ratio", "reward", "q", "v"))
    form, weighting = ESTIMATORS[name].form, estimated(ESTIMATORS[name], inputs, logging=False).weighting
    if form is not None and weighting is not None:
        w = form.of(w, weighting.parameter)
    plain: dict[str, Callable[..., float]] = {
        "dm": lambda w, r, q, v: v.mean(),
        "ips": lambda w, r, q, v: (w * r).mean(),
        "snips": lambda w, r, q, v: (w * r).sum() / w.sum(),
        "dr": lambda w, r, q, v: (v + w * (r - q)).mean(),
        "sndr": lambda w, r, q, v: v.mean() + (w * (r - q)).sum() / w.sum(),
    }
    value = plain[name if name in plain else name.split("_")[0]]
    before = time.perf_counter()
    for _ in range(TIMED):
        some = random.integers(0, len(w), len(w))
        value(w[some], r[some], q[some], v[some])
    return (time.perf_counter() - before) / TIMED * 1000


def _sequential(customers: int, steps: int, seed: int, result: Result) -> None:
    """Every sequential estimator but fitted Q; Q, V and density ratios are given."""
    random, shape = np.random.default_rng(seed), (customers, steps)
    ratio = np.exp(random.normal(0, 0.3, shape) - 0.045)
    q, v = random.normal(size=(2, *shape))
    inputs = Inputs(
        ratio, random.normal(1, 1, shape), np.tile(0.95 ** np.arange(steps), (customers, 1)), np.ones(shape, bool),
        q, v, path_q=q, path_v=v, k=3, k_q=q, k_v=v, state_ratio=np.exp(random.normal(0, 0.2, shape)),
    )  # fmt: skip
    before = time.perf_counter()
    found = estimates(inputs)
    seconds = time.perf_counter() - before
    count = len(found)
    result.figures["sequential"] = {"seconds": seconds, "estimators": count, "customers": customers, "steps": steps}
    words = f"{count} estimators of {customers:,} customers x {steps} decisions, 1,000 resamples: {seconds:.1f} s"
    result.target("sequential", f"within {MINUTE:.0f} s ({words})", seconds <= MINUTE)


if __name__ == "__main__":
    main("estimators", estimators)
