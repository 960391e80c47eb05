"""What a log must hold: each check names the field, the value, the row and the need; rows are counted from 0."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.errors import InputError
from envs.table_checks import LARGEST_AMOUNT, LEAST_PROPENSITY, ORDER, ROUNDING

if TYPE_CHECKING:
    from evaluation.log import Log

AMOUNTS = ("margin", "cost", "annoyance", "effort")


def check_log(log: Log) -> None:
    """Refuse what no estimator can use, naming the first row at fault."""
    if not len(log.customer):
        raise InputError("must hold at least one decision", field="log")
    _check_shapes(log)
    _check_numbers(log)
    _check_order(log)
    _check_chosen(log)
    if log.behaviour is not None:
        _check_behaviour(log, log.behaviour)


def _check_shapes(log: Log) -> None:
    """A row per decision; a column per treatment, pool or price where there is one of each."""
    n, pools = len(log.customer), len(log.pools)
    columns: dict[str, tuple[int | None, str]] = {
        "observation": (None, "fields"), "mask": (log.width, "treatments"), "behaviour": (log.width, "treatments"),
        "estimated": (log.width, "treatments"),
        "effort": (pools, "pools"), "logged_prices": (1 + pools, "prices, annoyance first"),
    }  # fmt: skip
    for name, value in arrays_of(log).items():
        if len(value) != n:
            raise InputError(f"must have {n} rows", field=name, value=len(value))
        if value.ndim != 1 + (name in columns):
            shape = "(rows, columns)" if name in columns else "(rows,)"
            raise InputError(f"must be of shape {shape}", field=name, value=value.shape)
        width, of = columns.get(name, (None, ""))
        if width is not None and value.shape[1] != width:
            raise InputError(f"must have {width} {of}", field=name, value=value.shape[1])


def _check_numbers(log: Log) -> None:
    """Numbers are there, and such that their products have squares."""
    for name, value in arrays_of(log).items():
        if value.dtype.kind == "f":
            _need(value, np.isfinite(value), name, "must be finite")
        if value.dtype.kind == "M":
            _need(value, ~np.isnat(value), name, "must be an instant")
    for name in AMOUNTS:
        value = getattr(log, name)
        need = f"must lie between -{LARGEST_AMOUNT:g} and {LARGEST_AMOUNT:g}"
        _need(value, np.abs(value) <= LARGEST_AMOUNT, name, need)
    _need(log.propensity, (log.propensity > 0) & (log.propensity <= 1), "propensity", "must be in (0, 1]")
    need = f"must be at least {LEAST_PROPENSITY:g}: no draw chooses what is less likely"
    _need(log.propensity, log.propensity >= LEAST_PROPENSITY, "propensity", need)
    _need(log.gap_days, log.gap_days >= 0, "gap_days", "must be >= 0")
    if log.seen_days is not None:
        right = (log.seen_days >= 0) & (log.seen_days <= log.gap_days)
        _need(log.seen_days, right, "seen_days", "must lie between 0 and gap_days")


def _check_order(log: Log) -> None:
    """Customers stand one after the other, the decisions of each in the order of time."""
    new = np.diff(log.customer, prepend=-1)
    _need(log.customer, (new == 0) | (new == 1), "customer", "must be counted from 0, rows of a customer together")
    step = np.where(new == 1, 0, np.r_[-1, log.step[:-1]] + 1)
    _need(log.step, log.step == step, "step", "must be counted from 0 within a customer")
    later = np.r_[True, log.at[1:] >= log.at[:-1]] | (new == 1)
    _need(log.at, later, "at", ORDER)


def _check_chosen(log: Log) -> None:
    """What was chosen is a treatment that the mask allows."""
    known = (log.treatment >= 0) & (log.treatment < log.width)
    _need(log.treatment, known, "treatment", f"must be in 0..{log.width - 1}")
    allowed = log.mask[np.arange(len(log)), log.treatment]
    _need(log.treatment, allowed, "treatment", "must be one that the mask allows")


def _check_behaviour(log: Log, behaviour: np.ndarray) -> None:
    """Logged distributions are some, agree with the masks, and with the propensities where these were logged."""
    _need(behaviour, behaviour >= 0, "probabilities", "must not be negative")
    total, allowed = behaviour.sum(axis=1), (behaviour * log.mask).sum(axis=1)
    _need(total, np.abs(total - 1) <= ROUNDING, "probabilities", "must sum to 1")
    _need(allowed, allowed >= 1 - 2 * ROUNDING, "probabilities", "must be 0 where the mask forbids")
    if log.propensity_source == "logged":
        chosen = behaviour[np.arange(len(log)), log.treatment]
        right = np.abs(log.propensity - chosen) <= ROUNDING
        _need(log.propensity, right, "propensity", "must be the probability of the logged treatment")


def check_repeated(given: dict[str, np.ndarray], customer: np.ndarray, treatment: np.ndarray, silence: int) -> None:
    """Each decision once: its id, and a treatment other than silence of one customer at one instant.

    given: the columns that somebody named; customer: (n,) labels; treatment: (n,) int; silence: its position
    """
    if "decision_id" in given:
        _need(given["decision_id"], ~_repeats(given["decision_id"]), "decision_id", "must be unique")
    if "at" in given:
        _, who = labels("customer", customer)
        same = _repeats(np.rec.fromarrays([who, given["at"], treatment])) & (treatment != silence)
        _need(customer, ~same, "customer", "must not get one treatment twice at one instant")


def _repeats(values: np.ndarray) -> np.ndarray:  # (n,) bool
    """True where a value stands a second time."""
    out = np.ones(len(values), dtype=bool)
    out[np.unique(values, return_index=True)[1]] = False
    return out


def arrays_of(log: Log) -> dict[str, np.ndarray]:
    """The columns of a log that have a row per decision."""
    found = {item.name: getattr(log, item.name) for item in fields(log)}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def labels(name: str, values: Any) -> tuple[np.ndarray, np.ndarray]:  # (labels,), (n,) int64
    """The labels in order, and the place of each row's among them."""
    found = np.asarray(values)
    if found.dtype.kind in "fO":
        missing = np.array([value is None or value != value for value in found.tolist()], dtype=bool)  # NaN is not NaN
        _need(found, ~missing, name, "must not be missing")
    names, place = np.unique(found.astype(str) if found.dtype.kind == "O" else found, return_inverse=True)
    return names, place


