"""The expected reward of a decision, hidden states known: what a simulator may tell a learner in the place of its luck.

    expected margin - cost - sum over pools of price x effort - annoyance price x annoyance, until the next decision

The mean is the simulated reward's; what falls away is the luck of the draws (Rao-Blackwell), in retail banking nearly
all of the variance: a conversion is rare and its margin wide. Two things are brought forward to the decision that
causes them, and keep their mean: a conversion that matures later is booked at once, discounted by gamma to the power of
its days and by the chance that it is cancelled before it is final; a benefit is redeemed at once.

Approximate where several days pass between two decisions of a world that lives day by day (what happens unasked is
taken at the first day's rate), where a contact waits to be made (answers are those of the decision's day), and where
somebody churns before an application matures. Figures are never made of it; policies are judged by what happens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from envs.expectation import Expectation, Expected, grades
from envs.hidden_states import latent_under
from envs.simulator import Simulator
from envs.world import World


@dataclass(frozen=True)
class ExpectedReward:
    """Of the decisions of a world's simulator."""

    world: World

    def __call__(self, simulator: Simulator, treatment: np.ndarray) -> np.ndarray:
        """At the customers' own prices. treatment: (batch,) int -> (batch,) float64, currency; 0 for who has left."""
        state, catalogue = simulator.state, self.world.catalogue
        executed = np.where(simulator.view().mask[np.arange(state.batch), treatment], treatment, 0)
        found = self.parts(simulator, executed)
        efforts = (catalogue.effort[executed] * state.prices[:, 1:]).sum(axis=1)
        reward = found.margin - found.cost - efforts - state.prices[:, 0] * found.annoyance
        return np.where(state.alive, reward, 0.0)

    def parts(self, simulator: Simulator, treatment: np.ndarray) -> Expected:
        """Margin, cost and annoyance of allowed treatments, each (batch,)."""
        seen, latent = simulator.view().observation, latent_under(self.world, simulator.state, treatment)
        settled = self._settled(seen, latent)
        product = self.world.catalogue.product_of[treatment]
        own = np.where(product < 0, 1.0, settled[np.arange(len(seen)), product])
        found = self._expectation.chosen(seen, treatment, latent, own)
        free = self._expectation.may_take(seen).astype(np.float64)
        signed = np.flatnonzero(product >= 0)
        free[signed, product[signed]] *= 1.0 - (found.converted * self._one_at_a_time[product])[signed]
        unasked = free * self._unasked(seen, latent) * settled
        return replace(found, margin=found.margin + unasked.sum(axis=1))

    @cached_property
    def _one_at_a_time(self) -> np.ndarray:  # (products,) bool; who signs today is not open to another one today
        return np.array([product.once or product.maturing_days > 0 for product in self.world.catalogue.products])

    @cached_property
    def _expectation(self) -> Expectation:
        return Expectation(self.world)

    def _of_products(self, name: str, seen: np.ndarray, latent: np.ndarray, days: np.ndarray | float) -> np.ndarray:
        """Mean of a head that has one option per product. -> (batch, products)."""
        head = self.world.heads[name]
        return head.mean(head.linear_all(seen, latent), days)

    def _settled(self, seen: np.ndarray, latent: np.ndarray) -> np.ndarray:
        """What is left of a conversion's margin when it is final: discounted, not cancelled. -> (batch, products)."""
        products, task = self.world.catalogue.products, self.world.schema.task
        matures = np.array([product.maturing_days for product in products])
        left = np.tile(task.gamma**matures, (len(seen), 1))
        if "cancelled" not in self.world.heads:
            return left
        final = np.array([product.cancel_days and product.cancel_days + product.maturing_days for product in products])
        return np.asarray(left * (1.0 - self._of_products("cancelled", seen, latent, final)))

    def _unasked(self, seen: np.ndarray, latent: np.ndarray) -> np.ndarray:
        """Expected margin, currency, of conversions that nobody asked for, of those open to them. (batch, products)."""
        heads, reward = self.world.heads, self.world.schema.task.reward
        weight, name = reward.margin_per_value.get("converted", 0.0), "converted_value"
        if "organic" not in heads:
            return np.zeros((len(seen), len(self.world.catalogue.products)))
        chance = self._of_products("organic", seen, latent, self._expectation.days(seen))
        amount = np.zeros(chance.shape)
        if name in heads and heads[name].head.per == "product":
            amount = self._of_products(name, seen, latent, 1.0)
        elif name in heads:  # nobody asked: as of silence
            amount = np.tile(heads[name].mean(heads[name].linear_all(seen, latent))[:, :1], (1, chance.shape[1]))
        grade = grades(self.world.schema, self.world.encoder, seen)
        net = np.stack([product.net_of_loss(grade) for product in self.world.catalogue.products], axis=1)
        return np.asarray(chance * (weight * amount * net + reward.margin_per_event.get("converted", 0.0)))
