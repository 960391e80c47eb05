"""The spaces of a world: what is observed and what may be done, for machines and as tables for people."""

from __future__ import annotations

import gymnasium
import numpy as np
import polars as pl

from envs.catalogue import SILENCE, Catalogue
from envs.observation import Encoder


def observation_space(encoder: Encoder) -> gymnasium.spaces.Box:
    """(fields,) float32, each field within the range that its row in the table names."""
    low, high = (np.array([getattr(field, end) for field in encoder.fields], np.float32) for end in ("low", "high"))
    return gymnasium.spaces.Box(low, high)


def action_space(catalogue: Catalogue) -> gymnasium.spaces.Discrete:
    """The position of a treatment in the catalogue; 0 is silence."""
    return gymnasium.spaces.Discrete(len(catalogue.treatment_ids))


def observation_table(encoder: Encoder) -> pl.DataFrame:
    """One row per field of the observation: index, name, meaning, unit, low, high."""
    fields = encoder.fields
    columns = {name: [getattr(field, name) for field in fields] for name in ("name", "meaning", "unit", "low", "high")}
    return pl.DataFrame({"index": range(len(fields)), **columns})


def action_table(catalogue: Catalogue) -> pl.DataFrame:
    """One row per treatment: index, id, what it offers and how, cost of a contact and annoyance of an unpressed one."""
    names = ("product", "benefit", "channel", "format", "daypart")
    treatments = catalogue.treatments
    columns = {name: [None, *(getattr(treatment, name) for treatment in treatments)] for name in names}
    effort = [", ".join(f"{amount:g} {pool}" for pool, amount in t.effort.items()) for t in treatments]
    return pl.DataFrame(
        {
            "index": range(len(treatments) + 1),
            "treatment": [SILENCE, *(t.id for t in treatments)],
            **columns,
            "cost": catalogue.cost,
            "annoyance": catalogue.contact_annoyance,
            "effort": ["", *effort],
        }
    )


def markdown(table: pl.DataFrame) -> str:
    """A table as Markdown: one line per row, numbers as short as they are, nothing where nothing is."""
    head = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * table.width]
    return "\n".join([*head, *("| " + " | ".join(_shown(value) for value in row) + " |" for row in table.iter_rows())])


def _shown(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")
