"""Reading a log: canonical tables in, one row per decision with everything that followed it out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from envs.records import made_at
from envs.reward import PRESSURE_FIELD, PRESSURE_UNIT, contact_annoyance
from envs.schema import Column
from envs.tables import Tables, read_tables
from evaluation.came_in import CHANNEL, came_in
from evaluation.log import Log, steps_of
from evaluation.propensity import PropensityModel, estimate_propensity
from evaluation.whom import Part, assigned, in_test, nobody, nothing
from evaluation.windows import window_amounts, window_responses

DAY = 86_400e6  # microseconds
SEED = 0  # of the choice between propensity models, so that every reader of a log sees the same propensities


def read_log(tables: Path | str | Tables, part: Part = "test", assignment: str | None = None) -> Log:
    """The log of the train, test or all customers of a directory of canonical tables.

    part:       by the hash of the customer's id, as the schema's split says
    assignment: keep the decisions of customers who were assigned so throughout, e.g. "randomised"; None: all

    What a shadow decided was not carried out, and is left out.

    The reward of a decision is everything of that customer in (at, next decision's at]; the last decision
    reaches to the end of a finite task, or over the schema's window. Missing propensities are estimated on the
    training customers, of each of them by the others, and marked so.
    """
    return read_logs(tables, (part,), assignment)[0]


def read_logs(tables: Path | str | Tables, parts: Sequence[Part], assignment: str | None = None) -> tuple[Log, ...]:
    """Several parts, as `read_log` reads each; propensities are estimated once."""
    source = tables if isinstance(tables, Tables) else read_tables(Path(tables))
    decisions = assigned(source.decisions, assignment)
    if not decisions.height:
        raise nothing(source.path, assignment)
    test = in_test(decisions["customer_id"], source)
    wanted = {"test": test, "train": ~test, "all": np.ones(len(test), dtype=bool)}
    for part in parts:
        if not wanted[part].any():
            raise nobody(source, part, decisions["customer_id"].n_unique())
    estimated = known_propensities(decisions, source).null_count() > 0
    model = propensity_model(source, decisions, ~test) if estimated else None
    return tuple(log_of(source, decisions.filter(wanted[part]), model, last_moment(source)) for part in parts)


def last_moment(tables: Tables) -> int:
    """The last thing that tables hold, in microseconds since 1970-01-01."""
    return int(max(_microseconds(frame["at"]).max(initial=0) for frame in (tables.decisions, tables.events)))


def customer_labels(tables: Tables, log: Log) -> dict[str, np.ndarray]:
    """Labels of the log's customers, (customers,) str each: categories and flags of the profile, `month`, `channel`.

    As of the customer's first decision: what was known then. A flag is `yes` or `no`. `channel`: where `came_in` tells
    customers apart.
    """
    found = known_at_first(tables, log, [column for column in tables.schema.columns if column.type != "number"])
    labels = {name: found[name].fill_null("unknown").to_numpy().astype(str) for name in found.columns[1:]}
    labels["month"] = found["at"].dt.strftime("%Y-%m").to_numpy().astype(str)
    by = came_in(tables, log)
    return labels | ({CHANNEL: by} if len(np.unique(by)) > 1 else {})


def known_at_first(tables: Tables, log: Log, columns: Sequence[Column]) -> pl.DataFrame:
    """`at` and some columns of the profile, a row for each customer: as of the customer's first decision.

    Numbers as they are, categories as they are named, flags as `yes` or `no`.
    """
    first = pl.DataFrame({"customer_id": log.customer_id[log.step == 0], "at": log.at[log.step == 0]})
    first = first.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC"))).with_row_index("row").sort("at")
    wanted = {column.name: _told(column) for column in columns}
    profile = tables.customers.select("customer_id", pl.col("valid_from").alias("at"), **wanted).sort("at")
    found = first.join_asof(profile, on="at", by="customer_id", strategy="backward", check_sortedness=False)
    return found.sort("row").select("at", *wanted)


def _told(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    if column.type == "flag":
        return pl.when(value > 0).then(pl.lit("yes")).when(value == 0).then(pl.lit("no"))
    return value.cast(pl.Float64 if column.type == "number" else pl.String)


def log_of(tables: Tables, decisions: pl.DataFrame, model: PropensityModel | None, until: int) -> Log:
    """The log of some decisions, whole customers.

    until: moment up to which outcomes are known, see `last_moment`; where the schema says a later one, that
    """
    catalogue, task = tables.catalogue, tables.schema.task
    if task.observed_until is not None:
        until = max(until, int(task.observed_until.timestamp() * 1e6))
    ends = window_ends(decisions, tables)
    amounts = window_amounts(decisions, ends, tables)
    contacts = _contacts(decisions, ends, tables)
    customer = _index(decisions["customer_id"])
    step = steps_of(customer)
    observation, mask = _matrix(decisions["observation"], np.float32), masks(decisions, tables)
    treatment = positions(decisions["treatment"], catalogue.treatment_ids)
    last = np.r_[customer[1:] != customer[:-1], True]
    more: dict[str, Any] = window_responses(decisions, ends, tables)
    estimated = None
    if model is not None:
        more |= {"propensity_source": "estimated", "propensity_note": model.note}
        named = decisions["customer_id"].to_numpy().astype(str)
        estimated = model.of(named, observation, mask, _steps_of_task(decisions, tables))
        more["estimated"] = estimated.astype(np.float32)
    names = tables.encoder.price_names
    return Log(
        customer=customer,
        step=step,
        observation=observation,
        mask=mask,
        treatment=treatment,
        propensity=_propensities(decisions, tables, treatment, estimated),
        behaviour=_behaviour(decisions),
        margin=amounts["margin"],
        cost=amounts["cost"] + contacts.cost,
        annoyance=amounts["annoyance"] + contacts.annoyance,
        effort=contacts.effort,
        gap_days=(ends - _microseconds(decisions["at"])) / DAY,
        seen_days=_seen_days(decisions, ends, until),
        terminated=last & (task.kind == "finite") | last & _churned(decisions, ends, tables),
        customer_id=decisions["customer_id"].to_numpy().astype(str),
        decision_id=decisions["decision_id"].to_numpy().astype(str),
        at=_microseconds(decisions["at"]).astype("datetime64[us]"),
        gamma=task.gamma,
        treatments=catalogue.treatment_ids,
        pools=catalogue.pool_ids,
        logged_prices=logged_prices(decisions, names),
        price_columns=tables.encoder.price_columns,
        price_scales=dict(zip(names, tables.encoder.price_highs.tolist(), strict=True)),
        kind=task.kind,
        currency=catalogue.currency,
        annoyance_missing=task.annoyance_missing,
        **more,
    )


def window_ends(decisions: pl.DataFrame, tables: Tables) -> np.ndarray:  # (rows,) int64, microseconds
    """When each decision's outcomes stop counting: the next decision, or the end of task or window.

    A finite task ends `end_day` days after the customer's first decision; a continuing one counts outcomes for
    `window_days` after the last decision.
    """
    task, at = tables.schema.task, _microseconds(decisions["at"])
    customer = _index(decisions["customer_id"])
    last = np.r_[customer[1:] != customer[:-1], True]
    first = at[np.r_[True, last[:-1]]][customer]
    if task.kind == "finite":
        closing = first + int(task.end_day * DAY)
    else:
        closing = at + int(task.window_days * DAY)
    following = np.r_[at[1:], 0]
    return np.asarray(np.where(last, np.maximum(closing, at), following))


def _seen_days(decisions: pl.DataFrame, ends: np.ndarray, last: int) -> np.ndarray | None:  # (rows,) float64
    """How much of each window lies before the last thing that the tables hold; None: all windows do."""
    at = _microseconds(decisions["at"])
    return None if (ends <= last).all() else np.asarray((np.minimum(ends, last) - at) / DAY)


class Contacts(NamedTuple):
    """What the contacts of each decision's window cost."""

    cost: np.ndarray  # (rows,) float64, currency
    annoyance: np.ndarray  # (rows,) float64, opt-outs
    effort: np.ndarray  # (rows, pools) float64


def _contacts(decisions: pl.DataFrame, ends: np.ndarray, tables: Tables) -> Contacts:
    """Each contact counts in the window in which it is made; one that waits for its channel, in a later one perhaps."""
    catalogue, at = tables.catalogue, _microseconds(decisions["at"])
    instant = made_at(catalogue, decisions, tables.events)
    contact = np.flatnonzero(instant.is_not_null())
    option = positions(decisions["treatment"], catalogue.treatment_ids)[contact]
    made = _microseconds(instant.drop_nulls())
    times, turn = np.unique(np.r_[at, made], return_inverse=True)
    order = _index(decisions["customer_id"]) * len(times)  # rows stand by customer, then time
    before = np.searchsorted(order + turn[: len(at)], order[contact] + turn[len(at) :], side="left") - 1
    row = np.where(made > ends[contact], before, contact)
    kept = made <= ends[row]
    row, option = row[kept], option[kept]
    seen = _matrix(decisions["observation"], np.float32)[:, tables.encoder.names.index(PRESSURE_FIELD)]
    felt = contact_annoyance(catalogue, option, seen[row].astype(np.float64) * PRESSURE_UNIT)
    effort = np.zeros((len(at), len(catalogue.pools)))
    np.add.at(effort, row, catalogue.effort[option])
    cost, annoyance = (np.bincount(row, values, len(at)) for values in (catalogue.cost[option], felt))
    return Contacts(cost, annoyance, effort)


def _churned(decisions: pl.DataFrame, ends: np.ndarray, tables: Tables) -> np.ndarray:  # (rows,) bool
    """True where the customer left in the decision's window."""
    left = tables.events.filter(pl.col("event") == "churned").group_by("customer_id").agg(pl.col("at").max())
    joined = decisions.select("customer_id", "at").join(left, "customer_id", "left", maintain_order="left")
    when = joined["at_right"].dt.timestamp("us").fill_null(-1).to_numpy()
    return np.asarray((when > _microseconds(decisions["at"])) & (when <= ends))


def propensity_model(tables: Tables, decisions: pl.DataFrame, train: np.ndarray) -> PropensityModel:
    """Of a log that did not record them, learned on its training rows, (rows,) bool; on all where there are none."""
    rows = decisions.filter(train) if train.any() else decisions
    return estimate_propensity(
        _matrix(rows["observation"], np.float32),
        masks(rows, tables),
        positions(rows["treatment"], tables.catalogue.treatment_ids),
        _steps_of_task(rows, tables),
        rows["customer_id"].to_numpy().astype(str),
        np.random.default_rng(SEED),
    )


def _steps_of_task(decisions: pl.DataFrame, tables: Tables) -> np.ndarray:  # (rows,) int64
    """Position among the customer's decisions; 0 in a continuing task, whose steps are alike."""
    customer = _index(decisions["customer_id"])
    return steps_of(customer) if tables.schema.task.kind == "finite" else np.zeros(len(customer), dtype=np.int64)


def _propensities(
    decisions: pl.DataFrame, tables: Tables, treatment: np.ndarray, estimated: np.ndarray | None
) -> np.ndarray:  # (rows,) float64
    """As logged; where that is missing, as estimated."""
    known = known_propensities(decisions, tables)
    if estimated is None:
        return known.to_numpy()
    return known.fill_null(pl.Series(estimated[np.arange(len(treatment)), treatment])).to_numpy()


def known_propensities(decisions: pl.DataFrame, tables: Tables) -> pl.Series:  # (rows,) float64
    """As logged, by themselves or within the whole distribution; null where neither is."""
    chosen = pl.Series(positions(decisions["treatment"], tables.catalogue.treatment_ids))
    within = pl.col("probabilities").list.get(pl.lit(chosen), null_on_oob=True)
    return decisions.select(pl.coalesce("propensity", within)).to_series()


def masks(decisions: pl.DataFrame, tables: Tables) -> np.ndarray:  # (rows, treatments) bool
    """The logged masks; a missing one allows everything."""
    width = len(tables.catalogue.treatment_ids)
    everything = pl.lit([True] * width, dtype=pl.List(pl.Boolean))
    return _matrix(decisions.select(pl.col("mask").fill_null(everything)).to_series(), np.bool_)


def logged_prices(decisions: pl.DataFrame, names: tuple[str, ...]) -> np.ndarray:  # (rows, 1 + pools) float64
    """The prices logged with each decision, annoyance first; a missing one is 0: nothing was charged."""
    prices = decisions["prices"]
    return np.stack([prices.struct.field(n).cast(pl.Float64).fill_null(0.0).to_numpy() for n in names], axis=1)


def positions(treatment: pl.Series, ids: tuple[str, ...]) -> np.ndarray:  # (rows,) int64
    """Treatment ids as positions of the catalogue."""
    return treatment.replace_strict(list(ids), list(range(len(ids))), return_dtype=pl.Int64).to_numpy()


def _behaviour(decisions: pl.DataFrame) -> np.ndarray | None:
    column = decisions["probabilities"]
    return None if column.null_count() else _matrix(column, np.float64)


def _matrix(column: pl.Series, kind: type[np.generic]) -> np.ndarray:  # (rows, width)
    """A list column of equal lengths as a matrix."""
    width = len(column[0])
    return np.asarray(column.explode().to_numpy().reshape(len(column), width), dtype=kind)


def _microseconds(at: pl.Series) -> np.ndarray:  # (rows,) int64
    return at.dt.timestamp("us").to_numpy()


def _index(customer_id: pl.Series) -> np.ndarray:  # (rows,) int64
    """0 for the first customer, 1 for the next; rows of a customer stand together."""
    return (customer_id.rle_id()).cast(pl.Int64).to_numpy()
