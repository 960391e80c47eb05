"""What a treatment is expected to bring, inside a network: the heads of a world as layers that learn nothing.

The same as `envs.expectation.Expectation.knowing` with hidden states at their mean. A network that is told it need not
learn again what calibration has estimated, and knows of a treatment that it was not trained with what the heads say.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agents.linear_heads import LinearHeads
from envs.expectation import CHAIN, needed
from envs.reward import PRESSURE_FIELD, PRESSURE_UNIT
from envs.world import World

MOST = 30.0  # of a logarithm: beyond it numbers mean nothing, and must not become infinite
SCALED = 4  # numbers of a treatment that a network is told


class Expecting(nn.Module):
    """Expected margin and cost (currency) and annoyance (opt-outs) of every treatment."""

    _cost: torch.Tensor  # (treatments,) float32, as the catalogue has them
    _benefit: torch.Tensor
    _annoyance: torch.Tensor
    _contact: torch.Tensor  # (treatments,) 1 but for silence
    _closes: torch.Tensor  # (treatments,) 1 where the channel closes the product
    _once: torch.Tensor  # (treatments,) 1 where the product is held once
    _product: torch.Tensor  # (treatments,) int, 0 for silence
    _holds: torch.Tensor  # (products,) int, columns of the observation
    _pending: torch.Tensor
    _net: torch.Tensor  # (grades, treatments) margin net of expected credit loss / margin
    _units: torch.Tensor  # (2,) mean cost and annoyance of a contact; 1 where contacts have none

    def __init__(self, world: World) -> None:
        super().__init__()
        catalogue, names, schema = world.catalogue, world.encoder.names, world.schema
        heads = {name: world.heads[name] for name in needed(world)}
        self.etas, self.task = LinearHeads(world, heads), schema.task
        self.links = {name: head.head.link for name, head in heads.items()}
        self.given = {name: head.head.given for name, head in heads.items()}
        self.pressure = names.index(PRESSURE_FIELD)
        self.gap = names.index("task:gap") if schema.task.kind == "finite" else None
        grade = next((c for c in schema.columns if c.name == schema.credit_column), None)
        self.grade = None if grade is None else (names.index(grade.name), grade.scale, grade.center)
        product = catalogue.product_of
        once = np.array([*(p.once for p in catalogue.products), False])[product]
        grades = np.arange(1 + max(len(p.default_probability) for p in catalogue.products))
        net = np.stack([*(p.net_of_loss(grades) for p in catalogue.products), np.ones(len(grades))], axis=1)[:, product]
        units = [float(table[1:].mean()) or 1.0 for table in (catalogue.cost, catalogue.contact_annoyance)]
        numbers = {
            "units": units,
            "cost": catalogue.cost, "benefit": catalogue.benefit_cost, "annoyance": catalogue.contact_annoyance,
            "contact": product >= 0, "closes": catalogue.closes, "once": once, "net": net,
        }  # fmt: skip
        columns = {f: [names.index(f"product:{p}:{f}") for p in catalogue.product_ids] for f in ("holds", "pending")}
        for name, values in numbers.items():
            self.register_buffer(f"_{name}", torch.as_tensor(np.asarray(values, np.float32)), persistent=False)
        for name, places in (columns | {"product": np.maximum(product, 0)}).items():
            self.register_buffer(f"_{name}", torch.as_tensor(np.asarray(places, np.int64)), persistent=False)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """(batch, fields) -> margin, cost and annoyance, (batch, 3, treatments)."""
        task, eta = self.task, self.etas(observation)
        chance = self._chances(eta, observation)
        nothing = torch.zeros_like(observation[:, :1]) * self._contact
        margin, cost, annoyance = nothing, nothing + self._cost, nothing
        for event, probability in chance.items():
            margin = margin + task.reward.margin_per_event.get(event, 0.0) * probability
            annoyance = annoyance + task.annoyance_events.get(event, 0.0) * probability
            weight = task.reward.margin_per_value.get(event, 0.0)
            if weight and f"{event}_value" in eta:
                amount = mean(self.links[f"{event}_value"], eta[f"{event}_value"])
                if event == "converted":
                    amount = amount * self._contact * self._net_of_loss(observation)
                margin = margin + weight * probability * amount
        redeemed = task.reward.cost_per_value.get("redeemed", 0.0) * self._benefit
        if "redeemed" in eta:
            redeemed = redeemed * mean(self.links["redeemed"], eta["redeemed"])
        cost = cost + chance.get("converted", nothing) * redeemed
        pressure = observation[:, self.pressure, None] * PRESSURE_UNIT
        annoyance = annoyance + self._annoyance * (1 + pressure)
        return torch.stack([margin, cost, annoyance], dim=1)

    def scaled(self, observation: torch.Tensor) -> torch.Tensor:
        """As networks are told it: beyond silence's, on scales on which small amounts and large ones differ.

        -> (batch, SCALED, treatments): margin in the cost of a contact, and in that of ten, cost, annoyance
        """
        margin, cost, annoyance = (part - part[:, :1] for part in self(observation).unbind(dim=1))
        price, annoying = self._units
        amounts = (margin / price, margin / (10 * price), cost / price, annoyance / annoying)
        return torch.stack([_bent(told) for told in amounts], dim=1)

    def _chances(self, eta: dict[str, torch.Tensor], observation: torch.Tensor) -> dict[str, torch.Tensor]:
        """Unconditional probability of each event of the decision's window. Each (batch, treatments)."""
        days, contacted = self._days(observation), torch.ones_like(observation[:, :1]) * self._contact
        given = {"always": torch.ones_like(contacted), "contacted": contacted, "delivered": contacted}
        found = {}
        for event in (event for event in CHAIN if event in eta):
            before = self.given[event]
            if before == "unconverted":
                condition = given["engaged"] - given.get("converted", torch.zeros_like(contacted))
            else:
                condition = given[before]
            given[event] = condition * mean(self.links[event], eta[event], days)
            if event == "converted":
                given[event] = given[event] * self._may_convert(observation, before)
            found[event] = given[event]
        return found

    def _may_convert(self, observation: torch.Tensor, before: str) -> torch.Tensor:
        """1 where a product can be taken, by this channel if a conversion waits for an answer. (batch, treatments)"""
        both = (observation.index_select(1, columns) > 0.5 for columns in (self._holds, self._pending))
        holds, pending = (one.to(observation.dtype) for one in both)
        own = torch.maximum(pending.index_select(1, self._product), holds.index_select(1, self._product) * self._once)
        free = 1 - own * self._contact
        unasked = before == "always" or (before == "engaged" and self.given[before] == "always")
        return free if unasked else free * self._closes

    def _net_of_loss(self, observation: torch.Tensor) -> torch.Tensor:
        """Margin net of expected credit loss / margin, by the observed grade. (batch, treatments)"""
        if self.grade is None:
            return self._net[:1]
        column, scale, center = self.grade
        grade = torch.round(observation[:, column] * scale + center)
        return self._net.index_select(0, grade.clamp(0, len(self._net) - 1).long())

    def _days(self, observation: torch.Tensor) -> torch.Tensor:
        """Until the next decision, (batch, 1)."""
        if self.gap is None:
            return torch.full_like(observation[:, :1], float(self.task.cadence_days))
        return torch.relu(observation[:, self.gap, None]) * float(self.task.end_day)


def _bent(amount: torch.Tensor) -> torch.Tensor:
    """Like a logarithm far from 0."""
    return torch.sign(amount) * torch.log1p(amount.abs())


def mean(link: str, eta: torch.Tensor, days: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Probability (logit, rate), mean amount (lognormal) or value (linear) from eta."""
    if link == "logit":
        return torch.sigmoid(eta)
    if link == "linear":
        return torch.relu(eta)
    amount = torch.exp(eta.clamp(max=MOST))
    return amount if link == "lognormal" else 1 - torch.exp(-days * amount)
