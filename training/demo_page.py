"""What the demo prints: one table of policies, one of estimates beside the truth, the gate's lines, the decisions."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from training.promote import Promotion
from training.stores import ui_command

if TYPE_CHECKING:
    from training.demo import Demo

WIDTH = 132


def page(demo: Demo) -> str:
    """The demo's result as text."""
    out = Console(file=io.StringIO(), width=WIDTH)
    out.print(policies_table(demo.frame, demo.comparison.days))
    out.print(truth_table(demo.truth))
    out.print(gate_table(demo.promotion))
    out.print(decisions_table(demo.served.decisions, f"Ten decisions served by {demo.served.policy}"))
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in demo.seconds.items())
    out.print(f"{demo.served.events} events recorded in {demo.served.ledger}")
    out.print(f"report   {demo.directory / 'report' / 'report.html'}")
    out.print(f"policy   {demo.training.artifact}")
    out.print(f"MLflow   {ui_command()}")
    out.print(f"took     {took}; {sum(demo.seconds.values()):.0f} s in all")
    text = out.file.getvalue()  # type: ignore[attr-defined]  # the StringIO given above
    return str(text)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _cell(row: dict[str, float], name: str, digits: int) -> str:
    return f"{row[name]:.{digits}f} [{row[f'{name}_lo']:.{digits}f}, {row[f'{name}_hi']:.{digits}f}]"


def policies_table(frame: pl.DataFrame, days: int) -> Table:
    """Each policy in the built-in bank, per customer."""
    title = f"In the built-in bank, per customer over {days} days, 95 % intervals (CNY; annoyance in opt-outs)"
    table = _table(title, "policy", "conversions", "margin", "cost", "annoyance", "gain over silence")
    for row in frame.iter_rows(named=True):
        cells = [_cell(row, "conversions", 3), _cell(row, "margin", 0), _cell(row, "cost", 1)]
        table.add_row(row["policy"], *cells, _cell(row, "annoyance", 3), _cell(row, "gain", 1))
    return table


def truth_table(frame: pl.DataFrame) -> Table:
    """Each estimate from the log beside the true value of the same quantity."""
    title = "What the log says, beside the truth of the same quantity: discounted reward per customer, CNY"
    table = _table(title, "policy", "quantity", "estimate from the log", "true value", "intervals meet")
    for row in frame.iter_rows(named=True):
        estimate = f"{row['estimate']:.1f} [{row['lo']:.1f}, {row['hi']:.1f}]"
        truth = f"{row['truth']:.1f} [{row['truth_lo']:.1f}, {row['truth_hi']:.1f}]"
        table.add_row(row["policy"], row["quantity"], estimate, truth, "yes" if row["overlap"] else "NO")
    return table


def gate_table(promotion: Promotion) -> Table:
    """The gate's lines."""
    table = _table(f"The gate: {promotion.verdict}", "rule", "", "found", "needed")
    for column in table.columns:
        column.no_wrap, column.justify = False, "left"
    for line in promotion.lines:
        table.add_row(line.name, "pass" if line.passed else "FAIL", line.value, line.need)
    return table


def decisions_table(frame: pl.DataFrame, title: str) -> Table:
    """The decisions that were served."""
    table = _table(title, "customer", "trigger", "treatment", "probability", "masked treatments")
    for row in frame.iter_rows(named=True):
        cells = (row["trigger"], row["treatment"], f"{row['probability']:.3f}", str(row["masked"]))
        table.add_row(row["customer"], *cells)
    return table
