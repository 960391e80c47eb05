"""Populations: where the customers of a world come from, sampled from a description or drawn from a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Protocol

import numpy as np
import polars as pl
from pydantic import Field, model_validator
from scipy.special import ndtr

from envs.config import Config
from envs.randomness import Luck
from envs.schema import Schema
from envs.start import Start, start_of

BIRTH = -1  # the "day" of draws that are made once per customer


class Marginal(Config):
    """How a column is distributed: a standard normal, correlated with earlier columns, turned into its values."""

    column: str = Field(description="Name of the column in the schema.")
    depends: dict[str, float] = Field(
        default_factory=dict,
        description="Earlier column -> weight of its normal: their correlation, if there is only one.",
    )
    mean: float | None = Field(None, description="Of a number (of its logarithm if `log`).")
    sd: float | None = Field(None, ge=0, description="Of a number (of its logarithm if `log`).")
    log: bool = Field(False, description="True for a log-normal number.")
    low: float | None = Field(None, description="Smallest value of a number.")
    high: float | None = Field(None, description="Largest value of a number.")
    round: bool = Field(False, description="True for whole numbers.")
    shares: dict[str, float] = Field(
        default_factory=dict, description="Category -> share, in rising order of the normal."
    )
    share: float | None = Field(
        None, ge=0, le=1, description="Share of ones of a flag; the highest values of the normal have it."
    )
    source: str = Field("", description="Where these numbers come from.")

    @model_validator(mode="after")
    def _one_kind(self) -> Marginal:
        if sum([self.mean is not None and self.sd is not None, bool(self.shares), self.share is not None]) != 1:
            raise ValueError(f"column {self.column!r}: must give mean and sd, or shares, or share")
        return self


class PopulationSpec(Config):
    """A population as it is written in `population.yaml`."""

    columns: tuple[Marginal, ...] = Field(min_length=1)
    holds: dict[str, float] = Field(
        default_factory=dict, description="Product -> share of customers who hold it at the start."
    )
    first_day: date = Field(date(2026, 1, 5), description="First calendar day of a simulation.")
    source: str = Field("", description="Where these numbers come from.")

    @model_validator(mode="after")
    def _own_parts_exist(self) -> PopulationSpec:
        self.own  # noqa: B018  raises if the weights are too large or name a later column
        return self

    @cached_property
    def own(self) -> dict[str, float]:
        """Column -> weight of its own normal, so that the sum with the earlier columns' normals has variance 1."""
        correlation: dict[str, dict[str, float]] = {}
        weights: dict[str, float] = {}
        for marginal in self.columns:
            name, depends = marginal.column, marginal.depends
            unknown = [other for other in depends if other not in correlation]
            if unknown:
                raise ValueError(f"column {name!r}: depends on {unknown[0]!r}, must be a column listed before it")
            if name in correlation:
                raise ValueError(f"column {name!r}: must be listed once")
            given = {c: sum(w * correlation[c][other] for other, w in depends.items()) for c in correlation}
            explained = sum(w * given[other] for other, w in depends.items())
            if explained >= 1:
                raise ValueError(f"column {name!r}: `depends` explain a variance of {explained:.2f}, must be below 1")
            weights[name] = (1 - explained) ** 0.5
            for other, value in given.items():
                correlation[other][name] = value
            correlation[name] = {**given, name: 1.0}
        return weights


class Population(Protocol):
    """A supply of customers: number `i` is always the same one, for a given seed."""

    def sample(self, customer: np.ndarray, seed: int) -> pl.DataFrame:
        """Profile columns of some customers. customer: (batch,) int."""
        ...

    def start(self, customer: np.ndarray, seed: int, products: tuple[str, ...]) -> Start:
        """What a simulation needs of them on their first day."""
        ...


@dataclass(frozen=True)
class DescribedPopulation:
    """Customers sampled from a PopulationSpec."""

    spec: PopulationSpec
    schema: Schema

    def sample(self, customer: np.ndarray, seed: int) -> pl.DataFrame:
        luck = Luck(seed, customer, np.full(customer.shape, BIRTH))
        normals: dict[str, np.ndarray] = {}
        values: dict[str, np.ndarray] = {}
        for draw, marginal in enumerate(self.spec.columns):
            z = self.spec.own[marginal.column] * luck.normal(draw)
            for other, weight in marginal.depends.items():
                z = z + weight * normals[other]
            normals[marginal.column] = z
            values[marginal.column] = _values(marginal, z)
        return pl.DataFrame(values)

    def start(self, customer: np.ndarray, seed: int, products: tuple[str, ...]) -> Start:
        luck = Luck(seed, customer, np.full(customer.shape, BIRTH))
        shares = [self.spec.holds.get(product, 0.0) for product in products]
        holds = np.stack([luck.uniform(1000 + i) < share for i, share in enumerate(shares)], axis=1)
        return start_of(self.sample(customer, seed), holds, self.schema)


@dataclass(frozen=True)
class TablePopulation:
    """Customers drawn, with replacement, from a table of real ones."""

    customers: pl.DataFrame
    schema: Schema

    def _rows(self, customer: np.ndarray, seed: int) -> np.ndarray:
        luck = Luck(seed, customer, np.full(customer.shape, BIRTH))
        return (luck.uniform(0) * self.customers.height).astype(np.int64)

    def sample(self, customer: np.ndarray, seed: int) -> pl.DataFrame:
        names = [c.name for c in self.schema.columns]
        return self.customers.select(names)[self._rows(customer, seed)]

    @cached_property
    def _starts(self) -> dict[tuple[str, ...], Start]:
        return {}

    def start(self, customer: np.ndarray, seed: int, products: tuple[str, ...]) -> Start:
        if products not in self._starts:
            nobody = np.zeros(self.customers.height, bool)
            names = [f"holds_{product}" for product in products]
            known = [
                self.customers[n].fill_null(False).cast(pl.Boolean).to_numpy()
                if n in self.customers.columns
                else nobody
                for n in names
            ]
            self._starts[products] = start_of(self.customers, np.stack(known, axis=1), self.schema)
        return self._starts[products].take(self._rows(customer, seed))


def _values(marginal: Marginal, z: np.ndarray) -> np.ndarray:
    if marginal.share is not None:
        return np.asarray(ndtr(z) > 1 - marginal.share, dtype=np.float64)
    if marginal.shares:
        edges = np.cumsum(list(marginal.shares.values()))
        position = np.searchsorted(edges / edges[-1], ndtr(z), side="right")
        return np.asarray(np.array(list(marginal.shares))[np.minimum(position, len(edges) - 1)])
    value = (marginal.mean or 0.0) + (marginal.sd or 0.0) * z
    value = np.exp(value) if marginal.log else value
    low = -np.inf if marginal.low is None else marginal.low
    high = np.inf if marginal.high is None else marginal.high
    value = np.clip(value, low, high)
    return np.round(value) if marginal.round else value
