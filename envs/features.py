"""Named features: what response models may look at, and how a name becomes a number.

A feature is a product of factors, written `a * b`. A factor is one of

    1                       the constant
    NAME                    a treatment attribute (`contact`, `channel=sms`, `product=loan` ...)
    NAME                    a field of the observation (`age`, `contact:pressure`, `calendar:weekend` ...)
    own_channel.NAME        that field of the treatment's own channel (`own_channel.pressure`); 0 for silence
    own_product.NAME        that field of the treatment's own product (`own_product.intent`); 0 for silence
    conflict                the strongest trace of an offer (field `offered`) of another product that sells; silence: 0
    latent.NAME             a hidden state: irritation, frailty, taste (own product), reach (own channel)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from envs.attributes import Attributes, identifying
from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.observation import Encoder


@dataclass(frozen=True)
class Options:
    """What a response model chooses between: the treatments, or the products for responses nobody asked for."""

    attributes: Attributes
    product_of: np.ndarray  # (options,) int, -1: none
    channel_of: np.ndarray  # (options,) int, -1: none

    def __len__(self) -> int:
        return int(self.product_of.shape[0])


def treatment_options(catalogue: Catalogue) -> Options:
    """The treatments, silence first."""
    return Options(identifying(catalogue), catalogue.product_of, catalogue.channel_of)


def product_options(catalogue: Catalogue) -> Options:
    """The products, for organic conversions."""
    count = len(catalogue.products)
    names = tuple(f"product={p}" for p in catalogue.product_ids)
    return Options(Attributes(names, np.eye(count)), np.arange(count), np.full(count, -1))


@dataclass(frozen=True)
class Latent:
    """Hidden states of a batch of simulated customers; a log never shows them."""

    irritation: np.ndarray  # (batch,) float64
    frailty: np.ndarray  # (batch,) float64, the per-customer random effect
    taste: np.ndarray  # (products, batch) float64
    reach: np.ndarray  # (channels, batch) float64


class Factor(Protocol):
    """A factor that depends on the customer's state."""

    def chosen(self, observation: np.ndarray, option: np.ndarray, latent: Latent | None) -> np.ndarray:
        """(batch,) values for one option per customer."""
        ...

    def every(self, observation: np.ndarray, latent: Latent | None) -> np.ndarray:
        """(batch, 1) or (batch, options) values for all options."""
        ...


@dataclass(frozen=True)
class GlobalField:
    """A field of the observation, the same for every option."""

    column: int

    def chosen(self, observation: np.ndarray, option: np.ndarray, latent: Latent | None) -> np.ndarray:
        return observation[:, self.column].astype(np.float64)

    def every(self, observation: np.ndarray, latent: Latent | None) -> np.ndarray:
        return observation[:, self.column : self.column + 1].astype(np.float64)


@dataclass(frozen=True)
class OwnField:
    """A field of the option's own channel or product."""

    columns: np.ndarray  # (options,) int, -1: none, value 0

    def chosen(self, observation: np.ndarray, option: np.ndarray, latent: Latent | None) -> np.ndarray:
        columns = self.columns[option]
        values = np.take_along_axis(observation, np.maximum(columns, 0)[:, None], axis=1)[:, 0]
        return np.where(columns < 0, 0.0, values)

    def every(self, observation: np.ndarray, latent: Latent | None) -> np.ndarray:
        return np.where(self.columns < 0, 0.0, observation[:, np.maximum(self.columns, 0)])


