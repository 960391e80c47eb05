"""A part of a log laid out as the estimators read it: customers x decisions, without observations and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evaluation.diagnostics import group_weights
from evaluation.estimators import Inputs
from evaluation.late import caught_up
from evaluation.lead import Lead
from evaluation.log import Log
from evaluation.offered import Offered
from evaluation.reward_model import Modelled, priced
from evaluation.settings import EvaluationSettings
from evaluation.shards import Shard
from evaluation.study import COMPONENTS, REWARD, Study, amounts

UNDISCOUNTED, CAUGHT_UP = "undiscounted", "caught_up"
LOGGING = -1  # position of the logging policy

Parts = Callable[[], Iterator["Part"]]  # every part of a log in the order of its customers, as often as needed


@dataclass(frozen=True)
class Needs:
    """Which models the estimators ask for, the reward's and those of its parts."""

    k: int  # decisions of the k-step value; 0: none is supported
    path: bool
    ratios: bool
    k_of_parts: int
    path_of_parts: bool

    @classmethod
    def of(cls, lead: Lead, needs: frozenset[str], horizon: int, settings: EvaluationSettings) -> Needs:
        """needs: of the lead estimator"""
        k = lead.decisions if lead.kind == "k-step" else 0
        return cls(
            k, horizon > 1 and (settings.full_horizon or lead.model_based), 1 < horizon <= settings.ratio_decisions,
            k if "k" in needs else 0, "path" in needs,
        )  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Some customers of a log, and what policies and models say of them.

    arrays: by name, (customers, H) but for `positive`, `contacts` (a column for the log and each policy), `offers` (a
    column for each product), labels and protected columns, which are by customer; held, or read from a file one at a
    time
    """

    start: int  # customers of the log before these
    customers: int
    pooled: bool
    k: int
    arrays: Mapping[str, np.ndarray] = field(repr=False)

    def inputs(self, policy: int, amount: str) -> Inputs:
        """What estimators need of one policy and amount."""
        of = REWARD if amount in (CAUGHT_UP, UNDISCOUNTED) else amount
        alive, reward, q = self.arrays["alive"], self.maybe("amount", amount), self.arrays[f"q {of}"]
        v = self.maybe("v", policy, of)
        found = Inputs(
            ratio=self.ratio(policy),
            reward=self.arrays[f"amount {of}"] if reward is None else reward,
            discount=self.arrays["discount"],
            alive=alive,
            pooled=self.pooled,
            q=q,
            v=q if v is None else v,
            path_q=self.maybe("path_q", policy, of),
            path_v=self.maybe("path_v", policy, of),
            k=self.k,
            k_q=self.maybe("k_q", policy, of),
            k_v=self.maybe("k_v", policy, of),
            state_ratio=self.maybe("state_ratio", policy),
            weighted_q=self.maybe("weighted_q", policy, of),
            weighted_v=self.maybe("weighted_v", policy, of),
            group_ratio=self.maybe("group_ratio", policy, of),
        )
        # Any q with v its expectation leaves the weighted form consistent, so the models may stay discounted.
        return replace(found, discount=alive.astype(np.float64)) if amount == UNDISCOUNTED else found

    def ratio(self, policy: int) -> np.ndarray:  # (customers, H)
        """pi(a|x) / propensity of the logged treatments, 1 where there is no decision."""
        chosen = self.maybe("chosen", policy)
        return np.ones(self.arrays["alive"].shape) if chosen is None else chosen / self.arrays["propensity"]

    def maybe(self, *name: object) -> np.ndarray | None:
        """An array, where it is there."""
        key = " ".join(map(str, name))
        return self.arrays.get(key)

    @property
    def gain(self) -> np.ndarray:  # (customers, H) float64
        """What each decision brought, discounted."""
        return np.asarray(self.arrays["discount"] * self.arrays[f"amount {REWARD}"])

    @property
    def returns(self) -> np.ndarray:  # (customers,) float64
        """What each customer brought, discounted."""
        return np.asarray(self.gain.sum(axis=1))

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Groups of customers, (customers,) str by dimension."""
        return {name.removeprefix("label "): self.arrays[name] for name in self.arrays if name.startswith("label ")}


