"""States of an exact world: nothing fades in it, so a customer's history amounts to a row of small whole numbers.

Rows say what the observation says and no more: which customer (the position of the profile), per channel contacts,
engagements and opt-out, per product intent, lead, offered, refusals and holding, and whether the last decision's
contact falls into the last seven days. Written without the history, the encoder and the rule book of the simulator,
whose outputs they must meet.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from envs.errors import InputError
from envs.prices import Prices
from envs.profile import features
from envs.world import World

WEEK = 7  # days behind the field contact:week


@dataclass(frozen=True)
class StateTable:
    """How rows of a world's states are laid out, packed into keys, shown as observations and read from them."""

    world: World

    @cached_property
    def columns(self) -> dict[str, int]:
        """Position of each variable in a row."""
        channels = [f"{c}:{v}" for v in ("contacts", "engagements", "opted_out") for c in self._channels]
        products = [f"{p}:{v}" for v in ("intent", "lead", "offered", "refusals", "holds") for p in self._products]
        return {name: i for i, name in enumerate(["profile", *channels, *products, "recent"])}

    def of(self, variable: str) -> np.ndarray:
        """Columns of a variable, one per channel or product, in the catalogue's order. -> (channels or products,)."""
        names = self._channels if variable in ("contacts", "engagements", "opted_out") else self._products
        return np.array([self.columns[f"{name}:{variable}"] for name in names])

    @cached_property
    def _channels(self) -> tuple[str, ...]:
        return self.world.catalogue.channel_ids

    @cached_property
    def _products(self) -> tuple[str, ...]:
        return self.world.catalogue.product_ids

    @cached_property
    def profiles(self) -> list[dict[str, str]]:
        """Every profile that customers can have: column -> value (of a flag: 0 or 1)."""
        columns = features(self.world.schema)
        values = [c.categories if c.type == "category" else ("0", "1") for c in columns]
        names = [c.name for c in columns]
        return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]

    @cached_property
    def _radices(self) -> np.ndarray:  # (variables,) int64
        most = len(self.world.schema.task.days) + 1
        counts = ("contacts", "engagements", "intent", "refusals")
        sizes = [most if name.rpartition(":")[2] in counts else 2 for name in self.columns]
        sizes[0] = len(self.profiles)
        if np.prod(np.array(sizes, float)) > 2.0**62:
            need = "must be few enough for a state to fit in 62 bits"
            raise InputError(need, field="channels and products", value=len(self._channels) + len(self._products))
        return np.array(sizes)

    @cached_property
    def _places(self) -> np.ndarray:  # (variables,) int64, the weight of each variable in a key
        return np.concatenate([[1], np.cumprod(self._radices)[:-1]])

    def keys(self, rows: np.ndarray) -> np.ndarray:
        """(states, variables) -> (states,) int64, a different number for every row."""
        return np.asarray(rows.astype(np.int64) @ self._places)

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """The way back: (states,) int64 -> (states, variables) int16."""
        return np.asarray((keys[:, None] // self._places % self._radices).astype(np.int16))

    def fresh(self) -> np.ndarray:
        """Rows of all customers before the first decision: every profile, with and without each product."""
        held = list(itertools.product((0, 1), repeat=len(self._products)))
        rows = np.zeros((len(self.profiles) * len(held), len(self.columns)), np.int16)
        rows[:, 0] = np.repeat(np.arange(len(self.profiles)), len(held))
        rows[:, self.of("holds")] = np.tile(np.array(held), (len(self.profiles), 1))
        return rows

    def observation(self, rows: np.ndarray, step: int, prices: Prices) -> np.ndarray:
        """What a decision sees of these customers. -> (states, fields) float32."""
        task, encoder = self.world.schema.task, self.world.encoder
        out = np.zeros((len(rows), len(encoder.names)), np.float32)
        at = {name: i for i, name in enumerate(encoder.names)}
        for position, profile in enumerate(self.profiles):
            for column in features(self.world.schema):
                name = f"{column.name}={profile[column.name]}" if column.type == "category" else column.name
                shown = 1.0 if column.type == "category" else float(profile[column.name])
                out[rows[:, 0] == position, at[name]] = shown
        out[:, at["contact:pressure"]] = rows[:, self.of("contacts")].sum(axis=1).astype(np.float32) / np.float32(10)
        out[:, at["contact:week"]] = rows[:, self.columns["recent"]] / np.float32(WEEK)
        for name in (*self._channels, *self._products):
            kind = "channel" if name in self._channels else "product"
            for field, value in self._traces(kind, name, rows).items():
                out[:, at[f"{kind}:{name}:{field}"]] = value
        out[:, at["task:time_left"]] = (task.end_day - task.days[step]) / task.end_day
        out[:, at["task:gap"]] = task.gaps[step] / task.end_day
        return encoder.with_prices(out, prices.vector())

    def _traces(self, kind: str, name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Fields of one channel or product. Each (states,)."""

        def value(variable: str) -> np.ndarray:
            return rows[:, self.columns[f"{name}:{variable}"]].astype(np.float32)

        if kind == "channel":
            contacts, engagements = value("contacts"), value("engagements")
            return {
                "recency": contacts > 0,
                "pressure": contacts / np.float32(5),
                "engagements": engagements / np.float32(5),
                "consent": 1 - value("opted_out"),
            }
        counts = {field: value(field) / np.float32(5) for field in ("intent", "refusals")}
        return counts | {field: value(field) for field in ("lead", "offered", "holds")}

    def read(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Steps and rows that observations show: (batch, fields) float32 -> (batch,) int, (batch, variables) int16."""
        at = {name: i for i, name in enumerate(self.world.encoder.names)}
        rows = np.zeros((len(observation), len(self.columns)), np.int16)
        rows[:, 0] = self._profile(observation, at)
        for name, column in self.columns.items():
            owner, _, variable = name.rpartition(":")
            if owner:
                kind = "channel" if owner in self._channels else "product"
                field, unit = _FIELDS.get(variable, (variable, 1.0))
                shown = observation[:, at[f"{kind}:{owner}:{field}"]]
                rows[:, column] = np.rint(shown * unit)
        rows[:, self.of("opted_out")] = 1 - rows[:, self.of("opted_out")]
        rows[:, self.columns["recent"]] = np.rint(observation[:, at["contact:week"]] * WEEK)
        task = self.world.schema.task
        day = task.end_day * (1 - observation[:, at["task:time_left"]].astype(np.float64))
        return np.abs(day[:, None] - np.array(task.days)).argmin(axis=1), rows

    def _profile(self, observation: np.ndarray, at: dict[str, int]) -> np.ndarray:  # (batch,) int
        position = np.zeros(len(observation), np.int64)
        for column in features(self.world.schema):
            if column.type == "category":
                shown = observation[:, [at[f"{column.name}={v}"] for v in column.categories]].argmax(axis=1)
                position = position * len(column.categories) + shown
            else:
                position = position * 2 + (observation[:, at[column.name]] > 0.5)
        return position

    def allowed(self, rows: np.ndarray) -> np.ndarray:
        """(states, treatments) bool: consent, one of each product, no asking after a no, caps on the whole task."""
        catalogue, rules = self.world.catalogue, self.world.rules
        out = np.ones((len(rows), len(catalogue.treatment_ids)), bool)
        contacts = rows[:, self.of("contacts")]
        for number, treatment in enumerate(catalogue.treatments, start=1):
            channel, product = treatment.channel, treatment.product
            if treatment.daypart in rules.quiet.get(channel, ()):
                out[:, number] = False
            if rules.consent:
                out[:, number] &= rows[:, self.columns[f"{channel}:opted_out"]] == 0
            if rules.once and catalogue.products[catalogue.product_of[number]].once:
                out[:, number] &= rows[:, self.columns[f"{product}:holds"]] == 0
            if rules.refusal_days:
                out[:, number] &= rows[:, self.columns[f"{product}:refusals"]] == 0
            for cap in rules.caps:
                counted = [not cap.channels or c in cap.channels for c in self._channels]
                if counted[catalogue.channel_of[number]]:
                    out[:, number] &= contacts[:, counted].sum(axis=1) < cap.most
        return out


# Variable -> field that shows it, and what the field is multiplied by to get it back.
_FIELDS = {
    "contacts": ("pressure", 5.0),
    "engagements": ("engagements", 5.0),
    "intent": ("intent", 5.0),
    "refusals": ("refusals", 5.0),
    "opted_out": ("consent", 1.0),
}
