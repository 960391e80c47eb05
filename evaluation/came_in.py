"""How customers came in: the channel on which each was met at the first decision of the log."""

from __future__ import annotations

import numpy as np
import polars as pl

from envs.catalogue import Catalogue
from envs.tables import Tables
from evaluation.log import Log

CHANNEL = "channel"  # name of the dimension
OUTBOUND = "outbound"  # where nobody came in: the bank takes the initiative


def came_in(tables: Tables, log: Log) -> np.ndarray:  # (customers,) str
    """Of the customers of a log that was read from these tables, see `met_on`."""
    first = pl.DataFrame({"decision_id": log.decision_id[log.step == 0]})
    trigger = first.join(
        tables.decisions.select("decision_id", "trigger"), "decision_id", "left", maintain_order="left"
    )["trigger"]
    return met_on(trigger, tables.catalogue).to_numpy().astype(str)


def met_on(trigger: pl.Series, catalogue: Catalogue) -> pl.Series:
    """The first channel of the catalogue that a trigger opens, the trigger itself where it opens none."""
    opened = {one.inbound: one.id for one in reversed(catalogue.channels) if one.inbound is not None}
    return trigger.cast(pl.String).replace(opened).fill_null(OUTBOUND)
