"""How customers begin: their encoded profile, and what they hold and are on the first day."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from envs.profile import encode_profile
from envs.schema import Schema


class Start(NamedTuple):
    """How customers begin."""

    profile: np.ndarray  # (batch, profile fields) float32
    holds: np.ndarray  # (batch, products) bool
    stage: np.ndarray  # (batch,) int16, position in schema.stages, -1: none
    grade: np.ndarray  # (batch,) int16, credit grade 1, 2 ..., 0: none

    def take(self, rows: np.ndarray) -> Start:
        """Some of them, in this order."""
        return Start(*(part[rows] for part in self))


def start_of(customers: pl.DataFrame, holds: np.ndarray, schema: Schema) -> Start:
    """Encode profile columns. holds: (customers, products) bool."""
    stage, grade = np.full(customers.height, -1, np.int16), np.zeros(customers.height, np.int16)
    if schema.stage_column is not None:
        places = {name: number for number, name in enumerate(schema.stages)}
        codes = customers[schema.stage_column].replace_strict(places, default=-1, return_dtype=pl.Int16)
        stage = codes.fill_null(-1).to_numpy()
    if schema.credit_column is not None:
        grade = customers[schema.credit_column].cast(pl.Float64).round().cast(pl.Int16).to_numpy()
    return Start(encode_profile(customers, schema), holds, stage, grade)
