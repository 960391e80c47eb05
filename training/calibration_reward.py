"""Does a calibrated world give each treatment the reward that the log shows? On customers held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from envs.expectation import Expectation
from envs.response import Head
from envs.world import World
from evaluation.reading import window_ends
from evaluation.windows import window_amounts
from training.calibration_source import Source

LEAST = 20  # decisions of a treatment below which it is left out


def reward_by_treatment(
    source: Source, world: World, heads: Mapping[str, Head], heldout: np.ndarray
) -> pl.DataFrame | None:
    """Predicted and logged margin - cost per decision and treatment, with the standard error of the difference.

    heads:   fitted without the customers held out
    heldout: (customers,) bool
    None where decisions share a moment, or where reward comes unasked by product: the prediction is of one decision.
    """
    if "organic" in heads or source.windows.height < source.decisions.height:
        return None
    inside = replace(world, coefficients=world.coefficients.model_copy(update={"heads": dict(heads)}))
    rows = np.flatnonzero(heldout[source.customer])
    treatment = source.treatment[rows]
    expected = Expectation(inside)(source.observation[rows])
    each = np.arange(len(rows))
    predicted = (expected.margin - expected.cost)[each, treatment]
    amounts = window_amounts(source.decisions, window_ends(source.decisions, source.tables), source.tables)
    logged = (amounts["margin"] - amounts["cost"])[rows] - world.catalogue.cost[treatment]
    frame = pl.DataFrame({"treatment": treatment, "predicted": predicted, "logged": logged})
    error = pl.col("logged") - pl.col("predicted")
    table = frame.group_by("treatment").agg(
        pl.len().alias("decisions"),
        pl.col("predicted").mean(),
        pl.col("logged").mean(),
        se=error.std() / pl.len().sqrt(),
    )
    ids = pl.Series(world.catalogue.treatment_ids)
    return (
        table.filter(pl.col("decisions") >= LEAST)
        .sort("treatment")
        .with_columns(treatment=pl.col("treatment").map_elements(lambda i: ids[i], return_dtype=pl.String))
    )
