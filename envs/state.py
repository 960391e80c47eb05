"""The state of a batch of simulated customers."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from envs.features import Latent
from envs.history import History
from envs.randomness import Luck
from envs.response import Hidden
from envs.world import World

HIDDEN_DRAWS = 2000  # first draw number of the hidden states, apart from those of the population


@dataclass
class CustomerState:
    """Everything that a batch of customers carries from day to day; the last axis is the customer."""

    customer: np.ndarray  # (batch,) int64, number in the population
    profile: np.ndarray  # (profile fields, batch) float32
    history: History
    latent: Latent | None
    trigger: np.ndarray  # (batch,) int64, today's moment, -1: none
    step: np.ndarray  # (batch,) int64, decisions taken so far
    alive: np.ndarray  # (batch,) bool, False once churned or finished
    prices: np.ndarray  # (batch, 1 + pools) float64

    def __len__(self) -> int:
        return int(self.customer.shape[0])

    def take(self, rows: np.ndarray) -> CustomerState:
        """A copy of some customers."""
        return CustomerState(
            customer=self.customer[rows],
            profile=np.ascontiguousarray(self.profile[:, rows]),
            history=self.history.take(rows),
            latent=None if self.latent is None else latent_of(self.latent, rows),
            trigger=self.trigger[rows],
            step=self.step[rows],
            alive=self.alive[rows],
            prices=self.prices[rows],
        )

    def put(self, rows: np.ndarray, other: CustomerState) -> None:
        """Overwrite some customers with those of `other`."""
        for name in ("customer", "trigger", "step", "alive", "prices"):
            getattr(self, name)[rows] = getattr(other, name)
        self.profile[:, rows] = other.profile
        self.history.put(rows, other.history)
        if self.latent is not None and other.latent is not None:
            for field in fields(Latent):
                getattr(self.latent, field.name)[..., rows] = getattr(other.latent, field.name)


def latent_of(latent: Latent, rows: np.ndarray) -> Latent:
    """A copy of some customers' hidden states."""
    return Latent(**{f.name: np.ascontiguousarray(getattr(latent, f.name)[..., rows]) for f in fields(Latent)})


def new_customers(world: World, seed: int, customer: np.ndarray, day: np.ndarray) -> CustomerState:
    """Customers as they are before anything happened. customer: (batch,) int; day: (batch,) int, their first day."""
    catalogue = world.catalogue
    history = History.fresh(catalogue, world.schema, day)
    history.holds |= world.population.holds(customer, seed, catalogue.product_ids)
    profile = world.population.encoded(customer, seed)
    hidden = world.coefficients.hidden
    batch = len(customer)
    return CustomerState(
        customer=customer.astype(np.int64),
        profile=profile,
        history=history,
        latent=None if hidden is None else _hidden_states(world, hidden, seed, customer, profile),
        trigger=np.full(batch, -1),
        step=np.zeros(batch, np.int64),
        alive=np.ones(batch, bool),
        prices=np.zeros((batch, 1 + len(catalogue.pools))),
    )


def _hidden_states(world: World, hidden: Hidden, seed: int, customer: np.ndarray, profile: np.ndarray) -> Latent:
    """Hidden factors lean on the profile; tastes and reach lean on the factors."""
    luck = Luck(seed, customer, np.full(customer.shape, -2))
    factors = []
    for k in range(hidden.factors):
        factor = luck.normal(HIDDEN_DRAWS + k)
        for name, loadings in hidden.factor_profile.items():
            factor = factor + loadings[k] * profile[world.encoder.names.index(name)]
        factors.append(factor)

    def leaning(names: tuple[str, ...], loadings: dict[str, tuple[float, ...]], own: float, first: int) -> np.ndarray:
        rows = []
        for i, name in enumerate(names):
            row = own * luck.normal(first + i)
            for k, weight in enumerate(loadings.get(name, ())):
                row = row + weight * factors[k]
            rows.append(row)
        return np.stack(rows)

    return Latent(
        irritation=np.zeros(len(customer)),
        frailty=luck.normal(HIDDEN_DRAWS + 20),
        taste=leaning(world.catalogue.product_ids, hidden.taste, hidden.own_taste, HIDDEN_DRAWS + 100),
        reach=leaning(world.catalogue.channel_ids, hidden.reach, hidden.own_reach, HIDDEN_DRAWS + 300),
    )