def numbers(name: str, values: Any, kind: type[np.floating[Any]] = np.float64) -> np.ndarray:
    """Values as numbers; InputError where they are none."""
    try:
        return np.asarray(values, dtype=kind)
    except (TypeError, ValueError) as fault:
        raise InputError(f"must hold numbers in rows of one length ({fault})", field=name) from None


def whole(name: str, values: Any) -> np.ndarray:  # (n,) int64
    """Positions: numbers without a fraction."""
    found = numbers(name, values)
    with np.errstate(invalid="ignore"):
        positions = found.astype(np.int64)
    _need(found, positions == found, name, "must be a position, a whole number")
    return positions


def flags(name: str, values: Any) -> np.ndarray:  # bool
    """Yes or no: True or False, 1 or 0."""
    found = np.asarray(values)
    if found.dtype.kind != "b":
        found = numbers(name, values)
        _need(found, (found == 0) | (found == 1), name, "must be True or False")
    return found.astype(bool)


def _need(values: np.ndarray, right: np.ndarray, name: str, need: str) -> None:
    """values, right: (n,) or (n, columns); the first value that is wrong is named, with its row."""
    if not right.all():
        place = tuple(np.argwhere(~right)[0])
        raise InputError(need, field=name, value=_shown(values[place]), row=int(place[0]))


def _shown(value: Any) -> object:
    return str(value) if isinstance(value, np.datetime64) else value
