"""What a treatment is expected to bring until the next decision, by the heads of a world.

Heads may look at one hidden state, `latent.frailty`, the customer's own standard normal number. An observation does not
say it, so expectations are averaged over it, by Gauss-Hermite quadrature: over what the whole chain of heads brings,
since the number is the same in all of them. What a customer's history says of the number, the average does not use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from envs.features import product_options, treatment_options
from envs.observation import Encoder
from envs.response import CompiledHead, Head, Term, compile_head
from envs.reward import PRESSURE_FIELD, PRESSURE_UNIT, contact_annoyance
from envs.schema import Schema
from envs.world import World

FRAILTY = "latent.frailty"
NODES = 9  # exact for polynomials of the frailty up to degree 17
POINTS, WEIGHTS = np.polynomial.hermite_e.hermegauss(NODES)  # of exp(-u^2 / 2)
CHAIN = ("delivered", "engaged", "converted", "declined", "opted_out", "complained", "purchased", "churned")


@dataclass(frozen=True)
class Expected:
    """Expected margin and cost (currency) and annoyance (opt-outs) of every treatment. Each (batch, treatments)."""

    margin: np.ndarray
    cost: np.ndarray
    annoyance: np.ndarray


def observable(feature: str) -> bool:
    """Can an expectation be taken of it from an observation alone? True of everything but hidden states."""
    words = [word.strip() for word in feature.split("*")]
    return sum(word.startswith("latent.") for word in words) == words.count(FRAILTY) <= 1


@dataclass(frozen=True)
class _Model:
    """A head whose linear predictor is rest + frailty x load."""

    rest: CompiledHead
    load: CompiledHead | None

    def parts(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Rest and load of every option. Each (batch, options)."""
        return self.rest.linear_all(observation), None if self.load is None else self.load.linear_all(observation)


