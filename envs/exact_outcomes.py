"""What one decision in an exact world leads to: branches with their probabilities, and expected margin and cost.

The transition of the simulator, written out once more as a tree. A contact is delivered or not; then engaged or not;
then converted, declined or neither; beside that, opted out or not. Until the next decision each product may be taken
unasked, and the customer may churn. Heads give the probabilities, from the observation of the decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from envs.exact_states import WEEK, StateTable


@dataclass(frozen=True)
class Branch:
    """One way in which decisions can go on."""

    probability: np.ndarray  # (pairs,) float64
    rows: np.ndarray  # (pairs, variables) int16, the states at the next decision


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of pairs of a state and an allowed treatment, at one decision."""

    table: StateTable
    rows: np.ndarray  # (pairs, variables) int16
    treatment: np.ndarray  # (pairs,) int
    observation: np.ndarray  # (pairs, fields) float32
    days: int  # to the next decision

    def chance(self, head: str) -> np.ndarray:
        """(pairs,) float64: the probability of a head, once what it waits for has happened; 0 without that head."""
        heads = self.table.world.heads
        if head not in heads:
            return np.zeros(len(self.treatment))
        model = heads[head]
        return model.mean(model.linear(self.observation, self.treatment), self.days)

    @cached_property
    def contacted(self) -> np.ndarray:  # (pairs,) bool
        return self.treatment > 0

    @cached_property
    def delivered(self) -> np.ndarray:
        """(pairs,) float64, 0 for silence."""
        known = "delivered" in self.table.world.heads
        return np.asarray(self.contacted * (self.chance("delivered") if known else 1.0))

    @cached_property
    def answers(self) -> dict[str, np.ndarray]:
        """What a delivered contact is answered with: exactly one of these, with its probability. Each (pairs,)."""
        engaged, converted, declined = (self.chance(h) for h in ("engaged", "converted", "declined"))
        return {
            "ignored": 1 - engaged,
            "left": engaged * (1 - converted) * (1 - declined),
            "declined": engaged * (1 - converted) * declined,
            "converted": engaged * converted,
        }

    @cached_property
    def organic(self) -> np.ndarray:
        """(pairs, products) float64: a product is taken unasked, whatever is held."""
        catalogue, heads = self.table.world.catalogue, self.table.world.heads
        if "organic" not in heads:
            return np.zeros((len(self.treatment), len(catalogue.products)))
        model = heads["organic"]
        return model.mean(model.linear_all(self.observation), self.days)

    def branches(self) -> Iterator[Branch]:
        """All ways to go on but churn; probabilities of a pair sum to 1 less that of churn."""
        stays = 1 - self.chance("churned")
        for after in self._contacts():
            for branch in self._unasked(after):
                yield Branch(branch.probability * stays, branch.rows)

    def _contacts(self) -> Iterator[Branch]:
        """After the contact, before time passes."""
        touched = self._touched()
        yield Branch(1 - self.delivered, touched)
        opted_out = self.chance("opted_out")
        for answer, likely in self.answers.items():
            answered = self._answered(touched, answer)
            yield Branch(self.delivered * likely * (1 - opted_out), answered)
            closed = answered.copy()
            self._put(closed, "opted_out", 1)
            yield Branch(self.delivered * likely * opted_out, closed)

    def _touched(self) -> np.ndarray:
        """Rows once the contact is made."""
        rows = self.rows.copy()
        self._put(rows, "contacts", 1, add=True)
        self._put(rows, "offered", 1)
        rows[:, self.table.columns["recent"]] = self.contacted & (self.days < WEEK)
        return rows

    def _answered(self, touched: np.ndarray, answer: str) -> np.ndarray:
        rows = touched.copy()
        if answer == "ignored":
            return rows
        self._put(rows, "engagements", 1, add=True)
        self._put(rows, "intent", 1, add=True)
        self._put(rows, "lead", int(answer == "left"))
        if answer == "declined":
            self._put(rows, "refusals", 1, add=True)
        if answer == "converted":
            self._put(rows, "holds", 1)
            self._put(rows, "intent", 0)
        return rows

    def _put(self, rows: np.ndarray, variable: str, value: int, *, add: bool = False) -> None:
        """Set a variable of each contact's own channel or product, or add to it."""
        catalogue, pairs = self.table.world.catalogue, np.flatnonzero(self.contacted)
        by_channel = variable in ("contacts", "engagements", "opted_out")
        own = (catalogue.channel_of if by_channel else catalogue.product_of)[self.treatment[pairs]]
        columns = self.table.of(variable)[own]
        rows[pairs, columns] = rows[pairs, columns] + value if add else value

    def _unasked(self, after: Branch) -> list[Branch]:
        """Each product taken unasked, or not."""
        branches = [after]
        for product in range(self.organic.shape[1]):
            taken = [self._taken(branch, product) for branch in branches]
            branches = [
                Branch(branch.probability - more.probability, branch.rows)
                for branch, more in zip(branches, taken, strict=True)
            ] + taken
        return branches

    def _taken(self, branch: Branch, product: int) -> Branch:
        table, rows = self.table, branch.rows.copy()
        holds = table.of("holds")[product]
        able = ~(self._once[product] & (rows[:, holds] == 1))
        rows[:, holds] = 1
        for variable in ("intent", "lead"):
            rows[:, table.of(variable)[product]] = 0
        return Branch(branch.probability * self.organic[:, product] * able, rows)

    @cached_property
    def _once(self) -> np.ndarray:  # (products,) bool
        return np.array([product.once for product in self.table.world.catalogue.products])

    @cached_property
    def events(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Event -> expected number and expected sum of values until the next decision. Each (pairs,)."""
        catalogue, none = self.table.world.catalogue, np.zeros(len(self.treatment))
        answered = {name: self.delivered * likely for name, likely in self.answers.items()}
        converted = answered["converted"]
        product = catalogue.product_of[self.treatment]
        worth = self._worth()
        unasked = self.organic.copy()
        for p in range(unasked.shape[1]):
            held = self.rows[:, self.table.of("holds")[p]] == 1
            unasked[:, p] *= np.where(self._once[p], np.where(held, 0.0, 1 - converted * (product == p)), 1.0)
        own = np.where(self.contacted, worth[np.arange(len(worth)), product], 0.0)
        paid = catalogue.benefit_cost[self.treatment]
        churned = self.chance("churned")
        told = self.delivered if "delivered" in self.table.world.heads else none
        return {
            "delivered": (told, none),
            "engaged": (answered["left"] + answered["declined"] + converted, none),
            "declined": (answered["declined"], none),
            "converted": (converted + unasked.sum(axis=1), converted * own + (unasked * worth).sum(axis=1)),
            "redeemed": (converted * (paid > 0), converted * paid),
            "opted_out": (self.delivered * self.chance("opted_out"), none),
            "churned": (churned, churned * self._mean("churned_value")),
        }

    def _worth(self) -> np.ndarray:  # (pairs, products) float64, mean value of a conversion
        heads, products = self.table.world.heads, len(self.table.world.catalogue.products)
        if "converted_value" not in heads:
            return np.zeros((len(self.treatment), products))
        model = heads["converted_value"]
        return model.mean(model.linear_all(self.observation))

    def _mean(self, head: str) -> np.ndarray:  # (pairs,) float64
        return self.chance(head) if head in self.table.world.heads else np.zeros(len(self.treatment))

    def margin(self) -> np.ndarray:
        """(pairs,) float64, expected, in currency."""
        reward, total = self.table.world.schema.task.reward, np.zeros(len(self.treatment))
        for event, (number, values) in self.events.items():
            total += reward.margin_per_event.get(event, 0.0) * number + reward.margin_per_value.get(event, 0.0) * values
        return total

    def cost(self) -> np.ndarray:
        """(pairs,) float64, expected, in currency."""
        weights = self.table.world.schema.task.reward.cost_per_value
        total = self.table.world.catalogue.cost[self.treatment]
        for event, (_, values) in self.events.items():
            total = total + weights.get(event, 0.0) * values
        return np.asarray(total)

    def annoyance(self) -> np.ndarray:
        """(pairs,) float64, expected, in opt-outs: each contact more than the one before, and the events."""
        weights, catalogue = self.table.world.schema.task.annoyance_events, self.table.world.catalogue
        before = self.rows[:, self.table.of("contacts")].sum(axis=1)
        total = catalogue.contact_annoyance[self.treatment] * (1.0 + before)
        for event, (number, _) in self.events.items():
            total = total + weights.get(event, 0.0) * number
        return np.asarray(total)
