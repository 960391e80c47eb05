"""Counting: canonical tables in, `Counts` out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from envs.counts import CONTACT_BINS, CONVERSION_BINS, KINDS, Counts
from envs.leads import DAY, ENGAGEMENT, GONE, MEANING, OVER, SIGN, follow_all
from envs.observed import People, Period, contacts_of, happened, inside, people_of, period_of
from envs.reward import contact_annoyance, event_amounts
from envs.schema import Schema
from envs.tables import Tables

PATIENCE = 7.0  # days for which a lead stays open; assumed: the half-life with which the last contact fades


def counts_of(
    tables: Tables, *, period: Period | None = None, patience: float = PATIENCE, assets: str | None = None
) -> Counts:
    """The counts of the customers of the tables.

    period:   default, that of the tables; customers who come later or left before are not counted
    patience: days for which a lead stays open
    assets:   column of customers.parquet with the assets under management at the start, in currency; of a column
              whose unit starts with log10, powers of ten are taken; None: the log does not say
    """
    return blocks_of(tables, 1, period=period, patience=patience, assets=assets)[0]


def blocks_of(
    tables: Tables, blocks: int, *, period: Period | None = None, patience: float = PATIENCE, assets: str | None = None
) -> list[Counts]:
    """The same for `blocks` parts of the customers, by a hash of the id: the units of a jackknife."""
    period = period or period_of(tables)
    people = people_of(tables, period, blocks, assets)
    contacts = contacts_of(tables, people, period)
    rows = happened(tables, contacts, people, period)
    written = np.tile(recorded(tables.schema, tables.events["event"].unique()), (blocks, 1))
    found = {"recorded": written, **_of_customers(rows, people, tables, period), **_of_events(rows, people, tables)}
    found |= {**_of_reward(tables, contacts, people, period), **_of_leads(rows, people, tables, period, patience)}
    return [Counts(**{name: _plain(each[block]) for name, each in found.items()}) for block in range(blocks)]


def recorded(schema: Schema, seen: Iterable[str]) -> np.ndarray:  # (kinds,) bool
    """Kinds of events that a log writes down: those that the schema's reward or annoyance reads, and those seen."""
    task = schema.task
    named = {*task.reward.margin_per_value, *task.reward.margin_per_event, *task.reward.cost_per_value}
    named |= set(task.annoyance_events) - set(task.annoyance_missing)
    named |= {"contacted", *seen}
    return np.array([kind in named for kind in KINDS])


def _plain(value: np.ndarray | np.generic) -> Any:
    return value.item() if value.ndim == 0 else value


def _of_customers(rows: pl.DataFrame, people: People, tables: Tables, period: Period) -> dict[str, np.ndarray]:
    """What is counted once per customer."""
    catalogue, everyone = tables.catalogue, np.arange(len(people.block))
    channels, count = len(catalogue.channels), len(everyone)
    selling = np.array([*(p.selling for p in catalogue.products), True])
    who, kind, channel, product = (rows[name].to_numpy() for name in ("who", "kind", "channel", "product"))
    contacted = kind == KINDS.index("contacted")
    converted = (kind == KINDS.index("converted")) & selling[product]
    conversions = np.bincount(who[converted], minlength=count)
    contacts = np.bincount(who[contacted], minlength=count)
    met, active = np.zeros((2, count, channels + 1), bool)
    met[who[contacted], channel[contacted]] = True
    engaged = kind == KINDS.index("engaged")
    active[who[engaged], channel[engaged]] = True
    for position, came in _came_in(tables, people, period):
        active[came, position] = True
    met, active = met[:, :channels], active[:, :channels]
    pairs = [people.sums(rows, (columns, channels)) for rows, columns in (met.nonzero(), active.nonzero())]
    return {
        "customers": people.sums(everyone),
        "days": people.total(people.days),
        "contacts_histogram": people.sums(everyone, (np.minimum(contacts, CONTACT_BINS - 1), CONTACT_BINS)),
        "conversions_histogram": people.sums(everyone, (np.minimum(conversions, CONVERSION_BINS - 1), CONVERSION_BINS)),
        "channels_histogram": people.sums(everyone, (active.sum(axis=1), channels + 1)),
        "channel_customers": np.stack(pairs, axis=1),
        "newcomers": people.sums(np.flatnonzero(people.newcomer)),
        "newcomers_converted": people.sums(np.flatnonzero(people.newcomer & (conversions > 0))),
        "churned": people.sums(np.unique(who[kind == KINDS.index("churned")])),
        "assets": people.total(people.assets),
    }