@dataclass(frozen=True)
class Conflict:
    """The strongest trace of an offer of another product than the option's; care offers nothing."""

    columns: np.ndarray  # (products,) int, the fields `offered`
    selling: np.ndarray  # (products,) bool
    product_of: np.ndarray  # (options,) int

    def _by_product(self, observation: np.ndarray) -> np.ndarray:  # (batch, 1 + products), first column 0
        offered = np.where(self.selling, observation[:, self.columns], 0.0).astype(np.float64)
        out = np.zeros((offered.shape[0], offered.shape[1] + 1))
        if offered.shape[1] > 1:
            order = np.sort(offered, axis=1)
            largest, second = order[:, -1:], order[:, -2:-1]
            out[:, 1:] = np.where(offered == largest, np.where(second == largest, largest, second), largest)
        return out

    def chosen(self, observation: np.ndarray, option: np.ndarray, latent: Latent | None) -> np.ndarray:
        by_product = self._by_product(observation)
        return np.asarray(by_product[np.arange(len(option)), self.product_of[option] + 1])

    def every(self, observation: np.ndarray, latent: Latent | None) -> np.ndarray:
        return np.asarray(self._by_product(observation)[:, self.product_of + 1])


@dataclass(frozen=True)
class LatentState:
    """A hidden state; `rows` picks the option's own product or channel."""

    name: str
    rows: np.ndarray | None  # (options,) int, -1: none, value 0

    def _of(self, latent: Latent | None) -> np.ndarray:
        if latent is None:
            raise ValueError(f"latent.{self.name} is a hidden state: only a simulator that holds it can evaluate it")
        return np.asarray(getattr(latent, self.name))

    def chosen(self, observation: np.ndarray, option: np.ndarray, latent: Latent | None) -> np.ndarray:
        values = self._of(latent)
        if self.rows is None:
            return values
        rows = self.rows[option]
        return np.where(rows < 0, 0.0, values[rows, np.arange(len(option))])

    def every(self, observation: np.ndarray, latent: Latent | None) -> np.ndarray:
        values = self._of(latent)
        return values[:, None] if self.rows is None else np.where(self.rows < 0, 0.0, values[self.rows].T)


@dataclass(frozen=True)
class Feature:
    """A feature: fixed weights per option times state factors."""

    name: str
    weights: np.ndarray  # (options,) float64, the product of its attributes
    factors: tuple[tuple[str, Factor], ...] = field(default=())


def parse_feature(name: str, options: Options, encoder: Encoder) -> Feature:
    """Resolve a feature's name; an InputError names the factor that nobody knows."""
    weights, factors = np.ones(len(options)), []
    for word in (part.strip() for part in name.split("*")):
        if word == "1":
            continue
        if word in options.attributes.names:
            weights = weights * options.attributes.column(word)
        else:
            factors.append((word, _factor(word, options, encoder)))
    return Feature(name, weights, tuple(sorted(factors, key=lambda pair: pair[0])))


def _factor(word: str, options: Options, encoder: Encoder) -> Factor:
    catalogue, names = encoder.catalogue, encoder.names
    if word in names:
        return GlobalField(names.index(word))
    kind, _, rest = word.partition(".")
    if kind == "own_channel" and f"channel:{catalogue.channel_ids[0]}:{rest}" in names:
        columns = [names.index(f"channel:{c}:{rest}") for c in catalogue.channel_ids]
        return OwnField(np.array([*columns, -1])[options.channel_of])
    if kind == "own_product" and f"product:{catalogue.product_ids[0]}:{rest}" in names:
        columns = [names.index(f"product:{p}:{rest}") for p in catalogue.product_ids]
        return OwnField(np.array([*columns, -1])[options.product_of])
    if word == "conflict":
        columns = [names.index(f"product:{p}:offered") for p in catalogue.product_ids]
        return Conflict(np.array(columns), np.array([p.selling for p in catalogue.products]), options.product_of)
    owners = {"irritation": None, "frailty": None, "taste": options.product_of, "reach": options.channel_of}
    if kind == "latent" and rest in owners:
        return LatentState(rest, owners[rest])
    need = "must be 1, a treatment attribute, an observation field, own_channel.X, own_product.X, conflict or latent.X"
    raise InputError(need, file="coefficients.yaml", field="feature", value=word)
