"""The response model: a set of heads, each a generalised linear model over named features.

One form serves the built-in bank and every calibrated world. `coefficients.yaml` holds it, each number with its source.

    logit      P = 1 / (1 + exp(-eta))
    rate       P(at least once in d days) = 1 - exp(-d exp(eta))        (complementary log-log, log(d) as offset)
    lognormal  amount = exp(eta + sigma z - sigma^2 / 2), so that exp(eta) is the mean
    linear     max(eta, 0)

What no coefficient changes: a contact over a channel on which the product does not close (catalogue, `closes`) engages
but never converts; a product with `maturing_days` is applied for first; its margin is booked when it matures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import Field, model_validator

from envs.config import Config, load_config
from envs.digest import digest_of
from envs.features import LATENT, Feature, Options, parse_feature
from envs.model import Model, Part, chosen_etas, every_eta, every_head, pack
from envs.observation import Encoder

Given = Literal[
    "always", "contacted", "delivered", "engaged", "unconverted", "converted", "purchased", "churned",
    "satisfaction_rated",
]  # fmt: skip
GIVEN: tuple[Given, ...] = get_args(Given)
BLOCK = 64  # rows that a kernel takes together: a line of each field fits the nearest cache


class Term(Config):
    """One coefficient."""

    feature: str = Field(description="Name of the feature.")
    value: float = Field(description="The coefficient.")
    se: float | None = Field(None, ge=0, description="Its standard error, where it was estimated.")
    source: str = Field("", description="Where the number comes from: paper, data set, or assumed, because ...")


class Head(Config):
    """One response. Amounts are heads named after their event: `converted_value`, `purchased_value`."""

    link: Literal["logit", "rate", "lognormal", "linear"] = Field(description="Form of the model.")
    given: Given = Field(
        "always", description="What must have happened; unconverted: engaged, but not converted at this contact."
    )
    per: Literal["decision", "product"] = Field("decision", description="product: one draw for every product.")
    sigma: float | None = Field(
        None, gt=0, description="Spread: of the logarithm, for lognormal; around the mean, for linear."
    )
    terms: tuple[Term, ...] = Field(min_length=1)


# What a head can wait for, by its name; the simulator knows no others. `trigger:NAME` waits for nothing.
WAITS_FOR: dict[str, tuple[Given, ...]] = {
    "delivered": ("contacted",),
    "engaged": ("contacted", "delivered", "always"),
    "converted": ("contacted", "delivered", "engaged", "always"),
    "declined": ("unconverted",),
    "opted_out": ("delivered",),
    "complained": ("delivered",),
    "irritation": ("delivered",),
    "purchased": ("always",),
    "churned": ("always",),
    "organic": ("always",),
    "browsed": ("always",),
    "abandoned": ("always",),
    "cancelled": ("always",),
    "redeemed": ("converted",),
    "risk_hold": ("always",),
    "risk_cleared": ("always",),
    "satisfaction_rated": ("always",),
    "converted_value": ("converted",),
    "purchased_value": ("purchased",),
    "churned_value": ("churned",),
    "satisfaction_value": ("satisfaction_rated",),
}
PER_PRODUCT = ("organic", "browsed", "abandoned", "cancelled")
TRIGGER = "trigger:"  # trigger:NAME, a moment at which a customer comes in
STAGE = "stage:"  # stage:FROM>TO, a move between lifecycle stages


class Hidden(Config):
    """Hidden states of customers. A calibrated world has at most a frailty, a random effect that its log identified."""

    irritation_half_life: float = Field(10.0, gt=0, description="Days.")
    care_heals: float = Field(
        0.5, ge=0, le=1, description="Share of irritation that an engaged care contact takes away."
    )
    factors: int = Field(3, ge=1, description="Number of hidden factors behind taste and reach.")
    factor_profile: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="Profile field -> loading on each factor."
    )
    taste: dict[str, tuple[float, ...]] = Field(default_factory=dict, description="Product -> loading on each factor.")
    reach: dict[str, tuple[float, ...]] = Field(default_factory=dict, description="Channel -> loading on each factor.")
    own_taste: float = Field(0.5, ge=0, description="Spread of a customer's own deviation in taste, per product.")
    own_reach: float = Field(0.5, ge=0, description="Spread of a customer's own deviation in reach, per channel.")
    source: str = Field("", description="Where these numbers come from.")

    @model_validator(mode="after")
    def _one_loading_per_factor(self) -> Hidden:
        for kind in ("factor_profile", "taste", "reach"):
            for name, loadings in getattr(self, kind).items():
                if len(loadings) != self.factors:
                    raise ValueError(f"{kind}.{name}: {len(loadings)} loadings, must be {self.factors}, one per factor")
        return self


class Coefficients(Config):
    """The response model as it is written."""

    name: str = Field(description="Name of the world.")
    heads: dict[str, Head] = Field(description="Response -> model.")
    hidden: Hidden | None = Field(None, description="Hidden states; null: the customers of this world have none.")
    resolution: Literal["day", "window"] = Field(
        "window", description="day: what nobody asked for is drawn day by day; window: once between two decisions."
    )

    @model_validator(mode="after")
    def _heads_are_simulated(self) -> Coefficients:
        for name, head in self.heads.items():
            free = name.startswith(TRIGGER) or (name.startswith(STAGE) and name.count(">") == 1)
            if name not in WAITS_FOR and not free:
                choice = ", ".join(WAITS_FOR)
                raise ValueError(f"head {name!r}: unknown, must be one of: {choice}, {TRIGGER}NAME, {STAGE}FROM>TO")
            known: tuple[Given, ...] = ("always",) if free else WAITS_FOR[name]
            if head.given not in known:
                raise ValueError(f"head {name!r}: given == {head.given!r}, must be one of: {', '.join(known)}")
            if (head.per == "product") != (name in PER_PRODUCT) and name != "converted_value":
                must = "product" if name in PER_PRODUCT else "decision"
                raise ValueError(f"head {name!r}: per == {head.per!r}, must be {must}")
            before = "engaged" if head.given == "unconverted" else head.given
            if name == "satisfaction_rated" and "satisfaction_value" not in self.heads:
                raise ValueError(f"head {name!r}: must have a head 'satisfaction_value', which says how satisfied")
            if before in ("engaged", "purchased", "churned", "satisfaction_rated") and before not in self.heads:
                raise ValueError(f"head {name!r}: given == {head.given!r}, must have a head {before!r} before it")
        return self


@dataclass(frozen=True)
class CompiledHead:
    """A head resolved against a catalogue and a schema."""

    head: Head
    features: tuple[Feature, ...]

    @property
    def part(self) -> Part:
        """As it is packed for kernels."""
        terms = tuple((term.value, feature) for term, feature in zip(self.head.terms, self.features, strict=True))
        return Part(self.head.link, GIVEN.index(self.head.given), self.head.sigma or 0.0, terms)

    @cached_property
    def _model(self) -> Model:
        return pack([self.part])

    @property
    def needs_latent(self) -> tuple[str, ...]:
        """Names of the factors that only a simulation knows."""
        return tuple(f.name for feature in self.features for f in feature.factors if f.source == LATENT)

    def linear(self, observation: np.ndarray, option: np.ndarray, latent: np.ndarray | None = None) -> np.ndarray:
        """eta of one option per customer. latent: (batch, latent states) float32 -> (batch,) float64."""
        seen, hidden = _plain(observation), self._known(latent, len(observation))
        out = np.empty(len(option))
        _check(self._model, seen, hidden, option)
        chosen_etas(self._model.reach(), option.astype(np.int64), seen, hidden, out)
        return out

    def linear_all(self, observation: np.ndarray, latent: np.ndarray | None = None) -> np.ndarray:
        """eta of every option. -> (batch, options) float64."""
        seen, hidden = _plain(observation), self._known(latent, len(observation))
        out = np.empty((len(seen), len(self.features[0].weights)))
        _check(self._model, seen, hidden)
        model, block = self._model, min(BLOCK, max(1, len(seen)))
        lines = np.empty((seen.shape[1] + hidden.shape[1] + len(model.offered) + 1, block))
        every_eta(model.reach(), model.read, seen, hidden, lines, np.empty(block), out)
        return out

    def _known(self, latent: np.ndarray | None, batch: int) -> np.ndarray:
        if latent is not None:
            return _plain(latent)
        if self.needs_latent:
            raise ValueError(
                f"{self.needs_latent[0]} is a hidden state: only a simulator that holds it can evaluate it"
            )
        return np.zeros((batch, 0), np.float32)

    def mean(self, eta: np.ndarray, days: np.ndarray | float = 1.0) -> np.ndarray:
        """Probability (logit, rate), mean amount (lognormal) or value (linear) from eta."""
        if self.head.link == "logit":
            return logistic(eta)
        if self.head.link == "rate":
            return np.asarray(-np.expm1(-days * np.exp(eta)))
        if self.head.link == "lognormal":
            return np.asarray(np.exp(eta))
        return np.asarray(np.maximum(eta, 0.0))

    def amount(self, eta: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """A draw of a lognormal amount. normal: (batch,) standard normal."""
        sigma = self.head.sigma or 0.0
        return np.asarray(np.exp(eta + sigma * normal - sigma**2 / 2))


def logistic(eta: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-eta)), as kernels have it: numpy's exponential is several times as fast as scipy's `expit`."""
    out = np.negative(eta)
    with np.errstate(over="ignore"):  # exp(710) is inf, and its chance 0
        np.exp(out, out=out)
    out += 1.0
    return np.asarray(np.reciprocal(out, out=out))


