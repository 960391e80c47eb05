"""The recorder: what a simulation would have written to the bank's log, as canonical tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from envs.happening import DECIDED
from envs.history import NAMES
from envs.population import Population
from envs.tables import INSTANT, Tables, checked
from envs.world import World


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
    _count: int = 0

    def decide(self, made: Decided) -> np.ndarray:
        """Note decisions. -> their numbers in the log, (n,) int64: what `Simulator.step` ties events to."""
        numbers = self._count + np.arange(len(made.customer))
        self._count += len(numbers)
        ids = np.array(self.world.catalogue.treatment_ids)
        triggers = np.array([*self.world.schema.triggers, ""])  # position -1 is the last: none
        names = self.world.encoder.price_names
        chosen = np.take_along_axis(made.probabilities, made.treatment[:, None], axis=1)[:, 0]
        self.decisions.append(
            pl.DataFrame(
                {
                    "decision_id": _numbered("d", numbers),
                    "customer_id": _numbered("c", made.customer),
                    "at": _instants(made.day, DECIDED),
                    "trigger": pl.Series(triggers[made.trigger]).replace("", None),
                    "observation": _lists(made.observation, pl.Float32()),
                    "mask": _lists(made.mask, pl.Boolean()),
                    "treatment": ids[made.treatment],
                    "propensity": chosen,
                    "probabilities": _lists(made.probabilities, pl.Float64()),
                    "policy_digest": [made.policy_digest] * len(numbers),
                    "rules_digest": [self.world.rule_book.digest] * len(numbers),
                    "prices": pl.DataFrame(made.prices, schema=list(names)).to_struct("prices"),
                    "assignment": [made.assignment] * len(numbers),
                }
            )
        )
        return numbers

    def happened(self, events: np.ndarray, customer: np.ndarray) -> None:
        """Note the events of a step. events: (n,) EVENT; customer: (batch,) int, the numbers of the batch's rows."""
        if not len(events):
            return
        catalogue = self.world.catalogue
        decision = pl.Series(events["decision"].astype(np.int64))
        self.events.append(
            pl.DataFrame(
                {
                    "customer_id": _numbered("c", customer[events["row"]]),
                    "at": _instants(events["day"], events["minute"]),
                    "event": pl.Series(np.array(NAMES)[events["event"]], dtype=pl.String),
                    "channel": _named(catalogue.channel_ids, events["channel"]),
                    "product": _named(catalogue.product_ids, events["product"]),
                    "value": pl.Series(events["value"].copy()).fill_nan(None),
                    "decision_id": pl.select(
                        pl.when(pl.lit(decision) >= 0).then(_numbered("d", decision.to_numpy()))
                    ).to_series(),
                }
            )
        )

    def tables(self, population: Population, seed: int, customers: np.ndarray, first_day: int) -> Tables:
        """Everything recorded, with the profiles of the customers, in canonical form."""
        profile = population.sample(customers, seed)
        holds = population.start(customers, seed, self.world.catalogue.product_ids).holds
        held = {f"holds_{p}": holds[:, i] for i, p in enumerate(self.world.catalogue.product_ids)}
        frame = pl.DataFrame({"customer_id": _numbered("c", customers)}).with_columns(
            pl.lit(_instants(np.array([first_day]), 0)[0]).cast(INSTANT).alias("valid_from"),
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


def _instants(day: np.ndarray, minute: np.ndarray | int) -> pl.Series:
    microseconds = day.astype(np.int64) * 86_400_000_000 + np.asarray(minute, np.int64) * 60_000_000
    return pl.Series(microseconds).cast(INSTANT)


def _lists(values: np.ndarray, kind: pl.DataType) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values)).arr.to_list().cast(pl.List(kind))


def _named(ids: tuple[str, ...], position: np.ndarray) -> pl.Series:
    names = pl.Series([*ids, None], dtype=pl.String)
    return names.gather(pl.Series(np.where(position < 0, len(ids), position)))
