"""Linear functions of (customer, treatment) pairs: fast, since the customer's part is one product of matrices.

    value = level of the treatment + own fields . u + general fields . v_product

A design lays the same functions out as columns for a regression: own fields, general fields, general fields of each
product, and the kinds (product, channel), standardised; it turns the regression's weights back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.pairs import PAIRS, Pairs

LEAST_SPREAD = 1e-6  # of a column that varies


@dataclass(frozen=True)
class Linear:
    """One or several linear functions."""

    pairs: Pairs
    level: np.ndarray  # (functions, treatments) float64
    own: np.ndarray  # (functions, own columns) float64
    general: np.ndarray  # (functions, general fields, products + 1) float64, silence last

    def values(self, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        """observation: (batch, fields) float32; row, treatment: (m,) int -> (functions, m) float64."""
        fields = observation[:, self.pairs.general].astype(np.float64)
        product = self.pairs.catalogue.product_of[treatment]
        out = self.level[:, treatment]
        if self.general.any():
            out = out + np.stack([(fields @ weights)[row, product] for weights in self.general])
        if not self.own.any():
            return np.asarray(out)
        for start in range(0, len(row), PAIRS):
            part = slice(start, start + PAIRS)
            out[:, part] += self.own @ self.pairs.own(observation, row[part], treatment[part]).astype(np.float64).T
        return np.asarray(out)


@dataclass(frozen=True)
class Design:
    """The columns of a regression on pairs."""

    pairs: Pairs
    center: np.ndarray  # (own + general columns,) float64
    scale: np.ndarray  # (own + general columns,) float64

    @classmethod
    def of(cls, pairs: Pairs, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> Design:
        """Standardised on these pairs."""
        table = _numbers(pairs, observation, row, treatment)
        spread = table.std(axis=0)
        return cls(pairs, table.mean(axis=0), np.where(spread > LEAST_SPREAD, spread, 1.0))

    @property
    def width(self) -> int:
        """Number of columns."""
        products, channels = len(self.pairs.catalogue.products), len(self.pairs.catalogue.channels)
        return len(self.pairs.own_names) + len(self.pairs.general) * (1 + products) + products + channels

    def columns(self, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        """Contacts only. -> (m, width) float64."""
        own = len(self.pairs.own_names)
        numbers = (_numbers(self.pairs, observation, row, treatment) - self.center) / self.scale
        general, product = numbers[:, own:], self.pairs.catalogue.product_of[treatment]
        by_product = np.zeros((len(row), len(self.pairs.catalogue.products), general.shape[1]))
        by_product[np.arange(len(row)), product] = general
        return np.concatenate([numbers, by_product.reshape(len(row), -1), self._kinds(treatment)], axis=1)

    def linear(self, weights: np.ndarray, start: np.ndarray) -> Linear:
        """The functions of some weights. weights: (functions, width); start: (functions,), the intercepts."""
        catalogue, own, general = self.pairs.catalogue, len(self.pairs.own_names), len(self.pairs.general)
        products, functions = len(catalogue.products), len(weights)
        parts = np.split(weights, np.cumsum([own, general, general * products]), axis=1)
        by_product = parts[2].reshape(functions, products, general).transpose(0, 2, 1)
        by_product = np.append(by_product, np.zeros((functions, general, 1)), axis=2)
        slopes = (parts[1][:, :, None] + by_product) / self.scale[own:, None]
        of_own = parts[0] / self.scale[:own]
        level = start[:, None] - (of_own @ self.center[:own])[:, None]
        level = level - np.einsum("g,fgp->fp", self.center[own:], slopes)[:, catalogue.product_of]
        level[:, 1:] += parts[3] @ self._kinds(np.arange(1, len(catalogue.treatment_ids))).T
        return Linear(self.pairs, level, of_own, slopes)

    def _kinds(self, treatment: np.ndarray) -> np.ndarray:
        catalogue = self.pairs.catalogue
        product, channel = np.eye(len(catalogue.products)), np.eye(len(catalogue.channels))
        return np.concatenate(
            [product[catalogue.product_of[treatment]], channel[catalogue.channel_of[treatment]]], axis=1
        )


def constant(pairs: Pairs, value: float) -> Linear:
    """The same for every pair."""
    catalogue = pairs.catalogue
    general = np.zeros((1, len(pairs.general), len(catalogue.products) + 1))
    return Linear(
        pairs, np.full((1, len(catalogue.treatment_ids)), value), np.zeros((1, len(pairs.own_names))), general
    )


def _numbers(pairs: Pairs, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    """Own and general columns. -> (m, own + general) float64."""
    general = np.ascontiguousarray(observation[:, pairs.general])[row]
    return np.concatenate([pairs.own(observation, row, treatment), general], axis=1).astype(np.float64)
