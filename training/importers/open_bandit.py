"""The Open Bandit Dataset (ZOZO, 2020), campaign men: which item to show in a position of a page, propensities logged.

Saito et al. 2021, "Open Bandit Dataset and Pipeline" (NeurIPS datasets and benchmarks), section 3. Two policies ran
side by side on visitors drawn at random: `random` chose evenly among the items, `bts` is Bernoulli Thompson sampling,
whose propensities go down to 1e-6. A data row is one position of one page: one decision of a customer of its own, since
visitors have no ids (`random-000012` is row 12 of that policy's file). The position is part of what is known before
the decision, not of what is chosen. A click is `engaged`, stamped a second after the page: its own time is not given.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from envs.errors import InputError
from envs.schema import Split
from envs.table_checks import LEAST_PROPENSITY
from envs.tables import INSTANT
from training.importers.open_bandit_world import (
    AFFINITY,
    KNOWN_CODES,
    OTHER,
    POSITIONS,
    UNIDENTIFIED,
    Item,
    item_catalogue,
    page_schema,
)
from training.importers.rows import BadRowError, Imported, Intake, Row, choice, csv_rows, floating, number, unknown

Logging = Literal["random", "bts"]

CAMPAIGN = "men"
ITEM_FILE, LOG_FILE = "item_context.csv", "men.csv"
ITEM_COLUMNS = ("item_id", "item_feature_0", "item_feature_1", "item_feature_2", "item_feature_3")
LOG_COLUMNS = ("timestamp", "item_id", "position", "click", "propensity_score", *(f"user_{c}" for c in KNOWN_CODES))
CODE_LENGTH = 6  # characters of a hashed code that tell the known ones apart
ROUNDING = 1e-6  # of propensities in the files
ASSIGNMENT = {"random": "randomised", "bts": "champion"}


class Shown(NamedTuple):
    """One data row: an item in a position of a page."""

    customer_id: str
    at: datetime
    treatment: str
    position: str
    codes: tuple[str, ...]  # user_feature_0 .. 3
    past_clicks: tuple[float, ...]  # of this visitor, item by item
    clicked: bool
    propensity: float


def import_open_bandit(source: Path, split: Split, policy: Literal["random", "bts", "both"]) -> Imported:
    """Read one policy's files, or both: SOURCE/POLICY/men/men.csv with item_context.csv beside it."""
    names: tuple[Logging, ...] = ("random", "bts") if policy == "both" else (policy,)
    intake, sources = Intake(), _sources(source, names)
    catalogues, parts = [], []
    for name in names:
        items = _items(intake, name, sources)
        catalogues.append(item_catalogue(items))
        parts.append(_tables(name, _shown(intake, name, sources, len(items)), len(items)))
    if catalogues[0] != catalogues[-1]:
        first, second = (sources[f"{name}/{CAMPAIGN}/{ITEM_FILE}"] for name in names)
        raise InputError(f"must describe the same items as {first}", file=second)
    customers, decisions, events = (pl.concat(frames) for frames in zip(*parts, strict=True))
    return Imported(
        catalogue=catalogues[0],
        schema=page_schema(split, len(catalogues[0].products)),
        customers=customers,
        decisions=decisions,
        events=events,
        intake=intake,
        sources=sources,
        unidentified=UNIDENTIFIED,
    )


def _sources(source: Path, names: tuple[Logging, ...]) -> dict[str, Path]:
    if not source.is_dir():
        raise InputError(f"must be a directory that holds {', '.join(f'{n}/{CAMPAIGN}' for n in names)}", file=source)
    files = [f"{name}/{CAMPAIGN}/{file}" for name in names for file in (ITEM_FILE, LOG_FILE)]
    return {file: source / file for file in files}


def _items(intake: Intake, name: Logging, sources: dict[str, Path]) -> list[Item]:
    """The items in the order of their ids, which are 0, 1, 2 ... without a gap."""
    label = f"{name}/{CAMPAIGN}/{ITEM_FILE}"
    path = sources[label]
    items = sorted(intake.accept(path, csv_rows(path, ITEM_COLUMNS), _item, label))
    if [item.number for item in items] != list(range(len(items))):
        raise InputError("must hold each item_id from 0 on once", file=path, field="item_id")
    return items


