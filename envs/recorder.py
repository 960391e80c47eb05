"""The recorder: what a simulation would have written to the bank's log, as canonical tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import polars as pl

from envs.population import Population
from envs.tables import INSTANT, Tables, checked
from envs.world import World

DECIDED_AT = timedelta(
    hours=9
)  # decisions fall at 9 o'clock, contacts and their answers follow, the rest in the evening
MOMENT_AT = timedelta(hours=8)
ANSWERED_AT = timedelta(hours=10)
EVENING = timedelta(hours=20)


@dataclass(frozen=True)
class Decided:
    """A batch of decisions, one row each; `probabilities` are those from which the treatment was drawn."""

    customer: np.ndarray  # (n,) int
    day: np.ndarray  # (n,) int
    trigger: np.ndarray  # (n,) int
    observation: np.ndarray  # (n, fields) float32
    mask: np.ndarray  # (n, treatments) bool
    treatment: np.ndarray  # (n,) int
    probabilities: np.ndarray  # (n, treatments) float64
    prices: np.ndarray  # (n, 1 + pools) float64
    assignment: str
    policy_digest: str


@dataclass
class Recorder:
    """Collects decisions and events of a simulation."""

    world: World
    decisions: list[pl.DataFrame] = field(default_factory=list)
    events: list[pl.DataFrame] = field(default_factory=list)
    _open: dict[int, np.ndarray] = field(default_factory=dict)  # desk -> decision number of each customer, -1: none
    _count: int = 0

    def decide(self, made: Decided, rows: np.ndarray, desk: int, batch: int) -> None:
        """Note decisions of the customers `rows` of a batch, taken by one desk."""
        numbers = self._count + np.arange(len(rows))
        self._count += len(rows)
        current = np.full(batch, -1)
        current[rows] = numbers
        self._open[desk] = current
        ids = np.array(self.world.catalogue.treatment_ids)
        triggers = np.array([*self.world.schema.triggers, ""])  # position -1 is the last: none
        names = self.world.encoder.price_names
        chosen = np.take_along_axis(made.probabilities, made.treatment[:, None], axis=1)[:, 0]
        self.decisions.append(
            pl.DataFrame(
                {
                    "decision_id": _numbered("d", numbers),
                    "customer_id": _numbered("c", made.customer),
                    "at": _instants(made.day, DECIDED_AT),
                    "trigger": pl.Series(triggers[made.trigger]).replace("", None),
                    "observation": _lists(made.observation, pl.Float32()),
                    "mask": _lists(made.mask, pl.Boolean()),
                    "treatment": ids[made.treatment],
                    "propensity": chosen,
                    "probabilities": _lists(made.probabilities, pl.Float64()),
                    "policy_digest": [made.policy_digest] * len(rows),
                    "rules_digest": [self.world.rule_book.digest] * len(rows),
                    "prices": pl.DataFrame(made.prices, schema=list(names)).to_struct("prices"),
                    "assignment": [made.assignment] * len(rows),
                }
            )
        )

    def note(
        self,
        event: str,
        customer: np.ndarray,
        day: np.ndarray,
        *,
        after: timedelta,
        channel: np.ndarray | None = None,
        product: np.ndarray | None = None,
        value: np.ndarray | None = None,
        desk: int | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        """Note one kind of event of some customers. `desk` and `rows` tie it to the decision that caused it."""
        if not len(customer):
            return
        count, catalogue = len(customer), self.world.catalogue
        decision = np.full(count, -1)
        if desk is not None and rows is not None and desk in self._open:
            decision = self._open[desk][rows]
        self.events.append(
            pl.DataFrame(
                {
                    "customer_id": _numbered("c", customer),
                    "at": _instants(day, after),
                    "event": [event] * count,
                    "channel": _named(catalogue.channel_ids, channel, count),
                    "product": _named(catalogue.product_ids, product, count),
                    "value": pl.Series(value if value is not None else [None] * count, dtype=pl.Float64),
                    "decision_id": pl.select(
                        pl.when(pl.lit(pl.Series(decision)) >= 0).then(_numbered("d", decision))
                    ).to_series(),
                }
            )
        )

    def tables(self, population: Population, seed: int, customers: np.ndarray, first_day: int) -> Tables:
        """Everything recorded, with the profiles of the customers, in canonical form."""
        profile = population.sample(customers, seed)
        holds = population.holds(customers, seed, self.world.catalogue.product_ids)
        held = {f"holds_{p}": holds[i] for i, p in enumerate(self.world.catalogue.product_ids)}
        frame = pl.DataFrame({"customer_id": _numbered("c", customers)}).with_columns(
            pl.lit(_instants(np.array([first_day]), timedelta(0))[0]).cast(INSTANT).alias("valid_from"),
            *profile.get_columns(),
            *(pl.Series(name, values) for name, values in held.items()),
        )
        events = pl.concat(self.events) if self.events else _no_events()
        events = events.with_columns(event_id=_numbered("e", np.arange(events.height)))
        return checked(Tables(self.world.catalogue, self.world.schema, frame, pl.concat(self.decisions), events))


def _no_events() -> pl.DataFrame:
    text = ("customer_id", "event", "channel", "product", "decision_id")
    return pl.DataFrame(schema={**dict.fromkeys(text, pl.String()), "at": INSTANT, "value": pl.Float64()})


def _numbered(letter: str, numbers: np.ndarray) -> pl.Series:
    return letter + pl.Series(numbers, dtype=pl.Int64).cast(pl.String).str.zfill(8)


def _instants(day: np.ndarray, after: timedelta) -> pl.Series:
    microseconds = day.astype(np.int64) * 86_400_000_000 + int(after.total_seconds() * 1e6)
    return pl.Series(microseconds).cast(INSTANT)


def _lists(values: np.ndarray, kind: pl.DataType) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values)).arr.to_list().cast(pl.List(kind))


def _named(ids: tuple[str, ...], position: np.ndarray | None, count: int) -> pl.Series:
    if position is None:
        return pl.Series([None] * count, dtype=pl.String)
    names = pl.Series([*ids, None], dtype=pl.String)
    return names.gather(pl.Series(np.where(position < 0, len(ids), position)))
