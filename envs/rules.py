"""Rules: who may be contacted how, as data. One YAML file, `rules.yaml`, becomes a mask over treatments.

The same code masks a batch in the simulator and one customer in the service. Silence is always allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from envs.catalogue import Catalogue, Product
from envs.config import Config, load_config
from envs.digest import digest_of
from envs.errors import InputError
from envs.history import WINDOW, History
from envs.profile import features, profile_fields
from envs.schema import Column, Schema


class Cap(Config):
    """At most so many contacts in a rolling window."""

    name: str = Field(description="Name of the rule, shown as the reason.")
    channels: tuple[str, ...] = Field(
        (), description="Channels whose contacts count and are closed; empty: all outbound ones."
    )
    products: tuple[str, ...] = Field(
        (), description="If given, days on which one of these products was offered count instead."
    )
    most: int = Field(ge=0, description="The largest number of contacts in the window.")
    days: int = Field(ge=1, le=WINDOW, description="Length of the window in days, today included.")


class Limit(Config):
    """A product or channel only for customers whose column lies in a range."""

    name: str = Field(description="Name of the rule, shown as the reason.")
    products: tuple[str, ...] = Field((), description="Products that need it.")
    channels: tuple[str, ...] = Field((), description="Channels that need it.")
    column: str = Field(description="A number or flag column of the customers; where it is missing, the limit closes.")
    at_least: float | None = Field(None, description="Smallest allowed value, in the column's unit.")
    at_most: float | None = Field(None, description="Largest allowed value, in the column's unit.")

    @model_validator(mode="after")
    def _limits_something(self) -> Limit:
        if not (self.products or self.channels):
            raise ValueError(f"limit {self.name!r}: must name products or channels")
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"limit {self.name!r}: must give at_least or at_most")
        return self


class Rules(Config):
    """The rule book as it is written."""

    name: str = Field("rules", description="Name of the rule book.")
    consent: bool = Field(True, description="Close a channel from which the customer has opted out.")
    once: bool = Field(True, description="Do not offer a product marked `once` to a customer who holds it.")
    quiet: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Channel -> dayparts in which it is quiet."
    )
    suitability: str | None = Field(
        None,
        description="Column with the customer's risk rating; products above it are closed. Missing: the lowest, 1.",
    )
    limits: tuple[Limit, ...] = ()
    caps: tuple[Cap, ...] = ()
    refusal_days: int = Field(0, ge=0, description="Days for which a refused product is not offered again.")
    complaint_days: int = Field(0, ge=0, description="Days without any selling after a complaint.")
    focus_days: int = Field(
        0,
        ge=0,
        le=WINDOW,
        description="Days for which an offered product keeps other products away (one voice); care offers nothing.",
    )


@dataclass(frozen=True)
class Situation:
    """What the rules look at, for a batch."""

    profile: np.ndarray  # (profile fields, batch) float32
    history: History
    trigger: np.ndarray  # (batch,) int, position in schema.triggers, -1: outbound


@dataclass(frozen=True)
class RuleBook:
    """Rules compiled against a catalogue and a schema."""

    rules: Rules
    catalogue: Catalogue
    schema: Schema

    def __post_init__(self) -> None:
        _check_names(self)

    @cached_property
    def digest(self) -> str:
        return digest_of(self.rules.model_dump(mode="json"))

    def mask(self, at: Situation) -> np.ndarray:
        """True where a treatment is allowed. -> (batch, treatments) bool."""
        blocked = np.zeros((len(self.catalogue.treatment_ids), len(at.history)), bool)
        for _, which in self._blocks(at):
            blocked |= which
        blocked[0] = False
        return np.ascontiguousarray(~blocked.T)

    def reasons(self, at: Situation) -> list[dict[str, list[str]]]:
        """For each customer: treatment id -> names of the rules that mask it."""
        out: list[dict[str, list[str]]] = [{} for _ in range(len(at.history))]
        for name, which in self._blocks(at):
            for treatment, row in zip(*np.nonzero(np.broadcast_to(which, (len(self._ids), len(out)))), strict=True):
                if treatment:
                    out[row].setdefault(self._ids[treatment], []).append(name)
        return out

    @property
    def _ids(self) -> tuple[str, ...]:
        return self.catalogue.treatment_ids

    def _blocks(self, at: Situation) -> Iterator[tuple[str, np.ndarray]]:
        """Each rule's name and what it blocks, broadcastable to (treatments, batch)."""
        h, rules = at.history, self.rules
        yield "inbound", self._closed_inbound(at.trigger)
        yield "quiet_hours", self._quiet[:, None]
        yield "risk_hold", self._selling[:, None] & h.risk_hold[None]
        if rules.consent:
            yield "consent", self._by_channel(h.opted_out)
        if rules.once:
            yield "holds_already", self._by_product(h.holds & self._once[:, None])
        if rules.suitability:
            yield "suitability", self._unsuitable(at.profile)
        for limit in rules.limits:
            outside = self._outside(limit, at.profile)
            yield limit.name, self._treatments_of(limit.products, limit.channels)[:, None] & outside[None]
        for cap in rules.caps:
            yield cap.name, self._capped(cap, h)
        if rules.refusal_days:
            yield "refusal", self._by_product(h.day - h.last_refusal < rules.refusal_days)
        if rules.complaint_days:
            yield (
                "complaint",
                self._selling[:, None] & (h.day - h.last_complaint < rules.complaint_days)[None],
            )
        if rules.focus_days:
            yield (
                "one_voice",
                self._by_product(_others(self._offered(h, rules.focus_days))) & self._selling[:, None],
            )

    def _by_channel(self, blocked: np.ndarray) -> np.ndarray:
        return np.asarray(blocked[self.catalogue.channel_of])

    def _by_product(self, blocked: np.ndarray) -> np.ndarray:
        return np.asarray(blocked[self.catalogue.product_of])

    @cached_property
    def _selling(self) -> np.ndarray:  # (treatments,) bool
        return self.catalogue.selling

    @cached_property
    def _once(self) -> np.ndarray:  # (products,) bool
        return np.array([p.once for p in self.catalogue.products])

    def _offered(self, h: History, days: int) -> np.ndarray:  # (products, batch) bool
        selling = np.array([p.selling for p in self.catalogue.products])
        return np.asarray((h.offers_within(days) > 0) & selling[:, None])

    @cached_property
    def _quiet(self) -> np.ndarray:  # (treatments,) bool
        quiet = self.rules.quiet
        return np.array([False, *(t.daypart in quiet.get(t.channel, ()) for t in self.catalogue.treatments)])

    @cached_property
    def _inbound(self) -> np.ndarray:  # (treatments,) int, the trigger that opens the channel, -1: outbound
        triggers = [c.inbound for c in self.catalogue.channels]
        position = np.array([-1 if t is None else self.schema.triggers.index(t) for t in triggers])
        return np.where(self.catalogue.channel_of < 0, -1, position[self.catalogue.channel_of])

    def _closed_inbound(self, trigger: np.ndarray) -> np.ndarray:
        needed = self._inbound[:, None]
        return np.asarray((needed >= 0) & (needed != trigger[None]))

    def _unsuitable(self, profile: np.ndarray) -> np.ndarray:
        rating, missing = self._known(self.rules.suitability or "", profile)
        level = np.array([0, *(p.risk_level for p in self._products_of_treatments)])
        return np.asarray(level[:, None] > np.where(missing, 1, np.round(rating))[None])

    @cached_property
    def _products_of_treatments(self) -> list[Product]:
        return [self.catalogue.products[p] for p in self.catalogue.product_of[1:]]

    def _outside(self, limit: Limit, profile: np.ndarray) -> np.ndarray:  # (batch,) bool
        value, missing = self._known(limit.column, profile)
        low = -np.inf if limit.at_least is None else limit.at_least
        high = np.inf if limit.at_most is None else limit.at_most
        slack = 1e-4 * _column(self.schema, limit.column).scale  # the profile is float32
        return np.asarray(missing | (value < low - slack) | (value > high + slack))

    def _known(self, name: str, profile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A column in its own unit, and where it is missing. Each (batch,)."""
        column = _column(self.schema, name)
        row = _position(self.schema, name)
        missing = profile[row + 1] > 0 if column.nullable else np.zeros(profile.shape[1], bool)
        return profile[row] * column.scale + column.center, missing

    def _treatments_of(self, products: tuple[str, ...], channels: tuple[str, ...]) -> np.ndarray:
        chosen = [t.product in products or t.channel in channels for t in self.catalogue.treatments]
        return np.array([False, *chosen])

    def _outbound_or(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        return channels or tuple(c.id for c in self.catalogue.channels if c.inbound is None)

    def _capped(self, cap: Cap, h: History) -> np.ndarray:
        if cap.products:
            rows = [self.catalogue.product_ids.index(p) for p in cap.products]
            full = h.offers_within(cap.days)[rows].sum(axis=0) >= cap.most
            return np.asarray(self._treatments_of(cap.products, ())[:, None] & full[None])
        channels = self._outbound_or(cap.channels)
        rows = [self.catalogue.channel_ids.index(c) for c in channels]
        full = h.contacts_within(cap.days)[rows].sum(axis=0) >= cap.most
        return np.asarray(self._treatments_of((), channels)[:, None] & full[None])


def _others(offered: np.ndarray) -> np.ndarray:
    """True where a product other than this one was offered. (products, batch) bool -> same."""
    return np.asarray(offered.sum(axis=0)[None] > offered)


def _column(schema: Schema, name: str) -> Column:
    return next(column for column in schema.columns if column.name == name)


def _position(schema: Schema, name: str) -> int:
    return list(profile_fields(schema, lambda n, *_: n)).index(name)


def _check_names(book: RuleBook) -> None:
    rules, catalogue, schema = book.rules, book.catalogue, book.schema
    columns = [c.name for c in features(schema) if c.type != "category"]
    used: list[tuple[str, str, tuple[str, ...]]] = []
    used += [("quiet", channel, catalogue.channel_ids) for channel in rules.quiet]
    if rules.suitability is not None:
        used.append(("suitability", rules.suitability, tuple(columns)))
    scopes = [(r.name, r.products, r.channels) for r in rules.caps]
    scopes += [(r.name, r.products, r.channels) for r in rules.limits]
    for name, products, channels in scopes:
        used += [(f"{name}.products", product, catalogue.product_ids) for product in products]
        used += [(f"{name}.channels", channel, catalogue.channel_ids) for channel in channels]
    used += [(f"{limit.name}.column", limit.column, tuple(columns)) for limit in rules.limits]
    used += [("inbound", c.inbound, schema.triggers) for c in catalogue.channels if c.inbound is not None]
    for field, value, known in used:
        if value not in known:
            raise InputError(f"must be one of: {', '.join(known)}", file="rules.yaml", field=field, value=value)
    for limit in rules.limits:
        column = _column(schema, limit.column)
        for field, bound in (("at_least", limit.at_least), ("at_most", limit.at_most)):
            if bound is not None and column.type == "number" and abs(bound - column.center) >= 5 * column.scale:
                need = f"must lie less than 5 scales from the center of {column.name}, where the profile is clipped"
                raise InputError(need, file="rules.yaml", field=f"{limit.name}.{field}", value=bound)


def load_rules(path: Path) -> Rules:
    """Read `rules.yaml`; raise InputError that names file, line, field and need."""
    return load_config(Rules, path)
