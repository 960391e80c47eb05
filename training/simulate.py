"""Simulate the contact log of a bank that has agreed to learn.

Most customers live under siloed campaigns: several contacts a day are possible, each a decision row of its own channel.
A stated share of whole customers gets one decision a week from a stochastic coordinated policy, the full distribution
logged: the part of the log on which a new policy can be evaluated. In a finite task, which has decision days of its
own and no silos, that policy decides all customers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from agents.baselines import CoordinatedRules, SiloedCampaigns, Softened
from agents.policy import Policy
from envs.digest import digest_of
from envs.randomness import Luck
from envs.recorder import Decided, Recorder
from envs.rules import load_rules
from envs.schema import Split
from envs.simulator import Simulator
from envs.tables import Tables, write_tables
from envs.world import BUILT_IN, World, load_world
from evaluation.simulation import choose
from training.configs import SimulateConfig
from training.progress import Advance, progress
from training.runs import run_directory

WEEK = 7  # days between decisions of a randomised customer
# Of the logging policy, the temperature in points of the coordinated rules; assumed: enough variety to learn from.
TEMPERATURE, FLOOR = 1.0, 0.3
ARM = -5  # the "day" of the draw that assigns a customer to an arm
BATCH = 8192  # customers simulated at once


@dataclass(frozen=True)
class SimulatedLog:
    """A simulated log and where it stands."""

    directory: Path
    tables: Tables
    randomised: int  # customers

    @property
    def frame(self) -> pl.DataFrame:
        """Customers, decisions, contacts and events by assignment."""
        decisions = self.tables.decisions
        contacts = pl.col("treatment") != "silence"
        return decisions.group_by("assignment", maintain_order=True).agg(
            customers=pl.col("customer_id").n_unique(), decisions=pl.len(), contacts=contacts.sum()
        )

    def __str__(self) -> str:
        events = self.tables.events.height
        return f"{self.tables.customers.height} customers, {self.tables.decisions.height} decisions, {events} events"

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>{self.frame._repr_html_()}"


def logging_policy(world: World) -> Softened:
    """The stochastic coordinated policy of the randomised customers."""
    rules = CoordinatedRules(world.catalogue, world.encoder)
    return Softened(rules, TEMPERATURE, FLOOR, name="logging_policy")


def weekly(world: World, test_share: float | None = None) -> World:
    """The world with one decision a week, as in the randomised part of the log."""
    schema = world.schema
    split = schema.split if test_share is None else Split(test_share=test_share)
    task = schema.task.model_copy(update={"cadence_days": WEEK, "window_days": WEEK})
    return replace(world, schema=schema.model_copy(update={"task": task, "split": split}))


def under_silos(world: World) -> World:
    """The world under the rules that silos observe: no channel sees another's contacts."""
    return replace(world, rules=load_rules(BUILT_IN / "bank" / "silo_rules.yaml"))


def simulate(config: SimulateConfig) -> SimulatedLog:
    """Simulate a log and write it as canonical tables."""
    world = weekly(load_world(config.world), config.test_share)
    customers, finite = np.arange(config.customers), world.schema.task.kind == "finite"
    share = 1.0 if finite else config.randomised_share
    days = WEEK * len(world.schema.task.days) if finite else config.days  # a finite task sets the length of its steps
    arm = Luck(config.seed, customers, np.full(config.customers, ARM)).uniform(0) < share
    recorder = Recorder(world)
    first_day = Simulator(world).first_day
    with progress("simulating the contact log", total=config.customers) as advance:
        run = _Run(recorder, config.seed, first_day, days, advance)
        policy = logging_policy(world)
        run.decide(world, policy, customers[arm], WEEK, "randomised", keep_silence=True)
        if not finite:
            silos = under_silos(world)
            campaigns = SiloedCampaigns(world.catalogue, world.encoder)
            run.decide(silos, campaigns, customers[~arm], 1, "champion", keep_silence=False)
    tables = recorder.tables(world.population, config.seed, customers, first_day)
    directory = run_directory("simulate", config.out)
    write_tables(tables, directory, world.rules)
    return SimulatedLog(directory, replace(tables, path=directory), int(arm.sum()))


@dataclass(frozen=True)
class _Run:
    """One simulation of one arm after the other into one recorder."""

    recorder: Recorder
    seed: int
    first_day: int
    days: int
    advance: Advance

    def decide(
        self, world: World, policy: Policy, customers: np.ndarray, cadence: int, assignment: str, *, keep_silence: bool
    ) -> None:
        digest = digest_of([policy.name, TEMPERATURE, FLOOR, world.rule_book.digest])
        for start in range(0, len(customers), BATCH):
            batch = customers[start : start + BATCH]
            simulator = Simulator(world, self.seed, cadence_days=cadence, record=True)
            simulator.reset(batch, day=self.first_day + batch % WEEK)
            self.recorder.happened(simulator.morning, batch)
            for _ in range(0, self.days - cadence + 1, cadence):
                self._step(simulator, policy, digest, assignment, keep_silence)
            self.advance(len(batch))

    def _step(self, simulator: Simulator, policy: Policy, digest: str, assignment: str, keep_silence: bool) -> None:
        view, state = simulator.view(), simulator.state
        luck = Luck(self.seed, state.customer, state.history.day)
        probabilities, treatment = choose(policy, view.observation, view.mask, luck)
        numbers = np.full(treatment.shape, -1)
        for desk in range(treatment.shape[1]):
            kept = state.alive & ((treatment[:, desk] != 0) | keep_silence)
            rows = np.flatnonzero(kept)
            if len(rows):
                made = Decided(
                    state.customer[rows],
                    state.history.day[rows],
                    state.trigger[rows],
                    view.observation[rows],
                    view.mask[rows],
                    treatment[rows, desk],
                    probabilities[rows, desk],
                    state.prices[rows],
                    assignment,
                    digest,
                )
                numbers[rows, desk] = self.recorder.decide(made)
        outcome = simulator.step(treatment, numbers)
        if outcome.events is not None:
            self.recorder.happened(outcome.events, state.customer)
