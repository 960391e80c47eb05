"""Choose a head's features and how far to shrink them, on the data.

As many coefficients as there are tenths of events (Peduzzi et al. 1996, Journal of Clinical Epidemiology 49), the ones
with the largest score statistics first, in three groups: the offer and its past, the customer's state, and their
interactions. How many multiples of the configuration's ridge each group carries, or whether it is left out, is chosen
on customers set aside from the fit, by the one-standard-error rule (Breiman et al. 1984): the simplest that is as good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.calibration_rows import HeadRows
from training.calibration_support import floor
from training.calibration_terms import Candidates, Words
from training.glm import Solution, by_customer, derivatives, log_likelihood, score_z, solve

PER_COEFFICIENT = 10  # events for each coefficient
INTERACTIONS = 80  # most interactions of a head
INNER = 0.25  # share of customers on which the shape is chosen


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
class Model:
    """Features, how far each is shrunk, and the penalised estimate."""

    names: tuple[str, ...]
    penalty: np.ndarray  # (names,) float64, on standardised columns
    solution: Solution


@dataclass(frozen=True)
class Chooser:
    """Chooses features and shrinkage of one head after the other."""

    words: Words
    observation: np.ndarray  # (decisions, fields) float32
    ridge: float
    rng: np.random.Generator

    def shape(self, head: HeadRows) -> Shape:
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
                for model in self.models(inner, SHAPES)
            ]
        )  # (shapes, customers)
        behind = worth[worth.sum(axis=1).argmax()] - worth
        error = behind.std(axis=1) * np.sqrt(worth.shape[1])
        return SHAPES[int(np.flatnonzero(behind.sum(axis=1) <= error)[0])]

    def model(self, head: HeadRows, shape: Shape) -> Model:
        """The head in one shape."""
        return next(self.models(head, (shape,)))

    def linear(self, head: HeadRows, most: int) -> tuple[str, ...]:
        """Features of the offer and the state within the budget, at most `most` of them, and the constant."""
        names = self._chosen(head, self.words.candidates(head), min(_budget(head), most))
        return tuple(name for group in names.values() for name in group)

    def given(self, head: HeadRows, names: tuple[str, ...]) -> Model:
        """The head with these features and no others, those that vary, the constant first; each carries the ridge."""
        names = tuple(sorted(names, key=lambda name: name != "1"))
        x = self._matrix(names, head)
        varies = (x.std(axis=0) > 1e-9) | (np.array(names) == "1")
        names, x = tuple(name for name, kept in zip(names, varies, strict=True) if kept), x[:, varies]
        penalty = floor(x, head.rows, self.ridge * (np.array(names) != "1"))
        return Model(names, penalty, solve(x, head.rows, head.link, penalty))

    def models(self, head: HeadRows, shapes: tuple[Shape, ...]) -> Iterator[Model]:
        """The head in several shapes, each started from the one before."""
        rows, candidates, budget = head.rows, self.words.candidates(head), _budget(head)
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
                    known = solve(x, rows, head.link, penalty).beta if known is None else known
                    extra = self._best_crossed(head, candidates, x @ known, min(INTERACTIONS, budget - len(mine)))
                    crossed = extra, np.hstack([plain, self._matrix(extra, head)])
                mine, x = (*mine, *crossed[0]), crossed[1]
                penalty = np.r_[penalty, np.full(len(crossed[0]), self.ridge * shape.crossed)]
            penalty = floor(x, rows, penalty)
            solution = solve(x, rows, head.link, penalty, before.get(mine))
            before[mine] = solution.beta
            yield Model(mine, penalty, solution)

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
        return np.asarray(ones @ solve(ones, head.rows, head.link, np.zeros(1)).beta)

    def _likelihood(self, model: Model, head: HeadRows) -> np.ndarray:
        eta = self._matrix(model.names, head) @ model.solution.beta
        return log_likelihood(head.link, eta, head.rows, model.solution.sigma)


def _budget(head: HeadRows) -> int:
    """As many coefficients as there are tenths of the rarer class."""
    others = float((head.rows.y == 0).sum()) if head.link != "lognormal" else np.inf
    return int(min(head.events, others)) // PER_COEFFICIENT
