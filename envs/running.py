"""Counts of a running simulation: what `envs/counting.py` reads out of its log, without writing the log.

Customers stand in blocks, the units of a jackknife. Of each block's steps the events and the tally are added up; what
is counted once per customer is read off their state at the end; leads are followed event by event, as in a log.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.counting import PATIENCE, recorded
from envs.counts import CONTACT_BINS, CONVERSION_BINS, KINDS, Counts
from envs.happening import DECIDED, EVENT
from envs.history import NAMES
from envs.jit import kernel
from envs.leads import DAY, GONE, MEANING, NOBODY, OVER, follow, new_threads
from envs.simulator import Outcome
from envs.state import CustomerState
from envs.world import World

_KIND = np.array([KINDS.index(name) for name in NAMES])  # of an event code
_MEANING = np.array([MEANING.get(name, NOBODY) for name in NAMES])
_follow: Any = kernel(follow)


class RunningCounts:
    """Counts of blocks of customers who are simulated with `record=True`, step by step."""

    def __init__(self, world: World, blocks: int, patience: float = PATIENCE) -> None:
        """patience: days for which a lead stays open."""
        catalogue = world.catalogue
        self.world, self._patience = world, round(patience * DAY)
        channels, products = len(catalogue.channels), len(catalogue.products)
        self._sizes = (len(NAMES), channels + 1, products + 1)
        self._events = np.zeros((blocks, int(np.prod(self._sizes))), np.int64)
        self._values = np.zeros(self._events.shape)
        self._leads = np.zeros((blocks, channels + 1, 3), np.int64)
        self._hand_overs = np.zeros((blocks, channels + 1, channels, 4))
        self._cost, self._annoyance, self._days = np.zeros((3, blocks))
        self._effort = np.zeros((blocks, len(catalogue.pools)))
        self._own = [Counts.empty(catalogue) for _ in range(blocks)]
        self._selling = np.array([product.selling for product in catalogue.products])

    def threads(self, customers: int) -> np.ndarray:  # (customers, products) THREAD
        """Leads of customers who begin."""
        return new_threads((customers, len(self.world.catalogue.products)))

    def happened(self, block: int, events: np.ndarray, threads: np.ndarray) -> None:
        """Count events of some customers of a block. events: (n,) EVENT, of a step or a first morning; threads: the
        customers' leads, (batch, products) THREAD, changed in place."""
        _, channels, products = self._sizes
        channel = np.where(events["channel"] < 0, channels - 1, events["channel"])
        product = np.where(events["product"] < 0, products - 1, events["product"])
        cell = (events["event"].astype(np.int64) * channels + channel) * products + product
        size = self._events.shape[1]
        self._events[block] += np.bincount(cell, minlength=size)
        self._values[block] += np.bincount(cell, np.nan_to_num(events["value"]), minlength=size)
        lists = (events, _MEANING, self._selling, threads)
        _follow_events(*lists, self._patience, self._leads[block], self._hand_overs[block])

    def contacted(self, block: int, executed: np.ndarray, day: np.ndarray, threads: np.ndarray) -> None:
        """Count contacts that are made at once, which a log has as decisions, before the events of their step.

        executed: (batch, desks) int, treatments; day: (batch,) int, of the decision
        """
        catalogue = self.world.catalogue
        at_once = np.array([channel.delay_days == 0 for channel in catalogue.channels])
        row, desk = np.nonzero((executed > 0) & at_once[catalogue.channel_of[executed]])
        made, treatment = np.zeros(len(row), EVENT), executed[row, desk]
        made["row"], made["day"], made["minute"], made["event"] = row, day[row], DECIDED, NAMES.index("contacted")
        made["channel"], made["product"] = catalogue.channel_of[treatment], catalogue.product_of[treatment]
        self.happened(block, made, threads)

    def stepped(self, block: int, outcome: Outcome, days: float) -> None:
        """Count a step of some customers of a block, besides its events. days: customer-days that it took."""
        tally = outcome.tally
        self._cost[block] += tally.cost.sum()
        self._annoyance[block] += tally.annoyance.sum()
        self._effort[block] += tally.effort.sum(axis=0)
        self._days[block] += days

    def ended(self, block: int, state: CustomerState, threads: np.ndarray, end: int, assets: float) -> None:
        """Count customers of a block once, when their simulation is over.

        end: the day of the first decision that is not looked at, days since 1970-01-01: what its morning brings still
        belongs to the last one; assets: theirs at the start, currency
        """
        _end_threads(threads, end * DAY + DECIDED, self._patience, self._leads[block], self._hand_overs[block])
        person, channels = state.person, self._sizes[1] - 1
        left = ~person["alive"]
        contacted, met = (
            (person[name][:, None] >> np.arange(channels, dtype=np.uint64)) & np.uint64(1)
            for name in ("contacted_on", "met_on")
        )
        new = person["held_nothing"]
        own: dict[str, Any] = {
            "customers": state.batch,
            "contacts_histogram": _histogram(person["contacts"], CONTACT_BINS),
            "conversions_histogram": _histogram(person["conversions"], CONVERSION_BINS),
            "channels_histogram": _histogram(met.sum(axis=1), channels + 1),
            "channel_customers": np.stack([contacted.sum(axis=0), met.sum(axis=0)]).astype(np.int64),
            "newcomers": int(new.sum()),
            "newcomers_converted": int((new & (person["conversions"] > 0)).sum()),
            "churned": int(left.sum()),
            "assets": assets,
        }
        self._own[block] += Counts(**{**vars(Counts.empty(self.world.catalogue)), **own})

    def counts(self) -> list[Counts]:
        """The counts of each block."""
        return [self._of(block) for block in range(len(self._own))]

    def _of(self, block: int) -> Counts:
        reward, schema = self.world.schema.task.reward, self.world.schema
        events, values = np.zeros((2, len(KINDS), *self._sizes[1:]))
        events[_KIND] = self._events[block].reshape(self._sizes)
        values[_KIND] = self._values[block].reshape(self._sizes)
        margin = np.zeros(self._sizes[2])
        for kind, weight in reward.margin_per_value.items():
            margin += weight * values[KINDS.index(kind)].sum(axis=0)
        for kind, weight in reward.margin_per_event.items():
            margin += weight * events[KINDS.index(kind)].sum(axis=0)
        benefits = sum(w * values[KINDS.index(kind)].sum() for kind, w in reward.cost_per_value.items())
        seen = [kind for kind, row in zip(KINDS, events, strict=True) if row.any()]
        found = {
            "recorded": recorded(schema, seen),
            "events": events.astype(np.int64),
            "values": values,
            "margin": margin,
            "benefit_cost": float(benefits),
            "contact_cost": float(self._cost[block] - benefits),
            "annoyance": float(self._annoyance[block]),
            "effort": self._effort[block].copy(),
            "days": float(self._days[block]),
            "leads": self._leads[block].copy(),
            "hand_overs": self._hand_overs[block].copy(),
        }
        return Counts(**{**vars(self._own[block]), **found})


