"""Whom a log is of: customers by what they were assigned and by part, and why there may be none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.split import is_test
from envs.table_parts import TableParts
from envs.tables import Tables

Part = Literal["train", "test", "all"]
SHADOW = "shadow"  # the assignment under which nothing is carried out


def assigned(decisions: pl.DataFrame, assignment: str | None) -> pl.DataFrame:
    """The decisions, carried out, of customers who were assigned so throughout; None: of all."""
    if assignment == SHADOW:
        need = "must be an assignment under which decisions were carried out: nothing followed those of a shadow"
        raise InputError(need, field="assignment", value=assignment)
    carried_out = decisions.filter(pl.col("assignment") != SHADOW)
    if assignment is None:
        return carried_out
    return carried_out.filter((pl.col("assignment") == assignment).all().over("customer_id"))


def nothing(path: Path | None, assignment: str | None) -> InputError:
    """Why tables without a decision to evaluate are refused."""
    if assignment is not None:
        return InputError("must be that of every decision of some customer", field="assignment", value=assignment)
    file = "decisions.parquet" if path is None else path / "decisions.parquet"
    return InputError("must hold a decision that was carried out", file=file)


def nobody(tables: Tables | TableParts, part: Part, customers: int) -> InputError:
    """Why tables whose customers are all in the other part are refused. customers: who could be evaluated"""
    file = "schema.yaml" if tables.path is None else tables.path / "schema.yaml"
    share = tables.schema.split.test_share
    need = f"must leave a customer in the {part} part: of the {customers} with decisions it leaves none"
    return InputError(need, file=file, field="split.test_share", value=share)


def in_test(customer_id: pl.Series, tables: Tables) -> np.ndarray:  # (rows,) bool
    """Which rows are of test customers."""
    names = customer_id.unique(maintain_order=True)
    part = pl.DataFrame({"customer_id": names, "test": is_test(names, tables.schema.split)})
    return (
        pl.DataFrame({"customer_id": customer_id})
        .join(part, "customer_id", "left", maintain_order="left")["test"]
        .to_numpy()
    )
