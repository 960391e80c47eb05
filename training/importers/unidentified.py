"""What a log cannot tell, whoever wrote it: read off its decisions and schema, a sentence for each gap."""

from __future__ import annotations

import polars as pl

from envs.catalogue import SILENCE
from envs.tables import Tables


def unidentified(tables: Tables) -> tuple[str, ...]:
    """What cannot be identified from these tables, and what stands in for it."""
    carried_out = tables.decisions.filter(pl.col("assignment") != "shadow")
    return tuple(
        sentence
        for sentence in (
            *_never_chosen(carried_out, tables.catalogue.treatment_ids),
            _missing(carried_out, "propensity", "they are estimated, as if nothing but the observation had decided"),
            _missing(carried_out, "mask", "what was forbidden cannot be told from what was never chosen"),
            _unrecorded(tables.schema.task.annoyance_missing),
        )
        if sentence
    )


def _never_chosen(decisions: pl.DataFrame, treatments: tuple[str, ...]) -> list[str]:
    used = set(decisions["treatment"].unique())
    never = [t for t in treatments if t not in used and t != SILENCE]
    out = []
    if SILENCE not in used:
        out.append("silence was never logged: what customers do without a contact, and so any gain, is not identified")
    if never:
        names = ", ".join(never[:3]) + (" …" if len(never) > 3 else "")
        out.append(f"{len(never)} of {len(treatments) - 1} treatments were never logged ({names}): not their effects")
    return out


def _missing(decisions: pl.DataFrame, column: str, instead: str) -> str:
    count = decisions[column].null_count()
    return f"{column} is missing in {count:,} of {decisions.height:,} decisions: {instead}" if count else ""


def _unrecorded(components: tuple[str, ...]) -> str:
    return f"{', '.join(components)} are not recorded: annoyance is that of contacts alone" if components else ""
