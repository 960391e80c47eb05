"""Learn the models of propensity x margin from experience: chances by trees or logistic regression, amounts by product.

Customers are divided three ways: most to fit on, some to calibrate on, some to choose on. Both regressions are
calibrated as they are, by Platt's line and by isotonic regression; the pair with the least log loss on the last group
is taken, and `Chosen` says which and by how much. Trees: LightGBM (Ke et al. 2017). Calibration: Platt (1999), Zadrozny
& Elkan (2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from agents.experience import Experience
from agents.linear import Design, constant
from agents.pairs import CATEGORIES, Pairs
from agents.propensity import Amounts, Boosted, Calibration, Chances, Logistic, PropensityMargin, Response
from envs.errors import InputError
from envs.observation import Encoder
from envs.profile import profile_fields
from training.fidelity_yardstick import lightgbm

SHARES = (0.7, 0.15, 0.15)  # of customers: to fit, to calibrate, to choose
TREES: dict[str, Any] = {
    "n_estimators": 80,
    "num_leaves": 15,
    "learning_rate": 0.08,
    "min_child_samples": 100,
    "reg_lambda": 10.0,
}
PENALTY = 1.0  # inverse strength of the logistic regression's ridge, on standardised columns
LOGISTIC_ROWS = 100_000  # most contacts it is fitted on: bounds memory
RIDGE = 5.0  # of amounts, in signatures: pulls a product's profile weights to 0
FEWEST = 20  # signatures below which a chance is a constant
LEAST_SETTLED = 5  # settled signatures of a product below which it is given the amount of all products


@dataclass(frozen=True)
class Chosen:
    """What was tried for one chance, and the log loss of each on customers kept for choosing, per contact."""

    name: str
    losses: dict[str, float]

    @property
    def best(self) -> str:
        return min(self.losses, key=lambda kind: self.losses[kind])

    def __str__(self) -> str:
        tried = ", ".join(f"{kind} {loss:.5f}" for kind, loss in sorted(self.losses.items(), key=lambda kv: kv[1]))
        return f"{self.name}: {self.best} (log loss on held-out customers: {tried})"


@dataclass(frozen=True)
class Learned:
    """A policy and how its models were chosen."""

    policy: PropensityMargin
    chosen: tuple[Chosen, ...]


def learn_propensity(experience: Experience, encoder: Encoder, *, seed: int = 0) -> Learned:
    """The policy of an experience. seed: of the division of customers and of the trees."""
    pairs, rng = Pairs(encoder), np.random.default_rng(seed)
    rows = experience.contacts
    if not experience.signed[rows].any():
        raise InputError("must hold contacts that led to something", field="experience", value=len(rows))
    groups = tuple(np.flatnonzero(group[rows]) for group in experience.parts(SHARES, rng))
    contacts = Contacts(pairs, experience, rows, groups, seed)
    signing, how = contacts.response("signing", experience.signed[rows])
    upset = experience.upset[rows]
    upsetting, how_upset = contacts.response("upsetting", upset > 0)
    policy = PropensityMargin(
        pairs,
        signing,
        upsetting,
        float(upset[upset > 0].mean()) if (upset > 0).any() else 0.0,
        amounts(experience, encoder),
        redeemed(experience, encoder),
    )
    return Learned(policy, (how, how_upset))


@dataclass(frozen=True)
class Contacts:
    """The rows of an experience that are contacts, divided by customer."""

    pairs: Pairs
    experience: Experience
    rows: np.ndarray  # (m,) int
    groups: tuple[np.ndarray, ...]  # positions among the rows: to fit, to calibrate, to choose
    seed: int

    def response(self, name: str, happened: np.ndarray) -> tuple[Response, Chosen]:
        """The chance of something. happened: (m,) bool, of every contact."""
        fit, calibrate, choose = self.groups
        if min(happened[group].sum() for group in (fit, calibrate)) < FEWEST:
            rate = max(float(happened.mean()), 0.5 / max(len(happened), 1))
            always = Response(Logistic(constant(self.pairs, float(logit(rate)))), Calibration("raw"))
            return always, Chosen(name, {"constant": _loss(np.full(len(choose), rate), happened[choose])})
        tried: dict[str, Response] = {}
        losses: dict[str, float] = {}
        for kind, fitter in (("trees", self.boosted), ("logistic", self.logistic)):
            model = fitter(fit, happened[fit])
            on_calibrate, on_choose = self._margins(model, calibrate), self._margins(model, choose)
            for calibration in calibrations(on_calibrate, happened[calibrate]):
                key = f"{kind} {calibration.kind}"
                tried[key], losses[key] = (
                    Response(model, calibration),
                    _loss(calibration(on_choose), happened[choose]),
                )
        chosen = Chosen(name, losses)
        return tried[chosen.best], chosen

    def boosted(self, among: np.ndarray, happened: np.ndarray) -> Boosted:
        """LightGBM."""
        model = lightgbm().LGBMClassifier(**TREES, random_state=self.seed, n_jobs=1, verbose=-1, deterministic=True)
        model.fit(self._written(among), happened, categorical_feature=list(range(CATEGORIES)))
        booster = model.booster_
        return Boosted(self.pairs, lambda table: np.asarray(booster.predict(table, raw_score=True, num_threads=1)))

    def logistic(self, among: np.ndarray, happened: np.ndarray) -> Logistic:
        """Ridge-penalised logistic regression by Newton's method."""
        from sklearn.linear_model import LogisticRegression

        some = np.random.default_rng(self.seed).permutation(len(among))[:LOGISTIC_ROWS]
        rows, happened = self.rows[among[some]], happened[some]
        what = (self.experience.observation, rows, self.experience.treatment[rows])
        design = Design.of(self.pairs, *what)
        model = LogisticRegression(C=PENALTY, solver="newton-cholesky", max_iter=50)
        model.fit(design.columns(*what), happened)
        return Logistic(design.linear(model.coef_, model.intercept_))

    def _written(self, among: np.ndarray) -> np.ndarray:
        rows = self.rows[among]
        return self.pairs.written(self.experience.observation, rows, self.experience.treatment[rows])

    def _margins(self, model: Chances, among: np.ndarray) -> np.ndarray:
        rows = self.rows[among]
        return model.margins(self.experience.observation[rows], np.arange(len(rows)), self.experience.treatment[rows])