def laid_out(
    study: Study, log: Log, probabilities: Sequence[np.ndarray], needs: Needs, labels: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays of a part. probabilities: per policy (n, A); labels: by dimension (customers,) str"""
    lay, earned = log.padded, amounts(log, study.prices)
    if log.seen_days is not None:
        earned[CAUGHT_UP] = caught_up(log, earned[REWARD])
    contacts = [log.by_customer(values) for values in (log.treatment > 0, *(1 - p[:, 0] for p in probabilities))]
    chosen = [p[np.arange(len(log)), log.treatment] for p in probabilities]
    out = {
        "alive": log.alive,
        "discount": lay(log.discount),
        "propensity": lay(log.propensity, fill=1.0),
        "positive": log.by_customer(np.maximum(log.margin, 0.0)) > 0,
        "contacts": np.stack(contacts, axis=1),
        **{f"amount {name}": lay(values) for name, values in earned.items()},
        **{f"chosen {i}": lay(values, fill=1.0) for i, values in enumerate(chosen)},
        **{f"label {name}": np.asarray(of).astype(str) for name, of in labels.items()},
    }
    out |= {name: lay(values) for name, values in _answered(log)}
    out |= {name: lay(values) for name, values in _modelled(study, log, probabilities)}
    for i, on in ((LOGGING, None), *enumerate(probabilities)):
        out |= {name: lay(values) for name, values in _ahead(study, log, i, on, needs)}
    if needs.ratios:
        out |= {f"state_ratio {i}": lay(study.state_ratio(log, i), fill=1.0) for i in range(len(probabilities))}
        out[f"state_ratio {LOGGING}"] = lay(np.ones(len(log)), fill=1.0)
    if log.horizon == 1:
        for i, on in enumerate(probabilities):
            out |= {name: lay(values) for name, values in _of_one_policy(study, log, i, on)}
    return out


def laid_beside(shard: Shard, probabilities: Sequence[np.ndarray], offered: Offered) -> dict[str, np.ndarray]:
    """The arrays that fairness reads, none where nothing is protected. probabilities: per policy (n, A)"""
    if not shard.protected:
        return {}
    everyone = ((LOGGING, None), *enumerate(probabilities))
    offers = {f"offers {i}": offered.by_customer(shard.log, on) for i, on in everyone}
    return offers | {f"protected {name}": of.values for name, of in shard.protected.items()}


def _answered(log: Log) -> Iterator[tuple[str, np.ndarray]]:
    """Whether customers were contacted, and how they took the contacts: complaints and opt-outs that followed one."""
    contacted = (log.treatment > 0).astype(np.float64)
    yield "contacted", contacted
    for name, counts in (("complaints", log.complaints), ("opt_outs", log.opt_outs)):
        if counts is not None:
            yield name, counts * contacted


def _modelled(study: Study, log: Log, probabilities: Sequence[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """The reward model, of the reward and its parts."""
    parts = study.modelled(log, probabilities)
    found: dict[str, Modelled] = {
        REWARD: priced(parts, log, study.prices),
        **{name: parts[name] for name in COMPONENTS},
    }
    for amount, said in found.items():
        yield f"q {amount}", said.logged
        for i, expected in enumerate(said.policy):
            yield f"v {i} {amount}", expected


def _ahead(
    study: Study, log: Log, policy: int, on: np.ndarray | None, needs: Needs
) -> Iterator[tuple[str, np.ndarray]]:
    """Values of several decisions, where they are needed."""
    which = None if policy == LOGGING else policy
    for amount in (REWARD, *COMPONENTS):
        path, k = (needs.path, needs.k) if amount == REWARD else (needs.path_of_parts, needs.k_of_parts)
        if path:
            found = study.path(log, on, which, amount, None)
            yield from ((f"path_q {policy} {amount}", found.q), (f"path_v {policy} {amount}", found.v))
        if k >= 2 and which is not None:
            found = study.path(log, on, which, amount, k)
            yield from ((f"k_q {policy} {amount}", found.q), (f"k_v {policy} {amount}", found.v))


def _of_one_policy(study: Study, log: Log, policy: int, on: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What is made for one policy, of a log of one decision per customer."""
    weighted = study.weighted(log, on, policy)
    yield f"weighted_q {policy} {REWARD}", weighted.logged
    yield f"weighted_v {policy} {REWARD}", weighted.policy[0]
    if study.features.groups is not None and log.behaviour is not None:
        yield f"group_ratio {policy} {REWARD}", group_weights(log, on, study.features.groups)
