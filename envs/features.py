"""Named features: what response models may look at, and how a name becomes a number.

A feature is a product of factors, written `a * b`. A factor is one of

    1                       the constant
    NAME                    a treatment attribute (`contact`, `channel=sms`, `product=loan` ...)
    NAME                    a field of the observation (`age`, `contact:pressure`, `calendar:weekend` ...)
    own_channel.NAME        that field of the treatment's own channel (`own_channel.pressure`); 0 for silence
    own_product.NAME        that field of the treatment's own product (`own_product.intent`); 0 for silence
    conflict                the strongest trace of an offer (field `offered`) of another product that sells; silence: 0
    latent.NAME             what only a simulation knows, never an observation:
                            irritation, frailty, taste (own product), reach (own channel),
                            clash (trace of another product, or another benefit for the same one, on another channel),
                            context (1 if one desk decides and hands on what it knows, 0 among silos),
                            clock (years since the first day of the population)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from envs.attributes import Attributes, identifying
from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.observation import Encoder

OBSERVED, LATENT, CONFLICT = range(3)  # where a factor's value stands
FACTORS = 3  # most factors of a feature that depend on the customer
IRRITATION, FRAILTY, CLASH, CONTEXT, CLOCK, TASTE = range(6)  # columns of the latent states; reach after taste
SCALARS = {"irritation": IRRITATION, "frailty": FRAILTY, "clash": CLASH, "context": CONTEXT, "clock": CLOCK}


NOTHING = np.zeros(0, np.int32)


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


def latent_columns(catalogue: Catalogue) -> int:
    """Number of latent states of a customer."""
    return TASTE + len(catalogue.products) + len(catalogue.channels)


@dataclass(frozen=True)
class Factor:
    """A factor that depends on the customer: a column of the observation or of the latent states, for each option."""

    name: str
    source: int  # OBSERVED, LATENT or CONFLICT
    columns: np.ndarray  # (options,) int32, -1: the value is 0; of CONFLICT: the option's product
    offered: np.ndarray = field(
        default_factory=lambda: NOTHING
    )  # of CONFLICT: (products,) int32, the field `offered`, -1 of what does not sell


@dataclass(frozen=True)
class Feature:
    """A feature: fixed weights per option times factors."""

    name: str
    weights: np.ndarray  # (options,) float64, the product of its attributes
    factors: tuple[Factor, ...] = field(default=())


def parse_feature(name: str, options: Options, encoder: Encoder) -> Feature:
    """Resolve a feature's name; an InputError names the factor that nobody knows."""
    weights, factors = np.ones(len(options)), []
    for word in (part.strip() for part in name.split("*")):
        if word == "1":
            continue
        if word in options.attributes.names:
            weights = weights * options.attributes.column(word)
        else:
            source, columns = _columns(word, options, encoder)
            offered = _offered(encoder) if source == CONFLICT else NOTHING
            factors.append(Factor(word, source, np.asarray(columns, np.int32), offered))
    if len(factors) > FACTORS:
        need = f"must have at most {FACTORS} factors besides attributes of treatments"
        raise InputError(need, file="coefficients.yaml", field="feature", value=name)
    return Feature(name, weights, tuple(sorted(factors, key=lambda factor: factor.name)))


def _columns(word: str, options: Options, encoder: Encoder) -> tuple[int, np.ndarray]:
    catalogue, names = encoder.catalogue, encoder.names
    if word in names:
        return OBSERVED, np.full(len(options), names.index(word))
    kind, _, rest = word.partition(".")
    if kind == "own_channel" and f"channel:{catalogue.channel_ids[0]}:{rest}" in names:
        columns = [names.index(f"channel:{c}:{rest}") for c in catalogue.channel_ids]
        return OBSERVED, np.array([*columns, -1])[options.channel_of]
    if kind == "own_product" and f"product:{catalogue.product_ids[0]}:{rest}" in names:
        columns = [names.index(f"product:{p}:{rest}") for p in catalogue.product_ids]
        return OBSERVED, np.array([*columns, -1])[options.product_of]
    if word == "conflict":
        return CONFLICT, options.product_of
    if kind == "latent" and rest in SCALARS:
        return LATENT, np.full(len(options), SCALARS[rest])
    if kind == "latent" and rest == "taste":
        return LATENT, np.where(options.product_of < 0, -1, TASTE + options.product_of)
    if kind == "latent" and rest == "reach":
        first = TASTE + len(catalogue.products)
        return LATENT, np.where(options.channel_of < 0, -1, first + options.channel_of)
    need = "must be 1, a treatment attribute, an observation field, own_channel.X, own_product.X, conflict or latent.X"
    raise InputError(need, file="coefficients.yaml", field="feature", value=word)


def _offered(encoder: Encoder) -> np.ndarray:  # (products,) int32
    products, names = encoder.catalogue.products, encoder.names
    return np.array([names.index(f"product:{p.id}:offered") if p.selling else -1 for p in products], np.int32)
