"""The response model: a set of heads, each a generalised linear model over named features.

One form serves the built-in bank and every calibrated world. `coefficients.yaml` holds it, each number with its source.

    logit      P = 1 / (1 + exp(-eta))
    rate       P(at least once in d days) = 1 - exp(-d exp(eta))        (complementary log-log, log(d) as offset)
    lognormal  amount = exp(eta + sigma z - sigma^2 / 2), so that exp(eta) is the mean
    linear     max(eta, 0)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.special import expit

from envs.config import Config, load_config
from envs.digest import digest_of
from envs.features import Feature, Latent, Options, parse_feature
from envs.observation import Encoder

Given = Literal["always", "contacted", "delivered", "engaged", "unconverted", "converted", "purchased", "churned"]


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
    sigma: float | None = Field(None, gt=0, description="Spread of the logarithm, for lognormal.")
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
    "converted_value": ("converted",),
    "purchased_value": ("purchased",),
    "churned_value": ("churned",),
}
PER_PRODUCT = ("organic", "browsed", "abandoned")
TRIGGER = "trigger:"


class Hidden(Config):
    """Hidden states of the built-in bank's customers; calibrated worlds have none."""

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
    hidden: Hidden | None = Field(None, description="Hidden states; null in a calibrated world.")
    resolution: Literal["day", "window"] = Field(
        "window", description="day: what nobody asked for is drawn day by day; window: once between two decisions."
    )

    @model_validator(mode="after")
    def _heads_are_simulated(self) -> Coefficients:
        for name, head in self.heads.items():
            trigger = name.startswith(TRIGGER)
            if name not in WAITS_FOR and not trigger:
                raise ValueError(f"head {name!r}: unknown, must be one of: {', '.join(WAITS_FOR)}, {TRIGGER}NAME")
            known = ("always",) if trigger else WAITS_FOR[name]
            if head.given not in known:
                raise ValueError(f"head {name!r}: given == {head.given!r}, must be one of: {', '.join(known)}")
            if (head.per == "product") != (name in PER_PRODUCT) and name != "converted_value":
                must = "product" if name in PER_PRODUCT else "decision"
                raise ValueError(f"head {name!r}: per == {head.per!r}, must be {must}")
            before = "engaged" if head.given == "unconverted" else head.given
            if before in ("engaged", "purchased", "churned") and before not in self.heads:
                raise ValueError(f"head {name!r}: given == {head.given!r}, must have a head {before!r} before it")
        return self


@dataclass(frozen=True)
class CompiledHead:
    """A head resolved against a catalogue and a schema: for each product of state factors, a weight per option."""

    head: Head
    features: tuple[Feature, ...]

    @cached_property
    def _groups(self) -> list[tuple[tuple[str, ...], Feature, np.ndarray]]:
        groups: dict[tuple[str, ...], tuple[Feature, np.ndarray]] = {}
        for term, feature in zip(self.head.terms, self.features, strict=True):
            key = tuple(name for name, _ in feature.factors)
            before = groups[key][1] if key in groups else np.zeros_like(feature.weights)
            groups[key] = (feature, before + term.value * feature.weights)
        return [(key, feature, weights) for key, (feature, weights) in groups.items()]

    def linear(self, observation: np.ndarray, option: np.ndarray, latent: Latent | None = None) -> np.ndarray:
        """eta of one option per customer: fixed-order elementwise sums. -> (batch,) float64."""
        eta = np.zeros(len(option))
        for _, feature, weights in self._groups:
            part = weights[option]
            for _, factor in feature.factors:
                part = part * factor.chosen(observation, option, latent)
            eta += part
        return eta

    def linear_all(self, observation: np.ndarray, latent: Latent | None = None) -> np.ndarray:
        """eta of every option. -> (batch, options) float64."""
        eta = np.zeros((observation.shape[0], len(self.features[0].weights)))
        for _, feature, weights in self._groups:
            part = np.ones((observation.shape[0], 1))
            for _, factor in feature.factors:
                part = part * factor.every(observation, latent)
            eta += part * weights
        return eta

    def mean(self, eta: np.ndarray, days: np.ndarray | float = 1.0) -> np.ndarray:
        """Probability (logit, rate), mean amount (lognormal) or value (linear) from eta."""
        if self.head.link == "logit":
            return np.asarray(expit(eta))
        if self.head.link == "rate":
            return np.asarray(-np.expm1(-days * np.exp(eta)))
        if self.head.link == "lognormal":
            return np.asarray(np.exp(eta))
        return np.asarray(np.maximum(eta, 0.0))

    def amount(self, eta: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """A draw of a lognormal amount. normal: (batch,) standard normal."""
        sigma = self.head.sigma or 0.0
        return np.asarray(np.exp(eta + sigma * normal - sigma**2 / 2))


def compile_head(head: Head, options: Options, encoder: Encoder) -> CompiledHead:
    """Resolve a head's features; an InputError names the one nobody knows."""
    return CompiledHead(head, tuple(parse_feature(term.feature, options, encoder) for term in head.terms))


def design_matrix(features: tuple[Feature, ...], observation: np.ndarray, option: np.ndarray) -> np.ndarray:
    """Values of features for one option per row, as a calibration needs them. -> (rows, features) float64."""
    columns = []
    for feature in features:
        column = feature.weights[option]
        for _, factor in feature.factors:
            column = column * factor.chosen(observation, option, None)
        columns.append(column)
    return np.stack(columns, axis=1)


def coefficients_digest(coefficients: Coefficients) -> str:
    """SHA-256 of the content."""
    return digest_of(coefficients.model_dump(mode="json"))


def load_coefficients(path: Path) -> Coefficients:
    """Read `coefficients.yaml`; raise InputError that names file, line, field and need."""
    return load_config(Coefficients, path)
