"""A world as kernels see it: response model, catalogue, rules and observation as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from envs.catalogue import WORST_GRADE, Catalogue
from envs.encoding import PLAN_ARRAYS, PLAN_NUMBERS
from envs.history import NAMES
from envs.model import MODEL_ARRAYS, MODEL_NUMBERS, pack
from envs.pointers import DOUBLE, SINGLE, place, reach, reach_type
from envs.population import DescribedPopulation
from envs.response import STAGE, TRIGGER, WAITS_FOR, Hidden
from envs.schema import Schema, Task
from envs.strips import STRIP_ARRAYS, STRIP_NUMBERS, strips_of

if TYPE_CHECKING:
    from envs.world import World

SLOTS = tuple(WAITS_FOR)  # places of the heads that have names; triggers follow, then moves between stages
(DELIVERED, ENGAGED, CONVERTED, DECLINED, OPTED_OUT, COMPLAINED, IRRITATION, PURCHASED, CHURNED, ORGANIC, BROWSED,
 ABANDONED, CANCELLED, REDEEMED, RISK_HOLD, RISK_CLEARED, RATED, CONVERTED_VALUE, PURCHASED_VALUE, CHURNED_VALUE,
 RATED_VALUE) = range(len(SLOTS))  # fmt: skip
EVERY_PRODUCT = ("organic", "browsed", "abandoned")  # heads that are drawn for every product every day

TREATMENT = np.dtype(
    [
        ("product", "i2"),  # -1: silence
        ("channel", "i2"),
        ("benefit", "i2"),  # -1: none
        ("selling", "?"),
        ("closes", "?"),  # may convert over its channel
        ("cost", "f8"),  # currency
        ("benefit_cost", "f8"),  # currency, at redemption
        ("annoyance", "f8"),  # at zero pressure
        ("delay", "f8"),  # mean days until it is made
    ],
    align=True,
)
PRODUCT = np.dtype(
    [
        ("once", "?"),
        ("clears_hold", "?"),
        ("refers", "?"),
        ("maturing_days", "i4"),
        ("cancel_days", "i4"),
        ("margin_rate", "f8"),  # 0: unknown, no volume is booked
        ("net", "f8", (WORST_GRADE + 1,)),  # by credit grade 0 (unknown), 1 ...: margin net of expected loss / margin
    ],
    align=True,
)
MOVE = np.dtype([("start", "i4"), ("end", "i4"), ("head", "i4")], align=True)
WORTH = np.dtype([("margin_per_value", "f8"), ("margin", "f8"), ("cost_per_value", "f8"), ("annoyance", "f8")])
TRIGGER_OF = np.dtype([("event", "i4"), ("channel", "i4")])  # the channel on which such a customer is met, -1: none
DECISION_OF = np.dtype([("day", "f8"), ("gap", "i8")])  # of a finite task: its day, and days to the next one
OWN_ARRAYS = {
    "treatments": TREATMENT,
    "effort": DOUBLE,  # (treatments, pools)
    "product_facts": PRODUCT,
    "moves": MOVE,
    "worth": WORTH,  # (event kinds,)
    "triggers": TRIGGER_OF,
    "decisions": DECISION_OF,
    "calm": SINGLE,  # (days,) what is left of irritation after so many
}
OWN_NUMBERS = {
    "first_day": "i8",  # of the population, days since 1970-01-01
    "finite": "?",
    "by_day": "?",  # what nobody asked for is drawn day by day
    "value_by_product": "?",  # amounts of conversions depend on the product alone
    "care_heals": "f8",  # share of irritation
    **dict.fromkeys(("pools", "move_count", "trigger_count", "first_trigger", "decision_count", "calm_days"), "i8"),
}
MECHANICS = reach_type(
    {**MODEL_ARRAYS, **STRIP_ARRAYS, **PLAN_ARRAYS, **OWN_ARRAYS},
    {**MODEL_NUMBERS, **STRIP_NUMBERS, **PLAN_NUMBERS, **OWN_NUMBERS},
)  # what the kernels of a step are handed as `m`
treatment_at, facts_at, move_at, worth_at = place(TREATMENT), place(PRODUCT), place(MOVE), place(WORTH)
trigger_at, decision_at = place(TRIGGER_OF), place(DECISION_OF)


@dataclass(frozen=True)
class Mechanics:
    """Everything of a world that a step reads and never changes."""

    record: np.ndarray  # (1,) MECHANICS
    kept: tuple[object, ...]  # the arrays that it points to


def compile_world(world: World) -> Mechanics:
    """The arrays of a world and the record that points to them."""
    catalogue, schema = world.catalogue, world.schema
    moves = [name for name in world.heads if name.startswith(STAGE)]
    names = (*SLOTS, *(TRIGGER + name for name in schema.triggers), *moves)
    model = pack([world.heads[name].part if name in world.heads else None for name in names])
    own = {
        "treatments": _treatments(catalogue),
        "effort": np.ascontiguousarray(catalogue.effort, np.float64),
        "product_facts": _products(catalogue, schema),
        "moves": _moves(schema, moves, len(SLOTS) + len(schema.triggers)),
        "worth": _worth(schema),
        "triggers": _triggers(catalogue, schema),
        "decisions": _decisions(schema.task),
        "calm": _calm(world.coefficients.hidden),
    }
    drawn = {names.index(name): world.heads[name].part for name in EVERY_PRODUCT if name in world.heads}
    strips, plan = strips_of(drawn, len(names), len(catalogue.products)), world.encoder.plan
    arrays = {**model.arrays, **strips.arrays, **plan.arrays, **{n: (own[n], kind) for n, kind in OWN_ARRAYS.items()}}
    numbers = {**model.numbers, **strips.numbers, **plan.numbers, **_numbers(world, own)}
    return Mechanics(reach(MECHANICS, arrays, numbers), (model, strips, plan, own))


def _numbers(world: World, own: dict[str, np.ndarray]) -> dict[str, float]:
    task, hidden, value = world.schema.task, world.coefficients.hidden, world.heads.get("converted_value")
    return {
        "first_day": first_day(world),
        "finite": task.kind == "finite",
        "by_day": world.coefficients.resolution == "day",
        "value_by_product": value is not None and value.head.per == "product",
        "care_heals": hidden.care_heals if hidden else 0.0,
        "pools": len(world.catalogue.pools),
        "move_count": len(own["moves"]),
        "trigger_count": len(world.schema.triggers),
        "first_trigger": len(SLOTS),
        "decision_count": len(own["decisions"]),
        "calm_days": len(own["calm"]),
    }


def _worth(schema: Schema) -> np.ndarray:
    out, task = np.zeros(len(NAMES), WORTH), schema.task
    weights = (task.reward.margin_per_value, task.reward.margin_per_event, task.reward.cost_per_value)
    for column, weight in zip(WORTH.names or (), (*weights, task.annoyance_events), strict=True):
        out[column] = [weight.get(name, 0.0) for name in NAMES]
    return out


def _triggers(catalogue: Catalogue, schema: Schema) -> np.ndarray:
    out = np.zeros(len(schema.triggers), TRIGGER_OF)
    out["event"] = [NAMES.index(name) for name in schema.triggers]
    out["channel"] = [_met_on(catalogue, name) for name in schema.triggers]
    return out


def _decisions(task: Task) -> np.ndarray:
    out = np.zeros(len(task.days) if task.kind == "finite" else 1, DECISION_OF)
    if task.kind == "finite":
        out["day"], out["gap"] = task.days, task.gaps
    return out


def _calm(hidden: Hidden | None) -> np.ndarray:  # (days,) float32
    return (0.5 ** (np.arange(4096) / (hidden.irritation_half_life if hidden else 1.0))).astype(np.float32)


def first_day(world: World) -> int:
    """First calendar day of a world's population, in days since 1970-01-01."""
    spec = world.population.spec if isinstance(world.population, DescribedPopulation) else None
    return int(np.datetime64(spec.first_day if spec else "2026-01-05", "D").astype(np.int64))


