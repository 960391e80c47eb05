"""The log: the one record that everything in evaluation reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from envs.catalogue import SILENCE
from envs.errors import InputError
from envs.prices import Prices, price_field
from evaluation.log_checks import arrays_of, check_log, check_repeated, flags, labels, numbers, whole

Source = Literal["logged", "estimated"]


@dataclass(frozen=True)
class Log:
    """Logged decisions and what followed each, one row per decision, sorted by customer, then time.

    n rows, C customers, F observation fields, A treatments, P pools. Money in `currency`.
    Build one with `evaluation.reading.read_log`, or from arrays with `log_from_arrays`.
    """

    customer: np.ndarray  # (n,) int64, 0 .. C-1, non-decreasing
    step: np.ndarray  # (n,) int64, position among the customer's decisions, from 0
    observation: np.ndarray  # (n, F) float32
    mask: np.ndarray  # (n, A) bool, True where a treatment was allowed
    treatment: np.ndarray  # (n,) int64, the logged treatment
    propensity: np.ndarray  # (n,) float64, probability with which it was chosen, in (0, 1]
    behaviour: np.ndarray | None  # (n, A) float64, the whole logged distribution, where it is known
    margin: np.ndarray  # (n,) float64, until the next decision or the end
    cost: np.ndarray  # (n,) float64
    annoyance: np.ndarray  # (n,) float64, one opt-out is 1
    effort: np.ndarray  # (n, P) float64, units drawn from each pool
    gap_days: np.ndarray  # (n,) float64, days to the next decision or the end
    terminated: np.ndarray  # (n,) bool, True where nothing follows (end of a finite task, churn)
    customer_id: np.ndarray  # (n,) str
    decision_id: np.ndarray  # (n,) str
    at: np.ndarray  # (n,) datetime64[us], UTC
    gamma: float  # discount per day
    treatments: tuple[str, ...]  # ids in position order; 0 is silence
    pools: tuple[str, ...] = ()
    seen_days: np.ndarray | None = None  # (n,) float64, of gap_days those that the log reaches; None: all of them
    complaints: np.ndarray | None = None  # (n,) float64, until the next decision or the end; None: not recorded
    opt_outs: np.ndarray | None = None  # (n,) float64, the same
    logged_prices: np.ndarray | None = None  # (n, 1 + P) float64, annoyance first; None: all prices 0
    price_columns: Mapping[str, int] = field(default_factory=dict)  # price name -> observation column
    price_scales: Mapping[str, float] = field(default_factory=dict)  # price -> top of its range
    propensity_source: Source = "logged"
    propensity_note: str = ""  # how propensities were estimated
    estimated: np.ndarray | None = None  # (n, A) float32, the whole distribution as estimated
    kind: Literal["finite", "continuing"] = "finite"
    currency: str = ""
    annoyance_missing: tuple[str, ...] = ()  # components of annoyance that the log does not record
    steps: int | None = None  # of a part: the most decisions that a customer of the whole log has; None: not a part

    def __post_init__(self) -> None:
        check_log(self)

    def __len__(self) -> int:
        return len(self.customer)

    @cached_property
    def customers(self) -> int:
        """How many customers there are."""
        return int(self.customer[-1]) + 1 if len(self) else 0

    @cached_property
    def horizon(self) -> int:
        """The most decisions that a customer has; of a part of a log, that one of the whole has."""
        return self.steps or (int(self.step.max()) + 1 if len(self) else 0)

    @property
    def width(self) -> int:
        """How many treatments there are, silence among them."""
        return len(self.treatments)

    @cached_property
    def elapsed_days(self) -> np.ndarray:  # (n,) float64
        """Days from the customer's first decision to this one."""
        before = np.cumsum(self.gap_days) - self.gap_days
        return np.asarray(before - before[self.step == 0][self.customer])

    @cached_property
    def discount(self) -> np.ndarray:  # (n,) float64
        """gamma ** days since the customer's first decision."""
        return np.asarray(self.gamma**self.elapsed_days, dtype=np.float64)

    def reward(self, prices: Prices | None = None) -> np.ndarray:  # (n,) float64
        """margin - cost - effort . pool prices - annoyance price * annoyance; None: at the logged prices."""
        if prices is None:
            vector = self.logged_prices if self.logged_prices is not None else np.zeros((1, 1 + len(self.pools)))
        else:
            vector = prices.vector()[None]
        used = (self.effort * vector[:, 1:]).sum(axis=1)
        return np.asarray(self.margin - self.cost - used - vector[:, 0] * self.annoyance)

    def by_customer(self, values: np.ndarray) -> np.ndarray:  # (C,) float64
        """Sum over each customer's rows."""
        return np.bincount(self.customer, weights=values, minlength=self.customers)

    def padded(self, values: np.ndarray, fill: float = 0.0) -> np.ndarray:  # (C, steps) float64
        """Rows laid out as customers x steps; `fill` where a customer has no such decision."""
        table = np.full((self.customers, self.horizon), fill)
        table[self.customer, self.step] = values
        return table

    @cached_property
    def alive(self) -> np.ndarray:  # (C, steps) bool
        """True where a customer has such a decision."""
        return self.padded(np.ones(len(self))) > 0

    def rows(self, keep: np.ndarray | slice) -> Log:
        """The log of some rows, (n,) bool or a slice; steps are counted anew, customers without rows vanish.

        Rows in the middle of a customer's history must not be dropped: their outcomes would be lost.
        """
        chosen: dict[str, Any] = {name: column[keep] for name, column in arrays_of(self).items()}
        _, chosen["customer"] = np.unique(chosen["customer"], return_inverse=True)
        chosen["step"] = steps_of(chosen["customer"])
        return replace(self, **chosen)

    def select(self, keep: np.ndarray) -> Log:
        """The log of some customers, (C,) bool."""
        return self.rows(np.asarray(keep, dtype=bool)[self.customer])

    def observation_at(self, prices: Prices | None) -> np.ndarray:  # (n, F) float32
        """The observations with their price fields set to these prices; None: as they were logged."""
        if prices is None or not self.price_columns:
            return self.observation
        observed = self.observation.copy()
        named = dict(zip(("annoyance", *self.pools), prices.vector(), strict=True))
        for name, column in self.price_columns.items():
            observed[:, column] = price_field(named[name], self.price_scales.get(name, 1.0))
        return observed

    @cached_property
    def state(self) -> np.ndarray:  # (n, F - prices) float32
        """The observation without price fields: prices act on decisions, never on what a customer does."""
        return np.delete(self.observation, list(self.price_columns.values()), axis=1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what the estimates depend on."""
        content = Digest()
        content.read(self)
        return content.hexdigest()


ROWS = frozenset(f.name for f in fields(Log) if str(f.type).startswith("np.ndarray"))  # columns, a row per decision


class Digest:
    """SHA-256 of what estimates depend on, of a log that comes part by part: the same however it is divided."""

    COLUMNS = ("observation", "mask", "treatment", "propensity", "margin", "cost", "annoyance", "effort", "gap_days",
               "terminated")  # fmt: skip

    def __init__(self) -> None:
        self._columns = {name: hashlib.sha256() for name in ("log", "customer_id", *self.COLUMNS)}

    def read(self, part: Log) -> None:
        """The next customers."""
        self._columns["log"] = hashlib.sha256(repr((part.gamma, part.treatments, part.pools)).encode())
        self._columns["customer_id"].update("".join(f"{name}\n" for name in part.customer_id).encode())
        for name in self.COLUMNS:
            self._columns[name].update(np.ascontiguousarray(getattr(part, name)).tobytes())

    def hexdigest(self) -> str:
        """Of everything read so far."""
        return hashlib.sha256("".join(c.hexdigest() for c in self._columns.values()).encode()).hexdigest()


def steps_of(customer: np.ndarray) -> np.ndarray:  # (n,) int64
    """Position of each row among its customer's rows; equal customers stand together."""
    first = np.flatnonzero(np.r_[True, customer[1:] != customer[:-1]]) if len(customer) else np.array([], dtype=int)
    return np.arange(len(customer)) - np.repeat(first, np.diff(np.r_[first, len(customer)]))


def log_from_arrays(
    observation: np.ndarray,
    treatment: np.ndarray,
    propensity: np.ndarray,
    margin: np.ndarray,
    *,
    customer: np.ndarray | None = None,
    treatments: tuple[str, ...] | None = None,
    mask: np.ndarray | None = None,
    gamma: float = 1.0,
    **more: Any,
) -> Log:
    """A log from plain arrays, rows in time order within a customer; what is not given is 0 or absent.

    observation: (n, F); treatment: (n,) int; propensity: (n,) in (0, 1]; margin: (n,), the reward if alone
    customer:    (n,) any labels; None: every row its own customer (a one-step log)
    treatments:  ids; None: counted from mask or treatment; more: any other field of Log
    """
    treatment = whole("treatment", treatment)
    names, label = labels("customer", np.arange(len(treatment)) if customer is None else customer)
    rows: dict[str, np.ndarray] = {
        "observation": numbers("observation", observation, np.float32), "treatment": treatment,
        "propensity": numbers("propensity", propensity), "margin": numbers("margin", margin),
    } | {name: _column(name, value) for name, value in more.items() if name in ROWS and value is not None}  # fmt: skip
    if mask is not None:
        rows["mask"] = flags("mask", mask)
    for name, value in {"customer": label, **rows}.items():
        if len(value) != len(treatment):
            raise InputError(f"must have {len(treatment)} rows", field=name, value=len(value))
    check_repeated(rows, names[label], treatment, _silence(treatments))
    order = np.argsort(label, kind="stable")
    index = label[order]
    if treatments is None:
        width = rows["mask"].shape[1] if mask is not None else int(np.max(treatment, initial=0)) + 1
        treatments = (SILENCE, *(f"treatment_{a}" for a in range(1, width)))
    defaults = _defaults(index, len(treatments), len(more.get("pools", ())))
    ids = {"customer_id": names[index].astype(str), "decision_id": order.astype(str)}
    given = {name: value[order] for name, value in rows.items()}
    try:
        return Log(
            customer=index,
            step=steps_of(index),
            gamma=gamma,
            treatments=treatments,
            **{**defaults, **ids, **more, **given},
        )
    except InputError as fault:  # rows are those of the arrays, before they are sorted
        row = None if fault.row is None else int(order[fault.row])
        raise InputError(fault.need, field=fault.field, value=fault.value, row=row) from None


def _silence(treatments: tuple[str, ...] | None) -> int:
    return 0 if treatments is None or SILENCE not in treatments else treatments.index(SILENCE)


def _column(name: str, values: Any) -> np.ndarray:
    """A column of `log_from_arrays` that was given by name."""
    if name == "terminated":
        return flags(name, values)
    if name in ("customer_id", "decision_id"):
        return np.asarray(values).astype(str)
    return np.asarray(values, dtype="datetime64[us]") if name == "at" else numbers(name, values)


def _defaults(index: np.ndarray, treatments: int, pools: int) -> dict[str, Any]:
    """Columns that were not given. index: (n,) customers"""
    n, zeros = len(index), np.zeros(len(index))
    return {
        "mask": np.ones((n, treatments), dtype=bool), "behaviour": None, "cost": zeros, "annoyance": zeros,
        "effort": np.zeros((n, pools)), "gap_days": np.ones(n), "at": np.zeros(n, dtype="datetime64[us]"),
        "terminated": np.r_[index[1:] != index[:-1], True] if n else np.zeros(0, dtype=bool),
    }  # fmt: skip
