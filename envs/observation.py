"""The observation: one table of float32 fields, and the one encoder that fills it everywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property, reduce

import numpy as np

from envs.calendar import NAMES as CALENDAR
from envs.calendar import calendar_fields
from envs.catalogue import Catalogue
from envs.digest import digest_of
from envs.history import History, fade
from envs.prices import SPREAD, price_field
from envs.profile import FLAG, profile_fields
from envs.schema import Schema

TRACE = "2^(-days / {recency:g})"  # days since then, over the schema's half-life

CHANNEL_FIELDS = (
    ("recency", "trace of the last contact on this channel", TRACE),
    ("pressure", "faded number of contacts on this channel", "contacts / 5"),
    ("engagements", "faded number of engagements on this channel", "engagements / 5"),
    ("consent", "1 while the customer has not opted out", FLAG),
)
PRODUCT_FIELDS = (
    ("intent", "faded evidence of intent", "engagements' worth / 5"),
    ("lead", "trace of the last engagement not yet answered by a conversion or refusal", TRACE),
    ("offered", "trace of the last offer of this product", TRACE),
    ("refusals", "faded number of refusals", "refusals / 5"),
    ("holds", "1 if the customer holds the product", FLAG),
)
CONTACT_FIELDS = (
    ("contact:pressure", "faded number of contacts on all channels", "contacts / 10"),
    ("contact:week", "contacts in the last 7 days", "contacts / 7"),
    ("contact:complaints", "faded number of complaints", "complaints / 5"),
    ("contact:spend", "faded amount spent", "log(1 + {currency}) / 5"),
)


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


@dataclass(frozen=True)
class Encoder:
    """Turns profile, history and moment into the observation."""

    catalogue: Catalogue
    schema: Schema

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The table of fields, in order."""
        rows = list(profile_fields(self.schema, Field))
        told = {"recency": self.schema.fading.recency, "currency": self.catalogue.currency}
        rows += [Field(name, meaning, 0.0, 20.0, unit.format(**told)) for name, meaning, unit in CONTACT_FIELDS]
        for channel in self.catalogue.channel_ids:
            rows += [
                Field(f"channel:{channel}:{n}", m, 0.0, 20.0 if n in _COUNTS else 1.0, u.format(**told))
                for n, m, u in CHANNEL_FIELDS
            ]
        for product in self.catalogue.product_ids:
            rows += [
                Field(f"product:{product}:{n}", m, 0.0, 20.0 if n in _COUNTS else 1.0, u.format(**told))
                for n, m, u in PRODUCT_FIELDS
            ]
        if self.schema.task.calendar:
            units = {name: {"sin": "sine", "cos": "cosine"}.get(name[-3:], FLAG) for name in CALENDAR}
            rows += [
                Field(f"calendar:{name}", f"{name.replace('_', ' ')} of the day", -1.0, 1.0, unit)
                for name, unit in units.items()
            ]
        rows += [
            Field(f"moment:{t}", f"1 if the customer comes in by {t}", 0.0, 1.0, FLAG) for t in self.schema.triggers
        ]
        if self.schema.task.kind == "finite":
            share = f"days / {self.schema.task.end_day}"
            rows.append(Field("task:time_left", "days to the end of the task", 0.0, 1.0, share))
            rows.append(Field("task:gap", "days to the next decision", 0.0, 1.0, share))
        rows += [
            Field(f"price:{name}", f"price of a unit of {name}", 0.0, 2.0, _price_unit(self.catalogue.currency, high))
            for name, high in zip(self.price_names, self.price_highs, strict=True)
        ]
        return tuple(rows)

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

    def encode(self, profile: np.ndarray, history: History, moment: Moment) -> np.ndarray:
        """profile: (profile fields, batch) float32 -> (batch, fields) float32, a new array."""
        h, day, task = history, history.day, self.schema.task
        channels = self._channels(h)
        products = self._products(h)
        rows: list[np.ndarray] = [
            profile,
            reduce(np.add, h.pressure)[None] / np.float32(10),  # in a fixed order, whatever the batch
            h.contacts_within(7).sum(axis=0, dtype=np.float32)[None] / np.float32(7),
            h.complaints[None] / np.float32(5),
            np.log1p(np.maximum(h.spend, 0))[None] / np.float32(5),
            channels.reshape(-1, len(h)),
            products.reshape(-1, len(h)),
        ]
        if task.calendar:
            rows.append(calendar_fields(day, task.calendar))
        if self.schema.triggers:
            rows.append(moment.trigger[None] == np.arange(len(self.schema.triggers))[:, None])
        if task.kind == "finite":
            rows += [moment.time_left[None] / task.end_day, moment.gap[None] / task.end_day]
        rows.append(price_field(moment.prices, self.price_highs).T)
        table = np.concatenate([row.astype(np.float32, copy=False) for row in rows])
        return np.ascontiguousarray(np.clip(table.T, self._low, self._high))

    @cached_property
    def _low(self) -> np.ndarray:
        return np.array([f.low for f in self.fields], np.float32)

    @cached_property
    def _high(self) -> np.ndarray:
        return np.array([f.high for f in self.fields], np.float32)

    def _channels(self, h: History) -> np.ndarray:  # (channels, channel fields, batch)
        out = np.empty((h.pressure.shape[0], len(CHANNEL_FIELDS), len(h)), np.float32)
        out[:, 0] = fade(h.day - h.last_contact, h.fading.recency)
        out[:, 1] = h.pressure / np.float32(5)
        out[:, 2] = h.engagements / np.float32(5)
        out[:, 3] = ~h.opted_out
        return out

    def _products(self, h: History) -> np.ndarray:  # (products, product fields, batch)
        out = np.empty((h.intent.shape[0], len(PRODUCT_FIELDS), len(h)), np.float32)
        out[:, 0] = h.intent / np.float32(5)
        out[:, 1] = fade(h.day - h.lead, h.fading.recency)
        out[:, 2] = fade(h.day - h.last_offer, h.fading.recency)
        out[:, 3] = h.refusals / np.float32(5)
        out[:, 4] = h.holds
        return out

    def with_prices(self, observation: np.ndarray, prices: np.ndarray) -> np.ndarray:
        """The same observations at other prices. prices: (1 + pools,) -> (batch, fields) float32, a copy."""
        out = observation.copy()
        at = list(self.price_columns.values())
        out[:, at] = np.clip(price_field(prices, self.price_highs).astype(np.float32), self._low[at], self._high[at])
        return out


def _price_unit(currency: str, high: float) -> str:
    return f"log(1 + {SPREAD:g} p / {high:g}) / log({1 + SPREAD:g}), p in {currency}"


_COUNTS = {"pressure", "engagements", "intent", "refusals"}
