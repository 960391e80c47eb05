"""Masks by another rule book: what it would have allowed at logged decisions, from all that was known before each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from envs.catalogue import Catalogue
from envs.history import History
from envs.records import WAITS_DAYS, made_at, positions
from envs.replay import look_on
from envs.rules import RuleBook, Rules, Situation
from envs.tables import Tables
from evaluation.log import Log


@dataclass(frozen=True)
class Served:
    """A policy as the service runs it, and at how many logged decisions its rules differ from those of the log."""

    policy: str
    temperature: float
    floor: float
    rules_digest: str
    apart: float  # share of decisions at which its rules allow anything else than the log's did
    opened: float  # share at which they allow what the log's closed: of that the log tells nothing
    closed: float  # share at which they close what the log did


@dataclass(frozen=True)
class Own:
    """How a policy is run, and what its own rules would have allowed."""

    temperature: float
    floor: float
    rules_digest: str
    mask: np.ndarray | None = None  # (n, treatments) bool, at the decisions of the evaluated log; None: it is in shards
    training: np.ndarray | None = None  # at those of the training log, where there is one


@dataclass(frozen=True)
class Apart:
    """At how many of some decisions a policy's own rules differ from those of the log."""

    apart: int
    opened: int
    closed: int

    @classmethod
    def of(cls, log: Log, mask: np.ndarray) -> Apart:
        """mask: (n, treatments) bool, as the policy's own rules have it at the log's decisions"""
        done = mask[np.arange(len(log)), log.treatment]
        apart, opened = (mask != log.mask).any(axis=1), (mask & ~log.mask).any(axis=1)
        return cls(*(int(some.sum()) for some in (apart, opened, ~done)))

    def served(self, policy: str, temperature: float, floor: float, rules_digest: str, decisions: int) -> Served:
        """As shares of so many decisions."""
        shares = (count / decisions for count in (self.apart, self.opened, self.closed))
        return Served(policy, temperature, floor, rules_digest, *shares)


def remasked(tables: Tables, rules: Rules, log: Log) -> np.ndarray:  # (n, treatments) bool
    """What a rule book would have allowed at every decision of a log that was read from these tables.

    Contacts that were made and events that happened are the log's: it is asked one decision at a time.
    """
    catalogue, schema = tables.catalogue, tables.schema
    book, ids = RuleBook(rules, catalogue, schema), np.unique(log.customer_id).tolist()
    customers, decisions, events = (
        frame.filter(pl.col("customer_id").is_in(ids)) for frame in (tables.customers, tables.decisions, tables.events)
    )
    trigger, busy = positions(decisions["trigger"], schema.triggers), waiting(catalogue, decisions, events)
    out = np.zeros((decisions.height, len(catalogue.treatment_ids)), bool)

    def look(profile: np.ndarray, history: History, rows: np.ndarray) -> None:
        out[rows] = book.mask(Situation(profile, history, trigger[rows], busy[rows]))

    look_on(catalogue, schema, customers, decisions, events, look)
    place = {decision: row for row, decision in enumerate(decisions["decision_id"].to_list())}
    return out[[place[decision] for decision in log.decision_id.tolist()]]


def waiting(catalogue: Catalogue, decisions: pl.DataFrame, events: pl.DataFrame) -> np.ndarray:  # (decisions,) int64
    """The channel on which a contact that was decided before still waits to be made, as a position; -1: none."""
    delaying = [name for name, late in zip(catalogue.treatment_ids, catalogue.delays, strict=True) if late]
    carried_out = pl.col("treatment").is_in(delaying) & pl.col("assignment").ne_missing("shadow")
    before = decisions.with_columns(made=made_at(catalogue, decisions, events)).filter(carried_out)
    still = pl.col("made").is_null() | (pl.col("made") >= pl.col("at"))
    late = (pl.col("decided") < pl.col("at")) & (pl.col("at") - pl.col("decided") < pl.duration(days=WAITS_DAYS))
    found = (
        decisions.select("customer_id", "at", row=pl.int_range(pl.len(), dtype=pl.Int64))
        .join(before.select("customer_id", "treatment", "made", decided="at"), on="customer_id")
        .filter(late & still)
        .sort("row", "decided")
        .unique("row", keep="last", maintain_order=True)
    )
    out = np.full(decisions.height, -1, np.int64)
    out[found["row"].to_numpy()] = catalogue.channel_of[positions(found["treatment"], catalogue.treatment_ids)]
    return out