def _treatments(catalogue: Catalogue) -> np.ndarray:
    out = np.zeros(len(catalogue.treatment_ids), TREATMENT)
    out["product"], out["channel"], out["benefit"] = catalogue.product_of, catalogue.channel_of, catalogue.benefit_of
    out["selling"], out["closes"] = catalogue.selling, catalogue.closes
    out["cost"], out["benefit_cost"] = catalogue.cost, catalogue.benefit_cost
    out["annoyance"] = catalogue.contact_annoyance
    out["delay"] = [0.0, *(catalogue.channels[c].delay_days for c in catalogue.channel_of[1:])]
    return out


def _products(catalogue: Catalogue, schema: Schema) -> np.ndarray:
    out = np.zeros(len(catalogue.products), PRODUCT)
    for row, product in zip(out, catalogue.products, strict=True):
        row["once"], row["clears_hold"], row["refers"] = product.once, product.clears_hold, product.refers
        row["maturing_days"], row["cancel_days"] = product.maturing_days, product.cancel_days
        row["margin_rate"] = product.margin_rate or 0.0
        row["net"] = product.net_of_loss(np.arange(WORST_GRADE + 1)) if schema.credit_column is not None else 1.0
    return out


def _moves(schema: Schema, names: list[str], first: int) -> np.ndarray:
    out = np.zeros(len(names), MOVE)
    for number, name in enumerate(names):
        start, _, end = name.removeprefix(STAGE).partition(">")
        out[number] = schema.stages.index(start), schema.stages.index(end), first + number
    return out


def _met_on(catalogue: Catalogue, trigger: str) -> int:
    return next((number for number, channel in enumerate(catalogue.channels) if channel.inbound == trigger), -1)
