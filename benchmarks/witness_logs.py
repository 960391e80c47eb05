"""One log of the witness: estimates of all candidates beside their true values, and what the gate says of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.witness_estimates import Estimated, Leading
from benchmarks.witness_world import CANDIDATES, PRICES, Estimand, Known
from evaluation.adapt import LOGGED
from evaluation.lead import Lead
from evaluation.log import Log
from evaluation.settings import EvaluationSettings
from training.gate import Evidence, Gate, destination, judge

# Linear models of few rows and 400 resamples, so that many logs can be evaluated; all else as by default.
SETTINGS = EvaluationSettings(model="ridge", model_rows=1_000, resamples=400)
TRIES = 4  # at finding the candidate that is as good for the lead that it leaves


class Cell(NamedTuple):
    """What logs of one kind have in common."""

    decisions: int
    floor: float  # randomness of the logging policy
    customers: int

    def named(self) -> dict[str, str]:
        return {"decisions": str(self.decisions), "randomness": f"{self.floor:g}", "customers": f"{self.customers:,}"}


@dataclass(frozen=True)
class Replication:
    """What came of one log. Arrays are (candidates,), money in currency per customer."""

    lead: Lead
    logged: float  # true value of the logging policy
    truth: np.ndarray  # true values of what the lead estimates
    value: np.ndarray  # estimated
    covered: np.ndarray  # bool: the true value lies in the 95 % interval
    covered_difference: np.ndarray  # bool: so does the true difference to the logging policy
    lower: np.ndarray  # lower bound of the difference, of each candidate as if it were the only one
    admitted: np.ndarray  # bool, by that bound
    admitted_together: np.ndarray  # bool, by bounds that hold for all candidates of the comparison
    same: bool  # the lead is the one for which `as good` is exactly so


def number_of(seed: int, cell: Cell, log: int) -> int:
    """The seed of a log, another one for every cell and number."""
    told = [seed, cell.decisions, round(100 * cell.floor), cell.customers, log]
    return int(np.random.default_rng(told).integers(2**31))


def replications(known: Known, cell: Cell, count: int, seed: int, gate: Gate) -> Iterator[Replication]:
    """New logs of one kind."""
    guess = Estimand("k-step", cell.decisions)
    for number in range(count):
        own = number_of(seed, cell, number)
        found, guess = replication(known, known.log(cell.customers, own), guess, own, gate)
        yield found


def estimand_of(lead: Lead, decisions: int) -> Estimand:
    """What a lead estimates; a model the whole of the policy's value."""
    if lead.kind == "deviation":
        return Estimand("deviation", 1)
    return Estimand("k-step", decisions if lead.model_based else lead.decisions)


def leading(known: Known, log: Log, guess: Estimand) -> tuple[Leading, Estimand]:
    """The lead of a log's candidates, and for which estimand one of them is exactly as good as the logging policy.

    The lead depends on that candidate, too: it is made for the lead that was found with the one before, until both
    agree. Nothing here reads a reward.

    guess: the estimand of the lead to begin with
    """
    estimand = guess
    for _ in range(TRIES):
        made_for = estimand
        found = Leading.of(log, known.candidates(made_for), PRICES, SETTINGS)
        estimand = estimand_of(found.lead, log.horizon)
        if estimand == made_for:
            break
    return found, made_for


def replication(known: Known, log: Log, guess: Estimand, seed: int, gate: Gate) -> tuple[Replication, Estimand]:
    """Evaluate all candidates on a log, and judge each; -> with what the lead estimates."""
    found, made_for = leading(known, log, guess)
    lead, estimand = found.lead, estimand_of(found.lead, log.horizon)
    by_name, candidates = found.estimates(PRICES, SETTINGS, seed), known.candidates(made_for)
    said, logged = [by_name[name] for name in CANDIDATES], known.logged(estimand)
    truth = np.array([known.truth(candidates[name].shares, estimand) for name in CANDIDATES])
    lower, together = np.array([one.difference.lower for one in said]), np.array([one.together for one in said])
    made = Replication(
        lead=lead,
        logged=logged,
        truth=truth,
        value=np.array([one.value.value for one in said]),
        covered=_inside([one.value.lo for one in said], truth, [one.value.hi for one in said]),
        covered_difference=_inside(
            [one.difference.lo for one in said], truth - logged, [one.difference.hi for one in said]
        ),
        lower=lower,
        admitted=admitted(said, lead, lower, gate),
        admitted_together=admitted(said, lead, together, gate),
        same=estimand == made_for,
    )
    return made, estimand


def _inside(lo: list[float], truth: np.ndarray, hi: list[float]) -> np.ndarray:  # (candidates,) bool
    return np.asarray((np.array(lo) <= truth) & (truth <= np.array(hi)))


def admitted(said: list[Estimated], lead: Lead, lower: np.ndarray, gate: Gate) -> np.ndarray:  # (candidates,) bool
    """Whether the gate would make each candidate champion, by the lines that the log alone decides."""
    prices = {"annoyance": PRICES.annoyance, "agents": PRICES.pools[0]}
    places = []
    for name, one, bound in zip(CANDIDATES, said, lower, strict=True):
        evidence = Evidence(
            policy=name, policy_digest=name, estimator=lead.estimator, model_based=lead.model_based,
            lower=float(bound), confidence=SETTINGS.confidence, reference=LOGGED, reference_digest="", ess=one.ess,
            positives=one.positives, prices=prices,
        )  # fmt: skip
        lines = judge(gate, evidence, registered_digest=name, champion_digest="", declared_prices=prices)
        places.append(destination(gate, lines))
    return np.array([place == "champion" for place in places])
