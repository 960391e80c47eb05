"""The door of an evaluation: whether policies, logs, kinds and labels fit each other, said before any work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

import numpy as np

from agents.price_range import told_prices, warn_of_logged
from envs.errors import InputError
from envs.prices import Prices
from evaluation.adapt import LOGGED, Adapted
from evaluation.changes import Kinds
from evaluation.log import Log
from evaluation.regression import TreatmentFeatures


def one_of(name: str, chosen: tuple[Adapted, ...], field: str = "reference") -> str:
    """The name, if it is a policy's or the log's."""
    names = [LOGGED, *(p.name for p in chosen)]
    if name not in names:
        raise InputError(f"must be one of: {', '.join(names)}", field=field, value=name)
    return name


def kinds_of(kinds: Sequence[str] | None, log: Log) -> Kinds:
    """What treatments are alike; by default each is a kind of its own."""
    names = log.treatments if kinds is None else tuple(str(kind) for kind in kinds)
    if len(names) != log.width:
        raise InputError(f"must name a kind for each of {log.width} treatments", field="kinds", value=len(names))
    return Kinds.named(names)


def labelled(labels: Mapping[str, np.ndarray] | None, log: Log) -> Mapping[str, np.ndarray]:
    """Labels of every customer, by dimension; by default none."""
    for name, of in (labels or {}).items():
        if np.shape(of) != (log.customers,):
            need = f"must label each of {log.customers} customers"
            raise InputError(need, field=f"labels[{name}]", value=np.shape(of))
    return labels or {}


def check_treatments(policies: Iterable[object], log: Log) -> None:
    """Policies that know their catalogue decide over the treatments of the log, in its order."""
    for policy in policies:
        manifest = getattr(policy, "manifest", None)
        known = None if manifest is None else tuple(manifest.treatments)
        if known is not None and known != log.treatments:
            other = next((a for a, b in zip_longest(known, log.treatments) if a != b), None)
            need = f"must be the log's, which are of another catalogue: {', '.join(log.treatments)}"
            field = f"treatments of policy {getattr(policy, 'name', '')}"
            raise InputError(need, field=field, value=other or len(known))


def features_of(attributes: np.ndarray | None, groups: np.ndarray | None, log: Log) -> TreatmentFeatures:
    """How models tell treatments apart. attributes: (treatments, attributes); groups: (treatments,) int"""
    width = len(log.treatments)
    values = np.zeros((width, 0)) if attributes is None else np.asarray(attributes, dtype=np.float64)
    if values.ndim != 2 or len(values) != width:
        raise InputError(f"must have a row for each of {width} treatments", field="attributes", value=values.shape)
    return TreatmentFeatures(values, groups)


def check_training(log: Log, training: Log | None) -> None:
    """The training log must speak of the same treatments and fields, and of other customers."""
    if training is None:
        return
    if training.treatments != log.treatments:
        raise InputError("must list the same treatments as the log", field="training_log")
    if training.observation.shape[1] != log.observation.shape[1]:
        raise InputError(
            f"must have {log.observation.shape[1]} fields, as the log",
            field="training_log.observation",
            value=training.observation.shape[1],
        )
    both = np.intersect1d(training.customer_id, log.customer_id)
    if len(both):
        raise InputError("must not be a customer of the evaluated log", field="training_log", value=str(both[0]))


def check_prices(policies: Iterable[object], log: Log, prices: Prices | None) -> None:
    """Prices that are named must lie where artifacts were trained; of logged ones a warning says how many do not."""
    if prices is not None:
        told_prices(policies, prices, log.pools)
    elif log.logged_prices is not None:
        warn_of_logged(policies, log.logged_prices, ("annoyance", *log.pools))
