"""The profile of a half-life: the log encoded anew for each candidate, every head fitted again."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from scipy.stats import chi2

from envs.replay import replay
from envs.response import Head
from envs.schema import Fading
from envs.tables import Tables
from training.calibration_choice import Chooser
from training.calibration_rows import HeadRows, head_rows, idle_options, thinned
from training.calibration_source import Source
from training.calibration_support import UNIT
from training.calibration_terms import Words
from training.glm import fit, log_likelihood, solve

DECISIONS = 30_000  # of whole customers, drawn at random, on which half-lives are judged
ROWS = 15_000  # kept per head
TERMS = 40  # most features of a head besides the traces
RANK = 1e-6  # eigenvalue of a correlation matrix below which it counts as 0


@dataclass(frozen=True)
class Profile:
    """How well the log is explained under each candidate."""

    days: np.ndarray  # (candidates,) float64, ascending
    worth: np.ndarray  # (candidates, customers) float64, log-likelihood of the heads that the half-life touches
    heads: tuple[str, ...]  # these heads
    p: float  # of no trace mattering, at the best candidate, times the number of candidates


@dataclass
class ProfiledHead:
    """A head with features that stay, and the coefficients of the last fit to start the next from."""

    head: HeadRows
    names: tuple[str, ...]
    beta: np.ndarray | None = None

    @property
    def penalty(self) -> np.ndarray:
        return np.asarray(UNIT * (np.array(self.names) != "1"))


@dataclass(frozen=True)
class Profiler:
    """Profiles half-lives on a sample of customers."""

    tables: Tables  # the sample
    rng: np.random.Generator
    form: dict[str, Head] = field(default_factory=dict)  # heads whose features are given

    @cached_property
    def source(self) -> Source:
        return Source(self.tables)

    @cached_property
    def words(self) -> Words:
        return Words(self.tables.encoder)

    def encoded(self, fading: Fading) -> np.ndarray:
        """The observations of the decisions under these half-lives. -> (decisions, fields) float32."""
        t, schema = self.tables, self.tables.schema.model_copy(update={"fading": fading})
        return replay(t.catalogue, schema, t.customers, self.source.decisions, t.events).observation

    @cached_property
    def disagreement(self) -> float:
        """Largest difference between the observations as recorded and as replayed."""
        return float(np.abs(self.encoded(self.tables.schema.fading) - self.source.observation).max(initial=0.0))

    @cached_property
    def heads(self) -> list[ProfiledHead]:
        """Every head of the log: its features, and all traces of contacts and answers."""
        chooser = Chooser(self.words, self.source.observation, UNIT, self.rng)
        doubled = {name: 2 * days for name, days in self.tables.schema.fading.model_dump().items()}
        slower, out = self.encoded(Fading(**doubled)), []
        for rows in head_rows(self.source):
            kept = ~np.isin(rows.option, idle_options(rows, self.tables.catalogue))
            head = thinned(rows.take(np.flatnonzero(kept)), ROWS, self.rng)
            if rows.name in self.form:
                names = tuple(t.feature for t in self.form[rows.name].terms if "latent." not in t.feature)
                names = chooser.given(head, names).names
            else:
                chosen = chooser.linear(head, TERMS)
                offered = tuple(n for n in self.words.candidates(head).offer if " * " not in n and n not in chosen)
                moved = self._moved(offered, head, slower)
                names = (*chosen, *(name for name, moves in zip(offered, moved, strict=True) if moves))
            out.append(ProfiledHead(head, names))
        return out

    def _moved(self, names: tuple[str, ...], head: HeadRows, observation: np.ndarray) -> np.ndarray:  # (names,) bool
        """Which features differ from those of the recorded observations."""
        if not names:
            return np.zeros(0, bool)
        before = self.words.matrix(names, head, self.source.observation)
        return np.asarray(np.abs(self.words.matrix(names, head, observation) - before).max(axis=0, initial=0.0) > 1e-6)

    def profile(self, name: str, days: tuple[float, ...], fading: Fading) -> Profile:
        """Every candidate for one half-life, the others as in `fading`."""
        views = [self.encoded(fading.model_copy(update={name: candidate})) for candidate in days]
        worth = np.zeros((len(days), int(self.source.customer.max(initial=0)) + 1))
        touched = []
        for item in self.heads:
            columns = [self.words.matrix(item.names, item.head, view) for view in views]
            moved = np.abs(columns[-1] - columns[0]).max(axis=0, initial=0.0) > 1e-6
            if moved.any():
                touched.append((item, columns, moved))
                for row, x in zip(worth, columns, strict=True):
                    row += self._worth(item, x, worth.shape[1])
        best = int(worth.sum(axis=1).argmax())
        tests = [self._test(item, columns[best], moved) for item, columns, moved in touched]
        p = min(_together(tests) * len(days), 1.0)
        return Profile(np.array(days), worth, tuple(item.head.name for item, _, _ in touched), p)

    def _worth(self, item: ProfiledHead, x: np.ndarray, customers: int) -> np.ndarray:  # (customers,) float64
        rows, link = item.head.rows, item.head.link
        item.beta, sigma = solve(x, rows, link, item.penalty, item.beta)
        each = rows.weight * log_likelihood(link, x @ item.beta, rows, sigma)
        return np.bincount(rows.customer, weights=each, minlength=customers)

    def _test(self, item: ProfiledHead, x: np.ndarray, moved: np.ndarray) -> tuple[float, float, int]:
        """Wald and likelihood-ratio statistic of the features that the half-life moves, and their number.

        The first minds that customers decide many times, the second that rare features make the first too sure.
        """
        rows, link, penalty = item.head.rows, item.head.link, item.penalty
        found = fit(x, rows, link, penalty, item.beta)
        inner = found.covariance[np.ix_(moved, moved)]
        scale = np.sqrt(np.maximum(np.diag(inner), 1e-300))
        correlation = inner / np.outer(scale, scale)
        z = found.beta[moved] / scale
        wald = float(z @ np.linalg.pinv(correlation, rcond=RANK, hermitian=True) @ z)
        without = solve(x[:, ~moved], rows, link, penalty[~moved], found.beta[~moved])
        more = log_likelihood(link, x @ found.beta, rows, found.sigma)
        more = more - log_likelihood(link, x[:, ~moved] @ without.beta, rows, without.sigma)
        return wald, 2 * float(rows.weight @ more), int(np.linalg.matrix_rank(correlation, tol=RANK, hermitian=True))


def _together(tests: list[tuple[float, float, int]]) -> float:
    """The larger p of the two statistics, summed over heads; 1 where there is nothing to test."""
    freedom = sum(number for _, _, number in tests)
    if not freedom:
        return 1.0
    return max(float(chi2.sf(sum(test[kind] for test in tests), freedom)) for kind in (0, 1))


def sampled(tables: Tables, rng: np.random.Generator) -> Tables:
    """Whole customers, drawn at random, with about DECISIONS decisions."""
    counts = tables.decisions.group_by("customer_id").len().sort("customer_id")
    order = rng.permutation(counts.height)
    enough = int(np.searchsorted(np.cumsum(counts["len"].to_numpy()[order]), DECISIONS)) + 1
    return tables.of_customers(counts["customer_id"][np.sort(order[:enough])])


def reencoded(tables: Tables, fading: Fading) -> Tables:
    """The same log, its decisions encoded anew under other half-lives."""
    schema = tables.schema.model_copy(update={"fading": fading})
    seen = replay(tables.catalogue, schema, tables.customers, tables.decisions, tables.events)
    observation = pl.Series("observation", seen.observation).arr.to_list()
    return Tables(tables.catalogue, schema, tables.customers, tables.decisions.with_columns(observation), tables.events)