@dataclass(frozen=True)
class Expectation:
    """One-step expectations from observations alone; the world's heads must look at no hidden state but frailty."""

    world: World

    def knowing(self, observation: np.ndarray, latent: np.ndarray) -> Expected:
        """The same for a simulator, which knows the hidden states: of any heads. latent: (batch, latent states)."""
        known = {name: self.world.heads[name].linear_all(observation, latent) for name in self._needed}
        return self._given_frailty(known, observation)

    def __call__(self, observation: np.ndarray) -> Expected:
        """observation: (batch, fields) float32."""
        shape = (observation.shape[0], len(self.world.catalogue.treatment_ids))
        parts = {name: model.parts(observation) for name, model in self._models.items()}
        alike = all(load is None for _, load in parts.values())
        nodes = [(0.0, 1.0)] if alike else zip(POINTS, WEIGHTS / WEIGHTS.sum(), strict=True)
        margin, cost, annoyance = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for frailty, share in nodes:
            eta = {name: rest if load is None else rest + frailty * load for name, (rest, load) in parts.items()}
            found = self._given_frailty(eta, observation)
            margin += share * found.margin
            cost += share * found.cost
            annoyance += share * found.annoyance
        return Expected(margin, cost, annoyance)

    def _given_frailty(self, eta: dict[str, np.ndarray], observation: np.ndarray) -> Expected:
        chance = self._chances(eta, observation)
        reward, task = self.world.schema.task.reward, self.world.schema.task
        shape = (observation.shape[0], len(self.world.catalogue.treatment_ids))
        margin, cost, annoyance = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for event, probability in chance.items():
            margin += reward.margin_per_event.get(event, 0.0) * probability
            annoyance += task.annoyance_events.get(event, 0.0) * probability
            weight = reward.margin_per_value.get(event, 0.0)
            if weight and f"{event}_value" in eta:
                amount = self._amount(f"{event}_value", eta[f"{event}_value"])
                margin += weight * probability * (amount * self._net(observation) if event == "converted" else amount)
        redeemed = reward.cost_per_value.get("redeemed", 0.0) * self.world.catalogue.benefit_cost
        if "redeemed" in self.world.heads:
            redeemed = redeemed * self.world.heads["redeemed"].mean(eta["redeemed"])
        cost += self.world.catalogue.cost + chance.get("converted", np.zeros(shape)) * redeemed
        pressure = observation[:, self._pressure, None].astype(np.float64) * PRESSURE_UNIT
        annoyance += contact_annoyance(self.world.catalogue, np.arange(shape[1])[None], pressure)
        return Expected(margin, cost, annoyance)

    @cached_property
    def _models(self) -> dict[str, _Model]:
        """The heads that expectations need, each in its two parts."""
        return {name: self._split(name, self.world.coefficients.heads[name]) for name in self._needed}

    @cached_property
    def _needed(self) -> tuple[str, ...]:
        names = (*CHAIN, "redeemed", *(f"{event}_value" for event in CHAIN))
        return tuple(name for name in names if name in self.world.coefficients.heads)

    def _split(self, name: str, head: Head) -> _Model:
        if not any(FRAILTY in term.feature for term in head.terms):
            return _Model(self.world.heads[name], None)
        options = (treatment_options if head.per == "decision" else product_options)(self.world.catalogue)
        rest = tuple(term for term in head.terms if FRAILTY not in term.feature) or (Term(feature="1", value=0.0),)
        load = tuple(
            term.model_copy(update={"feature": term.feature.replace(FRAILTY, "1", 1)})
            for term in head.terms
            if FRAILTY in term.feature
        )
        both = (head.model_copy(update={"terms": terms}) for terms in (rest, load))
        return _Model(*(compile_head(part, options, self.world.encoder) for part in both))

    @cached_property
    def _pressure(self) -> int:
        return self.world.encoder.names.index(PRESSURE_FIELD)

    def _net(self, observation: np.ndarray) -> np.ndarray:  # (batch, treatments)
        """Margin net of expected credit loss / margin."""
        grade = grades(self.world.schema, self.world.encoder, observation)
        by_product = [product.net_of_loss(grade) for product in self.world.catalogue.products]
        return np.stack([*by_product, np.ones(len(observation))], axis=1)[:, self.world.catalogue.product_of]

    @cached_property
    def _contact(self) -> np.ndarray:  # (treatments,) float64, 0 for silence
        return np.array([0.0] + [1.0] * len(self.world.catalogue.treatments))

    def _chances(self, eta: dict[str, np.ndarray], observation: np.ndarray) -> dict[str, np.ndarray]:
        """Unconditional probability of each event of the decision's window. Each (batch, treatments)."""
        days = self._days(observation)
        given: dict[str, np.ndarray] = {"always": np.ones((1, 1)), "contacted": self._contact[None]}
        given["delivered"] = given["contacted"]
        for event in CHAIN:
            if event not in eta:
                continue
            head = self.world.heads[event]
            before = head.head.given
            if before == "unconverted":
                condition = given["engaged"] - given.get("converted", np.zeros((1, 1)))
            else:
                condition = given[before]
            given[event] = condition * head.mean(eta[event], days)
            if event == "converted":
                given[event] = given[event] * self._may_convert(observation, before)
        return {event: p for event, p in given.items() if event in eta}

    def _may_convert(self, observation: np.ndarray, before: str) -> np.ndarray:  # (batch, treatments) bool
        """Nobody takes a second product of a kind that is held once, nor applies again while an application matures.

        before: what a conversion waits for; where that is an answer to a contact, the channel must close the product
        """
        names, catalogue = self.world.encoder.names, self.world.catalogue
        holds, pending = (
            observation[:, [names.index(f"product:{p}:{name}") for p in catalogue.product_ids]] > 0.5
            for name in ("holds", "pending")
        )
        taken = pending | (holds & np.array([product.once for product in catalogue.products]))
        free = ~np.append(taken, np.zeros((len(taken), 1), bool), axis=1)[:, catalogue.product_of]
        unasked = before == "always" or (before == "engaged" and self.world.heads[before].head.given == "always")
        return np.asarray(free if unasked else free & catalogue.closes)

    def _days(self, observation: np.ndarray) -> np.ndarray:  # (batch, 1) float64
        task = self.world.schema.task
        if task.kind == "continuing":
            return np.full((len(observation), 1), float(task.cadence_days))
        gap = observation[:, self.world.encoder.names.index("task:gap"), None]
        return gap.astype(np.float64) * task.end_day

    def _amount(self, name: str, eta: np.ndarray) -> np.ndarray:  # (batch, treatments)
        head = self.world.heads[name]
        amounts = head.mean(eta)
        if head.head.per == "product":
            amounts = np.concatenate([amounts, np.zeros((len(amounts), 1))], axis=1)[:, self.world.catalogue.product_of]
        return amounts


def grades(schema: Schema, encoder: Encoder, observation: np.ndarray) -> np.ndarray:
    """(batch,) int, the observed credit grade; 0 where the schema names none."""
    if schema.credit_column is None:
        return np.zeros(len(observation), np.int64)
    column = next(c for c in schema.columns if c.name == schema.credit_column)
    seen = observation[:, encoder.names.index(column.name)].astype(np.float64)
    return np.asarray(np.round(seen * column.scale + column.center), np.int64)
