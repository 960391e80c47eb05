"""The log that a population with shared pools would have written: every decision, with what was open at its turn."""

from __future__ import annotations

import numpy as np

from agents.baselines import SiloedCampaigns
from envs.digest import digest_of
from envs.errors import InputError
from envs.recorder import Decided, Recorder
from envs.simulator import Simulator
from envs.tables import Tables
from evaluation.region import Heard, PooledSetting

MOST_ROWS = 500_000  # decisions; each takes about 1.5 kB of memory three times over while the log is written


def rows_of(setting: PooledSetting) -> int:
    """Decision rows that a log of this run would have, were no customer to leave."""
    desks = len(setting.world.catalogue.channels) if isinstance(setting.policy, SiloedCampaigns) else 1
    return len(setting.customers) * (setting.days // setting.cadence_days) * desks


def check_size(setting: PooledSetting) -> None:
    """Refuse a log that would be too large to hold."""
    rows = rows_of(setting)
    if rows > MOST_ROWS:
        need = f"must be false: the log would have {rows:,} decision rows, at most {MOST_ROWS:,} can be held"
        raise InputError(need, field="log", value=True)


class PooledLog:
    """Hears a run and collects it as canonical tables.

    The mask is what rules and pools left open at the turn; the probabilities are those from which the treatment was
    drawn, under that mask. Of silos each desk has a row of its own.
    """

    def __init__(self, setting: PooledSetting) -> None:
        self._setting, self._recorder = setting, Recorder(setting.world)
        policy = setting.policy
        named = digest_of([policy.name, setting.world.rule_book.digest])
        self._digest = str(getattr(policy, "digest", named))

    def decided(self, heard: Heard) -> np.ndarray:
        """Note a part's decisions; their numbers, (batch, desks), -1 for customers who have left."""
        state, view, turns = heard.simulator.state, heard.simulator.view(), heard.turns
        rows, closed = np.flatnonzero(state.alive), turns.closed
        numbers = np.full(turns.treatment.shape, -1)
        for desk in range(turns.treatment.shape[1]):
            made = Decided(
                state.customer[rows],
                state.history.day[rows],
                state.trigger[rows],
                view.observation[rows],
                view.mask[rows] & ~closed[rows, desk],
                turns.treatment[rows, desk],
                turns.probabilities[rows, desk],
                state.prices[rows],
                "champion",
                self._digest,
            )
            numbers[rows, desk] = self._recorder.decide(made)
        return numbers

    def happened(self, events: np.ndarray, customer: np.ndarray) -> None:
        """Note a part's events."""
        self._recorder.happened(events, customer)

    def tables(self) -> Tables:
        """Everything that was heard."""
        setting = self._setting
        first_day = Simulator(setting.world, setting.seed).first_day
        return self._recorder.tables(setting.world.population, setting.seed, setting.customers, first_day)