def compile_head(head: Head, options: Options, encoder: Encoder) -> CompiledHead:
    """Resolve a head's features; an InputError names the one nobody knows."""
    return CompiledHead(head, tuple(parse_feature(term.feature, options, encoder) for term in head.terms))


def design_matrix(features: tuple[Feature, ...], observation: np.ndarray, option: np.ndarray) -> np.ndarray:
    """Values of features for one option per row, as a calibration needs them. -> (rows, features) float64."""
    parts = [Part("linear", 0, 0.0, ((1.0, feature),)) for feature in features]
    seen, nothing, model = _plain(observation), np.zeros((len(observation), 0), np.float32), pack(parts)
    out = np.empty((len(seen), len(parts)))
    _check(model, seen, nothing, option)
    every_head(model.reach(), option.astype(np.int64), seen, nothing, out)
    return out


def _check(model: Model, seen: np.ndarray, hidden: np.ndarray, option: np.ndarray | None = None) -> None:
    """Kernels read by address and check nothing: what they are handed must reach as far as they do."""
    for name, given, width in (("observation", seen, model.seen), ("latent states", hidden, model.latent)):
        if given.shape[1] < width or len(given) != len(seen):
            raise ValueError(f"{name}: shape {given.shape}, must be ({len(seen)}, at least {width})")
    if option is not None and option.shape != (len(seen),):
        raise ValueError(f"option: shape {option.shape}, must be ({len(seen)},)")
    if option is not None and option.size and not 0 <= option.min() <= option.max() < model.options:
        raise ValueError(f"option: {option.min()} to {option.max()}, must be from 0 to {model.options - 1}")


def _plain(values: np.ndarray) -> np.ndarray:
    """float32 in C order, as kernels read it by address."""
    return np.ascontiguousarray(values, np.float32)


def coefficients_digest(coefficients: Coefficients) -> str:
    """SHA-256 of the content."""
    return digest_of(coefficients.model_dump(mode="json"))


def load_coefficients(path: Path) -> Coefficients:
    """Read `coefficients.yaml`; raise InputError that names file, line, field and need."""
    return load_config(Coefficients, path)
