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
from envs.hidden_states import HiddenStates
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


@dataclass(frozen=True)
class Answered(Expected):
    """The same by a world's own heads, with the conversions that they expect."""

    converted: np.ndarray


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

    def knowing(self, observation: np.ndarray, hidden: HiddenStates | np.ndarray) -> Answered:
        """The same for a simulator, which knows the hidden states: of any heads.

        hidden: what the treatments meet (`envs.hidden_states`), or one guess for all of them, (batch, latent states)
        """
        heads = {name: self.world.heads[name] for name in self._needed}
        if isinstance(hidden, HiddenStates):
            known = {name: hidden.etas(head, observation) for name, head in heads.items()}
        else:
            known = {name: head.linear_all(observation, hidden) for name, head in heads.items()}
        return self._given_frailty(known, observation, self._all)

    def chosen(
        self, observation: np.ndarray, treatment: np.ndarray, latent: np.ndarray, settled: np.ndarray | None = None
    ) -> Answered:
        """The same of one treatment per customer. treatment: (batch,) int -> each (batch,).

        latent: (batch, latent states), as these treatments meet them; settled: (batch,) factor on the margin of
        conversions, default 1
        """
        product = np.maximum(self.world.catalogue.product_of[treatment], 0)
        eta = {}
        for name in self._needed:
            head = self.world.heads[name]
            option = product if head.head.per == "product" else treatment
            eta[name] = head.linear(observation, option, latent)[:, None]
        factor = 1.0 if settled is None else settled[:, None]
        found = self._given_frailty(eta, observation, treatment[:, None], factor)
        return Answered(found.margin[:, 0], found.cost[:, 0], found.annoyance[:, 0], found.converted[:, 0])

    def __call__(self, observation: np.ndarray) -> Answered:
        """observation: (batch, fields) float32."""
        shape = (observation.shape[0], len(self.world.catalogue.treatment_ids))
        parts = {name: model.parts(observation) for name, model in self._models.items()}
        alike = all(load is None for _, load in parts.values())
        nodes = [(0.0, 1.0)] if alike else zip(POINTS, WEIGHTS / WEIGHTS.sum(), strict=True)
        margin, cost, annoyance, converted = (np.zeros(shape) for _ in range(4))
        for frailty, share in nodes:
            eta = {name: rest if load is None else rest + frailty * load for name, (rest, load) in parts.items()}
            found = self._given_frailty(eta, observation, self._all)
            margin += share * found.margin
            cost += share * found.cost
            annoyance += share * found.annoyance
            converted += share * found.converted
        return Answered(margin, cost, annoyance, converted)

    def _given_frailty(
        self, eta: dict[str, np.ndarray], observation: np.ndarray, option: np.ndarray, settled: np.ndarray | float = 1.0
    ) -> Answered:
        """option: (1, treatments) or (batch, 1), whose linear predictors eta holds."""
        chance = self._chances(eta, observation, option)
        reward, task, catalogue = self.world.schema.task.reward, self.world.schema.task, self.world.catalogue
        shape = (observation.shape[0], option.shape[1])
        margin, cost, annoyance = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for event, probability in chance.items():
            for total, per_event in ((margin, reward.margin_per_event), (annoyance, task.annoyance_events)):
                if per_event.get(event):
                    total += per_event[event] * probability
            weight = reward.margin_per_value.get(event, 0.0)
            if weight and f"{event}_value" in eta:
                amount = self._amount(f"{event}_value", eta[f"{event}_value"], option)
                if event == "converted":
                    amount = amount * self._net(observation, option) * settled
                margin += weight * probability * amount
        redeemed = reward.cost_per_value.get("redeemed", 0.0) * catalogue.benefit_cost[option]
        if "redeemed" in self.world.heads:
            redeemed = redeemed * self.world.heads["redeemed"].mean(eta["redeemed"])
        converted = np.broadcast_to(chance.get("converted", 0.0), shape)
        cost += catalogue.cost[option] + converted * redeemed
        pressure = observation[:, self._pressure, None].astype(np.float64) * PRESSURE_UNIT
        annoyance += contact_annoyance(catalogue, option, pressure)
        return Answered(margin, cost, annoyance, converted)

    @cached_property
    def _models(self) -> dict[str, _Model]:
        """The heads that expectations need, each in its two parts."""
        return {name: self._split(name, self.world.coefficients.heads[name]) for name in self._needed}

    @cached_property
    def _needed(self) -> tuple[str, ...]:
        return needed(self.world)

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

    @cached_property
    def _all(self) -> np.ndarray:  # (1, treatments) int
        return np.arange(len(self.world.catalogue.treatment_ids))[None]

    def _own(self, table: np.ndarray, option: np.ndarray) -> np.ndarray:
        """What a table says of each option's product. table: (batch, products + 1), last: none -> (batch, options)."""
        product = self.world.catalogue.product_of[option]
        return np.asarray(table[:, product[0]] if len(product) == 1 else table[np.arange(len(table))[:, None], product])

    def _net(self, observation: np.ndarray, option: np.ndarray) -> np.ndarray:  # (batch, options)
        """Margin net of expected credit loss / margin."""
        grade = grades(self.world.schema, self.world.encoder, observation)
        by_product = [product.net_of_loss(grade) for product in self.world.catalogue.products]
        return self._own(np.stack([*by_product, np.ones(len(observation))], axis=1), option)

    def _chances(
        self, eta: dict[str, np.ndarray], observation: np.ndarray, option: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Unconditional probability of each event of the decision's window. Each (batch, options)."""
        days = self.days(observation)
        given: dict[str, np.ndarray] = {"always": np.ones((1, 1)), "contacted": (option > 0).astype(np.float64)}
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
                given[event] = given[event] * self._may_convert(observation, before, option)
        return {event: p for event, p in given.items() if event in eta}

    def may_take(self, observation: np.ndarray) -> np.ndarray:  # (batch, products) bool
        """Nobody takes a second product of a kind that is held once, nor applies again while an application matures."""
        holds, pending = (observation[:, columns] > 0.5 for columns in self._holdings)
        return np.asarray(~(pending | (holds & np.array([product.once for product in self.world.catalogue.products]))))

    @cached_property
    def _holdings(self) -> tuple[list[int], list[int]]:
        """Columns of what is held, and of what is applied for."""
        names, products = self.world.encoder.names, self.world.catalogue.product_ids
        holds, pending = ([names.index(f"product:{p}:{name}") for p in products] for name in ("holds", "pending"))
        return holds, pending

    def _may_convert(self, observation: np.ndarray, before: str, option: np.ndarray) -> np.ndarray:
        """(batch, options) bool. before: what a conversion waits for; where that is an answer to a contact, the channel
        must close the product."""
        may = self.may_take(observation)
        free = self._own(np.append(may, np.ones((len(may), 1), bool), axis=1), option)
        unasked = before == "always" or (before == "engaged" and self.world.heads[before].head.given == "always")
        return np.asarray(free if unasked else free & self.world.catalogue.closes[option])

    def days(self, observation: np.ndarray) -> np.ndarray:  # (batch, 1) float64
        task = self.world.schema.task
        if task.kind == "continuing":
            return np.full((len(observation), 1), float(task.cadence_days))
        gap = observation[:, self.world.encoder.names.index("task:gap"), None]
        return gap.astype(np.float64) * task.end_day

    def _amount(self, name: str, eta: np.ndarray, option: np.ndarray) -> np.ndarray:  # (batch, options)
        head = self.world.heads[name]
        amounts = head.mean(eta)
        if head.head.per != "product":
            return amounts
        if option is not self._all:  # each row has its own product already
            return np.where(self.world.catalogue.product_of[option] < 0, 0.0, amounts)
        return self._own(np.concatenate([amounts, np.zeros((len(amounts), 1))], axis=1), option)


def needed(world: World) -> tuple[str, ...]:
    """Names of the heads that expectations are made of."""
    names = (*CHAIN, "redeemed", *(f"{event}_value" for event in CHAIN))
    return tuple(name for name in names if name in world.coefficients.heads)


def grades(schema: Schema, encoder: Encoder, observation: np.ndarray) -> np.ndarray:
    """(batch,) int, the observed credit grade; 0 where the schema names none."""
    if schema.credit_column is None:
        return np.zeros(len(observation), np.int64)
    column = next(c for c in schema.columns if c.name == schema.credit_column)
    seen = observation[:, encoder.names.index(column.name)].astype(np.float64)
    return np.asarray(np.round(seen * column.scale + column.center), np.int64)