def _item(row: Row) -> Item:
    cells = {**row.fields, **{n: floating(row.fields[n]) for n in ("item_id", "item_feature_0")}}
    return Item(
        number=int(number(cells, "item_id", 0, 999, whole=True)),
        level=number(cells, "item_feature_0", -1e6, 1e6),
        codes=tuple(row.fields[name] for name in ITEM_COLUMNS[2:]),
    )


def _shown(intake: Intake, name: Logging, sources: dict[str, Path], items: int) -> list[Shown]:
    label = f"{name}/{CAMPAIGN}/{LOG_FILE}"
    affinity = tuple(f"user-item_affinity_{i}" for i in range(items))
    rows = csv_rows(sources[label], (*LOG_COLUMNS, *affinity))
    return intake.accept(sources[label], rows, lambda row: _row(row, name, affinity), label)


def _row(row: Row, name: Logging, affinity: tuple[str, ...]) -> Shown:
    numbers = ("item_id", "click", "propensity_score", *affinity)
    cells = {**row.fields, **{column: floating(row.fields[column]) for column in numbers}}
    propensity = number(cells, "propensity_score", 0, 1)
    if propensity < LEAST_PROPENSITY:
        raise BadRowError("propensity_score must be in (0, 1]")
    if name == "random" and abs(propensity - 1 / len(affinity)) > ROUNDING:
        raise BadRowError(f"propensity_score must be 1/{len(affinity)}, as random as the policy is")
    return Shown(
        customer_id=f"{name}-{row.number:06d}",
        at=_instant(row.fields["timestamp"]),
        treatment=f"item-{int(number(cells, 'item_id', 0, len(affinity) - 1, whole=True)):02d}",
        position=choice(cells, "position", POSITIONS),
        codes=tuple(_code(row.fields[f"user_{c}"], known) for c, known in KNOWN_CODES.items()),
        past_clicks=tuple(number(cells, column) for column in affinity),
        clicked=number(cells, "click", 0, 1, whole=True) == 1,
        propensity=propensity,
    )


def _code(cell: str, known: tuple[str, ...]) -> str:
    """A hashed code by its first characters; rare ones, and those of other samples, are alike."""
    return cell[:CODE_LENGTH] if cell[:CODE_LENGTH] in known else OTHER


def _instant(cell: str) -> datetime:
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        raise BadRowError("timestamp must be a time such as 2019-11-24 00:03:13+00:00") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _tables(name: Logging, rows: list[Shown], items: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Customers, decisions and events of one policy's log."""
    frame = pl.DataFrame(rows, schema=SHOWN, orient="row")
    clicks = frame["past_clicks"].list.to_struct(fields=[AFFINITY.format(i) for i in range(items)]).struct.unnest()
    codes = frame["codes"].list.to_struct(fields=list(KNOWN_CODES)).struct.unnest()
    customers = frame.select("customer_id", "position", valid_from="at").hstack(codes).hstack(clicks)
    even = [0.0] + [1 / items] * items
    decision = pl.format("{}-page", "customer_id")
    decisions = frame.select(
        decision_id=decision,
        customer_id="customer_id",
        at="at",
        **unknown("trigger"),
        mask=pl.lit([True] * (items + 1), pl.List(pl.Boolean)),  # nothing was forbidden; nothing was never tried
        treatment="treatment",
        propensity=pl.lit(1 / items) if name == "random" else pl.col("propensity"),
        probabilities=pl.lit(even if name == "random" else None, pl.List(pl.Float64)),
        **unknown("policy_digest", "rules_digest"),
        prices=pl.struct(annoyance=pl.lit(0.0)),
        assignment=pl.lit(ASSIGNMENT[name]),
    )
    events = frame.filter("clicked").select(
        event_id=pl.format("{}-click", "customer_id"),
        customer_id="customer_id",
        at=(pl.col("at") + pl.duration(seconds=1)).cast(INSTANT),
        event=pl.lit("engaged"),
        channel=pl.lit("page"),
        product="treatment",
        value=pl.lit(None, pl.Float64),
        decision_id=decision,
    )
    return customers, decisions, events


SHOWN = {
    "customer_id": pl.String(),
    "at": INSTANT,
    "treatment": pl.String(),
    "position": pl.String(),
    "codes": pl.List(pl.String()),
    "past_clicks": pl.List(pl.Float64()),
    "clicked": pl.Boolean(),
    "propensity": pl.Float64(),
}
