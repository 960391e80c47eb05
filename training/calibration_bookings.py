"""Conversions that mature, may be cancelled, and carry credit loss: their events, as the response model sees them.

An application is what a contact leads to (the model's `converted`); the day on which it matures follows from the
catalogue, and so does the expected credit loss: the model's amounts are margins before it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from envs.records import DAY, positions
from envs.tables import Tables

BOOKED = "booked"  # the conversion of an application: it brings the margin, but was decided when it was applied for
LEAST_NET = (
    0.05  # share of the margin that credit loss must leave (or exceed it by) for the margin before it to be known
)


def signings(tables: Tables) -> pl.DataFrame:
    """The events, applications called `converted` and what they mature to `booked`; values before credit loss."""
    matures = pl.col("product").is_in([p.id for p in tables.catalogue.products if p.maturing_days > 0])
    event = (
        pl.when(pl.col("event") == "applied")
        .then(pl.lit("converted"))
        .when((pl.col("event") == "converted") & matures)
        .then(pl.lit(BOOKED))
        .otherwise(pl.col("event"))
    )
    share = net_share(tables)
    booking = pl.col("event") == "converted"
    gross = pl.when(share.abs() >= LEAST_NET).then(pl.col("value") / share)
    return tables.events.with_columns(event=event, value=pl.when(booking).then(gross).otherwise(pl.col("value")))


def net_share(tables: Tables) -> pl.Series:  # (events,) float64
    """Margin net of expected credit loss / margin, of each event's customer and product; 1 where there is no loss."""
    events, column = tables.events, tables.schema.credit_column
    share = np.ones(events.height)
    if column is None:
        return pl.Series(share)
    first = tables.customers.sort("valid_from").unique("customer_id", keep="first", maintain_order=True)
    joined = events.select("customer_id").join(
        first.select("customer_id", column), on="customer_id", how="left", maintain_order="left"
    )
    grade = joined[column].cast(pl.Float64).fill_null(0).round().cast(pl.Int64).to_numpy()
    product = positions(events["product"], tables.catalogue.product_ids)
    for number, spec in enumerate(tables.catalogue.products):
        rows = product == number
        share[rows] = spec.net_of_loss(grade[rows])
    return pl.Series(share)


def cancellations(tables: Tables, end: int) -> pl.DataFrame:
    """Each application and conversion that may be cancelled: customer_id, at, product, days under risk, cancelled.

    end: the last instant of the log, microseconds since 1970-01-01
    """
    spec = {p.id: (p.maturing_days, p.cancel_days) for p in tables.catalogue.products if p.cancel_days > 0}
    slow = {product for product, (maturing, _) in spec.items() if maturing > 0}
    mine = tables.events.filter(pl.col("product").is_in(list(spec)))
    # An application is under risk until it matures and for cancel_days after it: followed from the application on.
    first = ((pl.col("event") == "applied") & pl.col("product").is_in(list(slow))) | (
        (pl.col("event") == "converted") & ~pl.col("product").is_in(list(slow))
    )
    signed = mine.filter(first).select("customer_id", "product", "at").sort("at")
    undone = mine.filter(pl.col("event") == "cancelled").select("customer_id", "product", "at", undone=pl.col("at"))
    joined = signed.join_asof(
        undone.sort("at"), on="at", by=["customer_id", "product"], strategy="forward", check_sortedness=False
    )
    at, gone = joined["at"].dt.epoch("us").to_numpy(), joined["undone"].dt.epoch("us")
    risk = np.array([sum(spec[product]) for product in joined["product"]], np.float64)
    after = (gone.fill_null(np.iinfo(np.int64).max).to_numpy() - at) / DAY
    cancelled = after <= risk + 1
    days = np.minimum(np.where(cancelled, after, risk), (end - at) / DAY)
    return joined.select("customer_id", "at", "product").with_columns(
        days=pl.Series(np.maximum(days, 1.0)), cancelled=pl.Series(cancelled)
    )