def _came_in(tables: Tables, people: People, period: Period) -> list[tuple[int, np.ndarray]]:
    """Channel by channel, who came in by it: by its event, or by the trigger of a decision."""
    names = {"customer_id": pl.col("customer_id"), "at": pl.col("at")}
    moments = [tables.events.select(**names, moment="event"), tables.decisions.select(**names, moment="trigger")]
    seen = pl.concat(moments).filter(inside(period))
    known = seen.select("customer_id", "moment").unique().join(people.frame, "customer_id")
    return [
        (position, known.filter(pl.col("moment") == channel.inbound)["who"].to_numpy())
        for position, channel in enumerate(tables.catalogue.channels)
        if channel.inbound is not None
    ]


def _of_events(rows: pl.DataFrame, people: People, tables: Tables) -> dict[str, np.ndarray]:
    """Events and their values, by kind, channel and product."""
    catalogue = tables.catalogue
    sizes = (len(KINDS), len(catalogue.channels) + 1, len(catalogue.products) + 1)
    keys = [(rows[name].to_numpy(), size) for name, size in zip(("kind", "channel", "product"), sizes, strict=True)]
    who = rows["who"].to_numpy()
    return {"events": people.sums(who, *keys), "values": people.sums(who, *keys, weight=rows["value"].to_numpy())}


def _of_reward(tables: Tables, contacts: pl.DataFrame, people: People, period: Period) -> dict[str, np.ndarray]:
    """The parts of the reward, by the functions that simulator and evaluation use, and effort."""
    catalogue, missing = tables.catalogue, tables.schema.task.annoyance_missing
    option, who, pressure = (contacts[name].to_numpy() for name in ("option", "who", "pressure"))
    amounts = event_amounts(tables.events.filter(inside(period)), tables.schema).join(people.frame, "customer_id")
    ids = list(catalogue.product_ids)
    product = amounts["product"].replace_strict(ids, list(range(len(ids))), default=len(ids), return_dtype=pl.Int64)
    whose = amounts["who"].to_numpy()
    margin, cost, annoyance = (amounts[name].to_numpy() for name in ("margin", "cost", "annoyance"))
    felt = people.sums(who, weight=contact_annoyance(catalogue, option, pressure)) + people.sums(
        whose, weight=annoyance
    )
    effort = [people.sums(who, weight=catalogue.effort[option, pool]) for pool in range(len(catalogue.pools))]
    return {
        "effort": np.stack(effort, axis=1) if effort else np.zeros((people.blocks, 0)),
        "margin": people.sums(whose, (product.to_numpy(), len(ids) + 1), weight=margin),
        "contact_cost": people.sums(who, weight=catalogue.cost[option]),
        "benefit_cost": people.sums(whose, weight=cost),
        "annoyance": felt + (np.nan if missing else 0.0),
    }


def _of_leads(
    rows: pl.DataFrame, people: People, tables: Tables, period: Period, patience: float
) -> dict[str, np.ndarray]:
    """Leads and hand-overs, followed for each customer and product that sells."""
    catalogue = tables.catalogue
    channels, products = len(catalogue.channels), len(catalogue.products)
    leads = np.zeros((people.blocks, channels + 1, 3), np.int64)
    hand_overs = np.zeros((people.blocks, channels + 1, channels, 4))
    names = [kind for kind in KINDS if kind in MEANING]
    known, means = [KINDS.index(name) for name in names], [MEANING[name] for name in names]
    selling = [position for position, product in enumerate(catalogue.products) if product.selling]
    about = rows.filter(pl.col("kind").is_in(known) & pl.col("product").is_in(selling))
    about = about.with_columns(
        thread=pl.col("who") * products + pl.col("product"),
        meaning=pl.col("kind").replace_strict(known, means, return_dtype=pl.Int64),
    ).select("thread", "at", "meaning", "channel", "who")
    threads = about.filter(pl.col("meaning").is_in([ENGAGEMENT, SIGN])).select("thread", "who").unique()
    about = about.join(threads, "thread", "semi")  # where no lead opens there is nothing to follow
    gone = threads.join(people.frame.filter(pl.col("left").is_not_null()), "who")
    last = [(gone, pl.col("left"), GONE), (threads, pl.lit(period.end), OVER)]
    ends = [
        frame.select("thread", at.cast(about.schema["at"]).alias("at"), meaning=meaning, channel=channels, who="who")
        for frame, at, meaning in last
    ]
    every = pl.concat([about, *ends], how="vertical_relaxed").sort("thread", "at", "meaning", "channel")
    thread, meaning, channel, who = (every[name].to_numpy() for name in ("thread", "meaning", "channel", "who"))
    minute = every["at"].dt.epoch("us").to_numpy() // 60_000_000
    follow_all(thread, people.block[who], meaning, channel, minute, round(patience * DAY), leads, hand_overs)
    return {"leads": leads, "hand_overs": hand_overs}