def calibrations(log_odds: np.ndarray, happened: np.ndarray) -> tuple[Calibration, ...]:
    """The three calibrations, fitted. log_odds: (m,); happened: (m,) bool."""
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=1e6).fit(log_odds[:, None], happened)
    platt = Calibration("platt", float(line.coef_[0, 0]), float(line.intercept_[0]))
    steps = IsotonicRegression(y_min=0.5 / len(happened), y_max=1.0, out_of_bounds="clip").fit(log_odds, happened)
    isotonic = Calibration("isotonic", knots=steps.X_thresholds_, levels=steps.y_thresholds_)
    return (Calibration("raw"), platt, isotonic)


def amounts(experience: Experience, encoder: Encoder) -> Amounts:
    """Expected margin of a signature by product: log-linear in the profile, by ridge, scaled to the mean that was seen.

    Signatures that came to nothing count in that scale, so that the amount is of a signature, not of what matured.
    """
    names, catalogue = encoder.names, encoder.catalogue
    columns = np.array([names.index(name) for name in profile_fields(encoder.schema, lambda name, *_: name)], np.int64)
    known = np.flatnonzero(experience.signed & experience.settled & (experience.treatment > 0))
    product = catalogue.product_of[experience.treatment[known]]
    value = experience.value[known]
    profile = experience.observation[np.ix_(known, columns)].astype(np.float64)
    weights, most = np.zeros((1 + len(columns), len(catalogue.products))), np.zeros(len(catalogue.products))
    overall = max(float(value.mean()), 0.0) if len(value) else 0.0
    for place in range(len(catalogue.products)):
        mine = np.flatnonzero(product == place)
        if len(mine) < LEAST_SETTLED or value[mine].sum() <= 0:
            weights[0, place], most[place] = np.log(max(overall, 1e-9)), overall
            if len(mine) >= LEAST_SETTLED:
                weights[0, place], most[place] = np.log(1e-9), 0.0
            continue
        weights[:, place] = _log_linear(profile[mine], value[mine])
        most[place] = value[mine].max()
    return Amounts(columns, weights, most)


def _log_linear(profile: np.ndarray, value: np.ndarray) -> np.ndarray:  # (1 + fields,) float64
    """Ridge on the logarithm of positive values; the level such that the mean prediction is the mean value."""
    positive = value > 0
    center = profile[positive].mean(axis=0)
    z, y = profile[positive] - center, np.log(value[positive])
    slopes = np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    shape = np.exp((profile - center) @ slopes)
    return np.concatenate([[np.log(value.mean() / shape.mean()) - center @ slopes], slopes])


def redeemed(experience: Experience, encoder: Encoder) -> float:
    """Benefits paid per signature with a benefit, from what followed: cost beyond the contact's over the benefit's."""
    catalogue = encoder.catalogue
    with_benefit = experience.signed & (catalogue.benefit_cost[experience.treatment] > 0)
    if not with_benefit.any():
        return 1.0
    extra = experience.cost[with_benefit] - catalogue.cost[experience.treatment[with_benefit]]
    due = catalogue.benefit_cost[experience.treatment[with_benefit]]
    return float(np.clip(extra.sum() / due.sum(), 0.0, 1.0))


def _loss(chance: np.ndarray, happened: np.ndarray) -> float:
    bounded = np.clip(chance, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(happened, np.log(bounded), np.log1p(-bounded))))