def _histogram(numbers: np.ndarray, bins: int) -> np.ndarray:  # (bins,) int64
    return np.bincount(np.minimum(numbers.astype(np.int64), bins - 1), minlength=bins)


@kernel
def _follow_events(
    events: np.ndarray,
    meanings: np.ndarray,
    selling: np.ndarray,
    threads: np.ndarray,
    patience: int,
    leads: np.ndarray,
    hand_overs: np.ndarray,
) -> None:
    """Follow leads through the events of a step, which stand customer by customer in the order of time."""
    nowhere = hand_overs.shape[1]
    for k in range(events.shape[0]):
        event = events[k]
        meaning, minute = meanings[event.event], np.int64(event.day) * DAY + event.minute
        if meaning == GONE:
            for p in range(threads.shape[1]):
                _follow(threads[event.row, p], meaning, nowhere, minute, patience, leads, hand_overs)
        elif meaning >= 0 and event.product >= 0 and selling[event.product]:
            channel = np.int64(event.channel) if event.channel >= 0 else nowhere
            _follow(threads[event.row, event.product], meaning, channel, minute, patience, leads, hand_overs)


@kernel
def _end_threads(threads: np.ndarray, minute: int, patience: int, leads: np.ndarray, hand_overs: np.ndarray) -> None:
    """The period is over: leads that nobody took up in time are dropped."""
    for i in range(threads.shape[0]):
        for p in range(threads.shape[1]):
            _follow(threads[i, p], OVER, hand_overs.shape[1], minute, patience, leads, hand_overs)
