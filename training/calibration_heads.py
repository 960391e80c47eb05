"""Fit one head: choose features on the data, choose how far to shrink, estimate, measure on customers held out.

As many coefficients as there are tenths of events (Peduzzi et al. 1996, Journal of Clinical Epidemiology 49), the ones
with the largest score statistics first, in three groups: the offer and its past, the customer's state, and their
interactions. How many multiples of the configuration's ridge each group carries, or whether it is left out, is chosen
on customers set aside from the fit, by the one-standard-error rule (Breiman et al. 1984): the simplest that is as good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from envs.response import Head, Term
from training.calibration_fidelity import Fidelity, fidelity
from training.calibration_rows import HeadRows
from training.calibration_terms import Candidates, Words
from training.glm import Fit, by_customer, derivatives, fit, log_likelihood, refit, score_z

ROWS = 40_000  # rows kept per head; events first, each kept row weighted by how many it stands for
PER_COEFFICIENT = 10  # events for each coefficient
INTERACTIONS = 80  # most interactions of a head
INNER = 0.25  # share of customers on which the shape is chosen
SALES = ("converted", "organic", "converted_value")  # heads of which products that sell nothing have no part
NEVER = -30.0  # a linear predictor under which nothing ever happens


@dataclass(frozen=True)
class Shape:
    """How large a head is and how far it is shrunk: multiples of the ridge, None where the terms are left out."""

    offer: float | None  # what is offered, over which channel, and what earlier offers left behind
    state: float | None  # of the customer and the day
    crossed: float | None  # interactions of the two


SHAPES = (  # from simple to rich; the offer always has a say, since choosing offers is what a world is for
    *(Shape(offer, None, None) for offer in (10, 1)),
    *(Shape(1, state, None) for state in (100, 10, 1)),
    *(Shape(1, 3, crossed) for crossed in (1000, 300, 100, 30)),
)


@dataclass(frozen=True)
class FittedHead:
    """A head with what is known about it."""

    name: str
    head: Head
    rows: int
    events: int
    shape: Shape
    fidelity: Fidelity
    inside: Head  # fitted without the customers held out
    replicates: tuple[Head, ...]  # with bootstrap coefficients


@dataclass(frozen=True)
class _Model:
    names: tuple[str, ...]
    penalty: np.ndarray
    fit: Fit


@dataclass(frozen=True)
class HeadFitter:
    """Everything that fitting heads shares."""

    words: Words
    observation: np.ndarray  # (decisions, fields) float32
    ridge: float
    luck: np.ndarray  # (replicates, customers) float64, weights of a Bayesian bootstrap over customers
    rng: np.random.Generator
    source: str  # written beside every coefficient

    def __call__(self, head: HeadRows, heldout: np.ndarray) -> FittedHead:
        """heldout: (customers,) bool, customers kept for measuring; the final coefficients use all."""
        idle = self._idle(head)
        head = self._thinned(head.take(np.flatnonzero(~np.isin(head.option, idle))))
        never = self._never(head, idle)
        out = heldout[head.rows.customer]
        inside, outside = head.take(np.flatnonzero(~out)), head.take(np.flatnonzero(out))
        if not inside.events:  # too rare to be measured: all of it goes into the fit
            inside, outside = head, head.take(np.zeros(0, np.int64))
        shape = self._shape(inside)
        before, model = self._model(inside, shape), self._model(head, shape)
        replicates = [self._replicate(head, model, weights) for weights in self.luck]
        return FittedHead(
            head.name,
            self._head(head, model.names, model.fit, never),
            len(head.look),
            int(head.events),
            shape,
            self._fidelity(before, inside, outside),
            self._head(head, before.names, before.fit, never),
            tuple(self._head(head, model.names, again, never) for again in replicates),
        )

    def _idle(self, head: HeadRows) -> np.ndarray:  # (k,) int64, options
        """Options whose product sells nothing, as long as the log shows no sale of them."""
        if head.name not in SALES:
            return np.zeros(0, np.int64)
        catalogue = self.words.encoder.catalogue
        care = np.array([not product.selling for product in catalogue.products])
        product = np.arange(len(care)) if head.per == "product" else catalogue.product_of
        sold = np.unique(head.option[head.rows.y > 0])
        return np.setdiff1d(np.flatnonzero((product >= 0) & care[product]), sold)

    def _never(self, head: HeadRows, idle: np.ndarray) -> tuple[Term, ...]:
        """What keeps such options from ever selling."""
        if head.link == "lognormal":
            return ()
        catalogue, attributes = self.words.encoder.catalogue, self.words.options(head).attributes.names
        products = sorted(set(idle if head.per == "product" else catalogue.product_of[idle]))
        names = [f"product={catalogue.product_ids[p]}" for p in products]
        return tuple(Term(feature=n, value=NEVER, source="sells nothing") for n in names if n in attributes)

    def _thinned(self, head: HeadRows) -> HeadRows:
        """At most ROWS rows: events and others sampled apart, weighted back."""
        if len(head.look) <= ROWS:
            return head
        happened = np.flatnonzero(head.rows.y > 0) if head.link != "lognormal" else np.arange(len(head.look))
        others = np.setdiff1d(np.arange(len(head.look)), happened, assume_unique=True)
        room = min(len(happened), max(ROWS // 2, ROWS - len(others)))
        kept, weight = [], []
        for group, size in ((happened, room), (others, min(len(others), ROWS - room))):
            chosen = np.sort(self.rng.choice(group, size, replace=False)) if size < len(group) else group
            kept.append(chosen)
            weight.append(np.full(len(chosen), len(group) / max(len(chosen), 1)))
        thin = head.take(np.concatenate(kept))
        return replace(thin, rows=replace(thin.rows, weight=thin.rows.weight * np.concatenate(weight)))

    def _shape(self, head: HeadRows) -> Shape:
        """The first shape whose likelihood on customers set aside is within a standard error of the best."""
        customers = np.unique(head.rows.customer)
        aside = self.rng.choice(customers, int(INNER * len(customers)), replace=False)
        test = np.isin(head.rows.customer, aside)
        inner, outer = head.take(np.flatnonzero(~test)), head.take(np.flatnonzero(test))
        if not (inner.events and outer.events):
            return SHAPES[0]
        worth = np.stack(
            [
                by_customer(outer.rows.weight * self._likelihood(model, outer), outer.rows.customer)
                for model in self._models(inner, SHAPES)
            ]
        )  # (shapes, customers)
        behind = worth[worth.sum(axis=1).argmax()] - worth
        error = behind.std(axis=1) * np.sqrt(worth.shape[1])
        return SHAPES[int(np.flatnonzero(behind.sum(axis=1) <= error)[0])]

    def _model(self, head: HeadRows, shape: Shape) -> _Model:
        return next(self._models(head, (shape,)))

    def _models(self, head: HeadRows, shapes: tuple[Shape, ...]) -> Iterator[_Model]:
        """The head in several shapes, each started from the one before."""
        rows, candidates = head.rows, self.words.candidates(head)
        others = float((rows.y == 0).sum()) if head.link != "lognormal" else np.inf
        budget = int(min(head.events, others)) // PER_COEFFICIENT
        names = self._chosen(head, candidates, budget)
        plain = self._matrix(tuple(name for group in names.values() for name in group), head)
        crossed: tuple[tuple[str, ...], np.ndarray] | None = None
        before: dict[tuple[str, ...], np.ndarray] = {}
        for shape in shapes:
            multiples = {"1": 0.0, "offer": shape.offer, "state": shape.state}
            each = [m for group, m in multiples.items() for _ in names[group]]
            used = np.array([m is not None for m in each])
            mine = tuple(n for group, m in multiples.items() if m is not None for n in names[group])
            penalty = self.ridge * np.array([m for m in each if m is not None])
            x = plain[:, used]
            if shape.crossed is not None and candidates.fields and used.all() and len(mine) < budget:
                if crossed is None:
                    known = before.get(mine)
                    known = fit(x, rows, head.link, penalty).beta if known is None else known
                    extra = self._best_crossed(head, candidates, x @ known, min(INTERACTIONS, budget - len(mine)))
                    crossed = extra, np.hstack([plain, self._matrix(extra, head)])
                mine, x = (*mine, *crossed[0]), crossed[1]
                penalty = np.r_[penalty, np.full(len(crossed[0]), self.ridge * shape.crossed)]
            fitted = fit(x, rows, head.link, penalty, before.get(mine))
            before[mine] = fitted.beta
            yield _Model(mine, penalty, fitted)

    def _chosen(self, head: HeadRows, candidates: Candidates, budget: int) -> dict[str, tuple[str, ...]]:
        """Group -> names within the budget; neither group takes more than half of a budget that both fill."""
        offer = self._best(head, candidates.offer, budget)
        state = self._best(head, candidates.state, max(budget - len(offer), budget // 2))
        return {"1": ("1",), "offer": offer[: budget - len(state)], "state": state}

    def _matrix(self, names: tuple[str, ...], head: HeadRows) -> np.ndarray:
        return self.words.matrix(names, head, self.observation)

    def _best(self, head: HeadRows, names: tuple[str, ...], budget: int) -> tuple[str, ...]:
        """Those that vary, the `budget` with the largest score statistics, largest first."""
        if not names or budget <= 0:
            return ()
        x = self._matrix(names, head)
        z = score_z(x, *derivatives(head.link, self._constant(head), head.rows), head.rows.weight)
        z[x.std(axis=0) < 1e-9] = -1.0
        return tuple(names[i] for i in np.argsort(-z, kind="stable")[:budget] if z[i] > 0)

    def _best_crossed(self, head: HeadRows, candidates: Candidates, eta: np.ndarray, room: int) -> tuple[str, ...]:
        """Interactions of attributes and fields, the `room` with the largest score statistics."""
        gradient, curvature = derivatives(head.link, eta, head.rows)
        fields = self._matrix(candidates.fields, head)
        attributes = self._matrix(candidates.attributes, head)
        found: list[tuple[float, str]] = []
        for j, attribute in enumerate(candidates.attributes):
            column = attributes[:, j]
            if column.std() < 1e-9:
                continue
            crossed = fields * column[:, None]
            z = score_z(crossed, gradient, curvature, head.rows.weight)
            alive = crossed.std(axis=0) > 1e-9
            found += [(z[k], f"{attribute} * {name}") for k, name in enumerate(candidates.fields) if alive[k]]
        return tuple(name for _, name in sorted(found, reverse=True)[:room])

    def _constant(self, head: HeadRows) -> np.ndarray:  # (n,) float64
        """eta of a model that knows only the base rate."""
        ones = np.ones((len(head.look), 1))
        return np.asarray(ones @ fit(ones, head.rows, head.link, np.zeros(1)).beta)

    def _likelihood(self, model: _Model, head: HeadRows) -> np.ndarray:
        eta = self._matrix(model.names, head) @ model.fit.beta
        return log_likelihood(head.link, eta, head.rows, model.fit.sigma)

    def _fidelity(self, model: _Model, inside: HeadRows, outside: HeadRows) -> Fidelity:
        eta = self._matrix(model.names, outside) @ model.fit.beta
        return fidelity(inside.link, eta, model.fit.sigma, inside.rows, outside.rows)

    def _head(self, head: HeadRows, names: tuple[str, ...], fitted: Fit, never: tuple[Term, ...]) -> Head:
        terms = tuple(
            Term(feature=name, value=float(value), se=float(se), source=self.source)
            for name, value, se in zip(names, fitted.beta, fitted.se, strict=True)
        )
        return Head(link=head.link, given=head.given, per=head.per, sigma=fitted.sigma, terms=terms + never)

    def _replicate(self, head: HeadRows, model: _Model, luck: np.ndarray) -> Fit:
        """Coefficients with customers weighted anew: exponential weights (Rubin 1981, the Bayesian bootstrap)."""
        again = replace(head.rows, weight=head.rows.weight * luck[head.rows.customer])
        beta = refit(self._matrix(model.names, head), again, head.link, model.penalty, model.fit.beta)
        return Fit(beta, model.fit.covariance, model.fit.sigma)
