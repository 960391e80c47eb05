"""The observation: one table of float32 fields, and the one encoder that fills it everywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from envs.calendar import NAMES as CALENDAR
from envs.calendar import calendar_table, check_days, days_of_month
from envs.catalogue import Catalogue
from envs.digest import digest_of
from envs.encoding import CHANNEL_FIELDS, CONTACT_FIELDS, PLAN, PLAN_ARRAYS, PRODUCT_FIELDS, encode_all
from envs.history import History
from envs.pointers import reach
from envs.prices import price_field
from envs.profile import FLAG, profile_fields
from envs.schema import Schema

_COUNTS = {"pressure", "engagements", "intent", "refusals"}


@dataclass(frozen=True)
class Field:
    """One field of the observation."""

    name: str
    meaning: str
    low: float
    high: float
    unit: str = ""


@dataclass(frozen=True)
class Moment:
    """What a decision sees besides profile and history. Arrays of shape (batch,)."""

    trigger: np.ndarray  # int, position in schema.triggers, -1: none (an outbound decision)
    prices: np.ndarray  # (batch, 1 + pools) float64
    time_left: np.ndarray  # float, days to the end of a finite task; ignored in a continuing one
    gap: np.ndarray  # float, days to the next decision of a finite task; ignored in a continuing one


class Plan(NamedTuple):
    """How kernels fill an observation."""

    calendar: np.ndarray  # (days, calendar fields) float32
    day_of_month: np.ndarray  # (days,) int64
    numbers: dict[str, float]  # where each block of fields begins, and sizes: PLAN_NUMBERS

    @property
    def arrays(self) -> dict[str, tuple[np.ndarray, np.dtype[Any]]]:
        """For `reach`."""
        return {name: (getattr(self, name), kind) for name, kind in PLAN_ARRAYS.items()}


@dataclass(frozen=True)
class Encoder:
    """Turns profile, history and moment into the observation."""

    catalogue: Catalogue
    schema: Schema

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The table of fields, in order."""
        return tuple(field for _, block in self._blocks for field in block)

    @cached_property
    def _blocks(self) -> list[tuple[str, list[Field]]]:
        """Name of each block and its fields."""
        schema, catalogue, task = self.schema, self.catalogue, self.schema.task
        told = {**schema.fading.model_dump(), "currency": catalogue.currency}
        counts = [Field(n, m, 0.0, 20.0, u.format(**told)) for n, m, u in CONTACT_FIELDS]
        channels = [
            Field(f"channel:{c}:{n}", m, 0.0, 20.0 if n in _COUNTS else 1.0, u.format(**told))
            for c in catalogue.channel_ids
            for n, m, u in CHANNEL_FIELDS
        ]
        products = [
            Field(f"product:{p}:{n}", m, 0.0, 20.0 if n in _COUNTS else 1.0, u.format(**told))
            for p in catalogue.product_ids
            for n, m, u in PRODUCT_FIELDS
        ]
        stages = [Field(f"stage:{s}", f"1 in the lifecycle stage {s}", 0.0, 1.0, FLAG) for s in schema.stages]
        units = {n: {"sin": "sine", "cos": "cosine"}.get(n[-3:], FLAG) for n in CALENDAR}
        calendar = [Field(f"calendar:{n}", f"{n.replace('_', ' ')} of the day", -1.0, 1.0, u) for n, u in units.items()]
        key_day = [Field("calendar:key_day", "1 on the customer's key day of the month", 0.0, 1.0, FLAG)]
        triggers = [Field(f"moment:{t}", f"1 if the customer comes in by {t}", 0.0, 1.0, FLAG) for t in schema.triggers]
        clock = [
            Field("task:time_left", "days to the end of the task", 0.0, 1.0, f"days / {task.end_day}"),
            Field("task:gap", "days to the next decision", 0.0, 1.0, f"days / {task.end_day}"),
        ]
        prices = [
            Field(
                f"price:{n}",
                f"price of a unit of {n}",
                0.0,
                2.0,
                f"log(1 + 100 p / {top:g}) / log(101), p in {catalogue.currency}",
            )
            for n, top in zip(self.price_names, self.price_highs, strict=True)
        ]
        return [
            ("profile", list(profile_fields(schema, Field))),
            ("contact", counts),
            ("channels", channels),
            ("products", products),
            ("stages", stages),
            ("calendar", calendar if task.calendar else []),
            ("key_day", key_day if schema.key_day_column else []),
            ("triggers", triggers),
            ("clock", clock if task.kind == "finite" else []),
            ("prices", prices),
        ]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    @cached_property
    def price_names(self) -> tuple[str, ...]:
        return ("annoyance", *self.catalogue.pool_ids)

    @cached_property
    def price_columns(self) -> dict[str, int]:
        """Position of each price's field."""
        return {name: self.names.index(f"price:{name}") for name in self.price_names}

    @cached_property
    def price_highs(self) -> np.ndarray:  # (1 + pools,) float64
        ranges = self.schema.prices
        return np.array([ranges[name].high if name in ranges else 1.0 for name in self.price_names])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the table of fields and of how they fade."""
        return digest_of([[asdict(f) for f in self.fields], self.schema.fading.model_dump(), self.price_highs.tolist()])

    @cached_property
    def plan(self) -> Plan:
        """What kernels need to encode."""
        numbers: dict[str, float] = {"key_column": -1}
        start = 0
        for name, block in self._blocks:
            numbers[f"{name}_from"], start = start, start + len(block)
        numbers["fields"], numbers["calendar_fields"] = start, len(CALENDAR) if self.schema.task.calendar else 0
        numbers["end_day"] = self.schema.task.end_day if self.schema.task.kind == "finite" else 0
        if self.schema.key_day_column:
            column = next(c for c in self.schema.columns if c.name == self.schema.key_day_column)
            numbers["key_column"] = self.names.index(column.name)
            numbers["key_center"], numbers["key_scale"] = column.center, column.scale
        return Plan(calendar_table(self.schema.task.calendar or "CN"), days_of_month(), numbers)

    def encode(self, profile: np.ndarray, history: History, moment: Moment) -> np.ndarray:
        """profile: (batch, profile fields) float32 -> (batch, fields) float32, a new array."""
        self.check_days(history.day)
        width = int(self.plan.numbers["contact_from"])
        if profile.shape != (history.batch, width):
            raise ValueError(f"profile: shape {profile.shape}, must be {(history.batch, width)}")
        clock = np.stack([moment.time_left, moment.gap], axis=1).astype(np.float64)
        prices = self.price_fields(moment.prices)
        arrays = {**self.plan.arrays, **history.arrays}
        at = reach(PLAN, arrays, {**self.plan.numbers, **history.numbers})
        out = np.empty((history.batch, len(self.fields)), np.float32)
        encode_all(at, np.ascontiguousarray(profile, np.float32), moment.trigger.astype(np.int64), clock, prices, out)
        return out

    def check_days(self, day: np.ndarray) -> None:
        """Raise an InputError for days that no calendar covers, if fields depend on one. day: (n,) int."""
        if self.schema.task.calendar or self.schema.key_day_column:
            check_days(day)

    def price_fields(self, prices: np.ndarray) -> np.ndarray:
        """The observed fields of prices. (..., 1 + pools) -> same shape, float32."""
        return price_field(prices, self.price_highs).astype(np.float32)

    def with_prices(self, observation: np.ndarray, prices: np.ndarray) -> np.ndarray:
        """The same observations at other prices. prices: (1 + pools,) -> (batch, fields) float32, a copy."""
        out = observation.copy()
        out[:, list(self.price_columns.values())] = self.price_fields(prices)
        return out
