"""The reward in its three parts, margin, cost and annoyance: one set of functions for simulator, evaluation and ledger.

reward = margin - cost - sum over pools of price x effort - annoyance price x annoyance

Annoyance is a function of loggable events only, in units where one opt-out is 1:

    annoyance of a contact = the channel's annoyance x (1 + contact pressure before it)
    annoyance of an event  = its weight in the schema (opted_out 1, complained 5, blocked 2)
"""

from __future__ import annotations

import numpy as np
import polars as pl

from envs.catalogue import Catalogue
from envs.prices import Prices
from envs.schema import Schema

PRESSURE_FIELD = "contact:pressure"
PRESSURE_UNIT = 10.0  # the observed field is pressure / 10


def contact_annoyance(catalogue: Catalogue, treatment: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Annoyance of contacts. treatment: (...,) int; pressure: (...,) faded contacts before -> (...,) float64."""
    return np.asarray(catalogue.contact_annoyance[treatment] * (1.0 + pressure.astype(np.float64)))


def event_amounts(events: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The events with three more columns: margin, cost (currency) and annoyance (opt-outs) of each."""
    reward, name, value = schema.task.reward, pl.col("event"), pl.col("value").fill_null(0.0)

    def weight(weights: dict[str, float]) -> pl.Expr:
        if not weights:
            return pl.lit(0.0)
        return name.replace_strict(list(weights), list(weights.values()), default=0.0, return_dtype=pl.Float64)

    return events.with_columns(
        margin=weight(reward.margin_per_value) * value + weight(reward.margin_per_event),
        cost=weight(reward.cost_per_value) * value,
        annoyance=weight(schema.task.annoyance_events),
    )


def total(
    margin: np.ndarray, cost: np.ndarray, annoyance: np.ndarray, effort: np.ndarray, prices: Prices
) -> np.ndarray:
    """The reward at given prices. margin, cost, annoyance: (n,); effort: (n, pools) -> (n,) float64."""
    return np.asarray(margin - cost - effort @ np.asarray(prices.pools) - prices.annoyance * annoyance)
