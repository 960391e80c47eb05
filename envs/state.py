"""The state of a batch of simulated customers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from envs.catalogue import WORST_GRADE
from envs.errors import InputError
from envs.features import FRAILTY, TASTE, latent_columns
from envs.history import HISTORY_ARRAYS, HISTORY_NUMBERS, NEVER, History
from envs.pointers import SINGLE, place, reach, reach_type
from envs.randomness import Luck
from envs.response import Hidden
from envs.world import World

HIDDEN_DRAWS = 2000  # first draw number of the hidden states, apart from those of the population
HIDDEN_DAY = -2  # the "day" on which they are drawn

PERSON = np.dtype(
    [
        ("number", "i8"),  # in the population
        ("step", "i4"),  # decisions taken so far
        ("trigger", "i2"),  # today's moment, position in schema.triggers, -1: none
        ("grade", "i2"),  # credit grade 1, 2 ..., 0: unknown
        ("alive", "?"),  # False once churned or finished
        ("held_nothing", "?"),  # at the start
        ("waiting", "i2"),  # treatment decided but not made yet, -1: none
        ("waiting_day", "i4"),  # day on which it is made
        ("waiting_decision", "i4"),  # number of its decision in the log, -1: none
        ("contacts", "i4"),  # since the start
        ("conversions", "i4"),  # since the start
        ("contacted_on", "u8"),  # bit c: contacted on channel c
        ("engaged_on", "u8"),  # bit c: engaged on channel c
        ("met_on", "u8"),  # bit c: engaged or came in on channel c
    ],
    align=True,
)
PENDING = np.dtype(
    [
        ("due_day", "i4"),  # day on which an application matures, NEVER: none
        ("due_value", "f4"),  # its margin before credit loss, currency
        ("treatment", "i2"),  # that led to it, -1: nobody asked
        ("channel", "i2"),  # -1: nobody asked
        ("decision", "i4"),  # number of its decision in the log, -1: none
        ("booked_day", "i4"),  # of the last conversion, NEVER: none
        ("booked_value", "f4"),  # its margin before credit loss, clawed back net of it if it is cancelled
    ],
    align=True,
)
STATE_ARRAYS = {
    "person": PERSON,
    "pending": PENDING,
    "profile": SINGLE,
    "latent": SINGLE,
    "price_fields": SINGLE,
    **HISTORY_ARRAYS,
}
STATE_NUMBERS = {"profile_fields": "i8", "latent_states": "i8", "price_count": "i8", **HISTORY_NUMBERS}
STATE = reach_type(STATE_ARRAYS, STATE_NUMBERS)  # what the kernels of a step are handed as `s`
person_at, pending_at = place(PERSON), place(PENDING)


class CustomerState(NamedTuple):
    """Everything that a batch of customers carries from day to day; the first axis is the customer."""

    person: np.ndarray  # (batch,) PERSON
    pending: np.ndarray  # (batch, products) PENDING
    profile: np.ndarray  # (batch, profile fields) float32
    latent: np.ndarray  # (batch, latent states) float32
    prices: np.ndarray  # (batch, 1 + pools) float64
    price_fields: np.ndarray  # (batch, 1 + pools) float32, as observed
    history: History

    def reach(self) -> np.ndarray:  # (1,) STATE
        """The record by which kernels reach the arrays; good as long as they are kept."""
        own = {name: (getattr(self, name), kind) for name, kind in STATE_ARRAYS.items() if name not in HISTORY_ARRAYS}
        widths = (self.profile.shape[1], self.latent.shape[1], self.price_fields.shape[1])
        numbers = dict(zip(("profile_fields", "latent_states", "price_count"), widths, strict=True))
        return reach(STATE, {**own, **self.history.arrays}, {**numbers, **self.history.numbers})

    @property
    def customer(self) -> np.ndarray:  # (batch,) int64, number in the population
        return np.asarray(self.person["number"])

    @property
    def alive(self) -> np.ndarray:  # (batch,) bool
        return np.asarray(self.person["alive"])

    @property
    def trigger(self) -> np.ndarray:  # (batch,) int16
        return np.asarray(self.person["trigger"])

    @property
    def batch(self) -> int:
        return int(self.person.shape[0])

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        shared = self.history.fades.nbytes
        return sum(part.nbytes for part in (*self[:-1], *self.history)) - shared

    def take(self, rows: np.ndarray) -> CustomerState:
        """A copy of some customers."""
        parts = {name: getattr(self, name)[rows] for name in self._fields if name != "history"}
        return CustomerState(history=self.history.take(rows), **parts)

    def part(self, start: int, stop: int) -> CustomerState:
        """A view of customers who stand side by side: what is done to it is done to them."""
        parts = {name: getattr(self, name)[start:stop] for name in self._fields if name != "history"}
        return CustomerState(history=self.history.part(start, stop), **parts)

    def to_bytes(self) -> dict[str, np.ndarray]:
        """The arrays by name as bytes, (batch, bytes) uint8 each, copied."""
        parts = {**self._asdict(), **self.history._asdict()}
        kept = {name: part for name, part in parts.items() if name not in ("history", "fades")}
        return {name: _as_bytes(_unpadded(part)) for name, part in kept.items()}

    def from_bytes(self, raw: Mapping[str, np.ndarray], file: Path) -> CustomerState:
        """The state that `to_bytes` told of: as many customers of the same world as here. file: for error messages"""

        def read(name: str, like: np.ndarray) -> np.ndarray:
            if name not in raw or raw[name].shape != _as_bytes(like).shape:
                found = raw[name].shape if name in raw else "missing"
                raise InputError(f"must be of shape {_as_bytes(like).shape}", file=file, field=name, value=found)
            return np.ascontiguousarray(raw[name]).view(like.dtype).reshape(like.shape).copy()

        own = {name: read(name, part) for name, part in self._asdict().items() if name != "history"}
        past = {name: read(name, part) for name, part in self.history._asdict().items() if name != "fades"}
        return CustomerState(history=History(fades=self.history.fades, **past), **own)

    def put(self, rows: np.ndarray, other: CustomerState) -> None:
        """Overwrite some customers with those of `other`."""
        for mine, theirs in zip(self[:-1], other[:-1], strict=True):
            mine[rows] = theirs
        self.history.put(rows, other.history)


def _unpadded(part: np.ndarray) -> np.ndarray:
    """A copy whose bytes between the fields of a record are 0."""
    out = np.zeros(part.shape, part.dtype)
    if part.dtype.names is None:
        out[...] = part
    for name in part.dtype.names or ():
        out[name] = part[name]
    return out


def _as_bytes(part: np.ndarray) -> np.ndarray:  # (batch, bytes) uint8
    return np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1)


def new_customers(world: World, seed: int, customer: np.ndarray, day: np.ndarray, prices: np.ndarray) -> CustomerState:
    """Customers as they are before anything happened.

    customer: (batch,) int; day: (batch,) int, their first day; prices: (batch, 1 + pools)
    """
    catalogue, batch = world.catalogue, len(customer)
    start = world.population.start(customer, seed, catalogue.product_ids)
    history = History.fresh(catalogue, world.schema, day)
    history.product["holds"], history.customer["stage"] = start.holds, start.stage
    person, pending = np.zeros(batch, PERSON), np.zeros((batch, len(catalogue.products)), PENDING)
    person["number"], person["alive"], person["grade"] = customer, True, np.clip(start.grade, 0, WORST_GRADE)
    person["trigger"] = person["waiting"] = person["waiting_decision"] = -1
    person["held_nothing"] = ~start.holds.any(axis=1)
    pending["due_day"] = pending["booked_day"] = NEVER
    latent = _latent(world, seed, customer, start.profile)
    return CustomerState(person, pending, start.profile, latent, prices, world.encoder.price_fields(prices), history)


def _latent(world: World, seed: int, customer: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """(batch, latent states) float32: frailty, and the tastes and reach of worlds that hide them."""
    latent = np.zeros((len(customer), latent_columns(world.catalogue)), np.float32)
    luck = Luck(seed, customer, np.full(customer.shape, HIDDEN_DAY))
    latent[:, FRAILTY] = luck.normal(HIDDEN_DRAWS + 20)
    hidden = world.coefficients.hidden
    if hidden is None:
        return latent
    factors = [_factor(world, hidden, k, luck, profile) for k in range(hidden.factors)]
    column = TASTE
    for names, loadings, own, first in (
        (world.catalogue.product_ids, hidden.taste, hidden.own_taste, HIDDEN_DRAWS + 100),
        (world.catalogue.channel_ids, hidden.reach, hidden.own_reach, HIDDEN_DRAWS + 300),
    ):
        for number, name in enumerate(names):
            value = own * luck.normal(first + number)
            for weight, factor in zip(loadings.get(name, ()), factors, strict=False):
                value = value + weight * factor
            latent[:, column] = value
            column += 1
    return latent


def _factor(world: World, hidden: Hidden, k: int, luck: Luck, profile: np.ndarray) -> np.ndarray:
    """Hidden factors lean on the profile; tastes and reach lean on the factors."""
    factor = luck.normal(HIDDEN_DRAWS + k)
    for name, loadings in hidden.factor_profile.items():
        factor = factor + loadings[k] * profile[:, world.encoder.names.index(name)]
    return factor
