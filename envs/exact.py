"""The exact model of a world whose states can be counted: every state that can be reached, and where decisions lead.

model = build(load_world("exact"))
step, state = model.locate(simulator.view().observation)      # where simulated customers stand
model.layers[0].chances                                       # transition probabilities of the first decision

Not every world has one: `build` refuses those in which something fades, is hidden or could not be counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from envs.errors import InputError
from envs.exact_outcomes import Outcomes
from envs.exact_states import WEEK, StateTable
from envs.population import DescribedPopulation
from envs.prices import Prices
from envs.profile import features
from envs.rules import Cap, Rules
from envs.world import World

# What each head may wait for here; other heads are refused.
HEADS = {
    "delivered": "contacted",
    "engaged": "delivered",
    "converted": "engaged",
    "declined": "unconverted",
    "opted_out": "delivered",
    "churned": "always",
    "organic": "always",
    "converted_value": "converted",
    "churned_value": "churned",
}
TRACES = ("recency", "pressure", "engagement", "intent", "refusal")  # of what can happen here
RULES = frozenset(["name", "consent", "once", "quiet", "caps", "refusal_days"])  # fields of a rule book that are known
CAP = frozenset(["name", "channels", "most", "days"])  # and of a cap


@dataclass(frozen=True)
class Layer:
    """One decision: the states in which it can be taken, and what follows every allowed treatment in each of them.

    Pairs of a state and an allowed treatment are sorted by state, then treatment.
    """

    keys: np.ndarray  # (states,) int64, rising
    rows: np.ndarray  # (states, variables) int16
    allowed: np.ndarray  # (states, treatments) bool
    state: np.ndarray  # (pairs,) int, position of the pair's state
    treatment: np.ndarray  # (pairs,) int
    chances: sparse.csr_matrix  # (pairs, next states + 1): where it leads; the last column is the end
    margin: np.ndarray  # (pairs,) float64, expected until the next decision, currency
    cost: np.ndarray  # (pairs,) float64, currency
    annoyance: np.ndarray  # (pairs,) float64, opt-outs
    effort: np.ndarray  # (pairs, pools) float64
    days: int  # to the next decision

    @cached_property
    def first(self) -> np.ndarray:  # (states,) int, the first pair of each state: its silence
        return np.asarray(np.searchsorted(self.state, np.arange(len(self.keys))))

    def pair(self, state: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        """Positions of pairs of a state and a treatment that is allowed in it. state, treatment: (n,) -> (n,) int."""
        before = self.allowed[state] & (np.arange(self.allowed.shape[1]) < treatment[:, None])
        return np.asarray(self.first[state] + before.sum(axis=1))


@dataclass(frozen=True)
class ExactModel:
    """All layers of a finite task."""

    table: StateTable
    layers: tuple[Layer, ...]

    @property
    def world(self) -> World:
        return self.table.world

    @property
    def states(self) -> int:
        """Number of states over all decisions, the end apart."""
        return sum(len(layer.keys) for layer in self.layers)

    @property
    def pairs(self) -> int:
        """Number of pairs of a state and an allowed treatment."""
        return sum(len(layer.treatment) for layer in self.layers)

    def observation(self, step: int, prices: Prices) -> np.ndarray:
        """What a decision sees in each state. -> (states, fields) float32."""
        return self.table.observation(self.layers[step].rows, step, prices)

    def locate(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Step and position of the state that each observation shows; -1: none that can be decided in, as after churn.

        observation: (batch, fields) float32 -> two (batch,) int.
        """
        if observation.shape[1] != len(self.world.encoder.names):
            need = f"must have the {len(self.world.encoder.names)} fields of this world"
            raise InputError(need, field="observation", value=f"{observation.shape[1]} fields")
        step, rows = self.table.read(observation)
        keys, state = self.table.keys(rows), np.full(len(rows), -1)
        for number in np.unique(step):
            known, here = self.layers[number].keys, np.flatnonzero(step == number)
            found = np.minimum(np.searchsorted(known, keys[here]), len(known) - 1)
            state[here] = np.where(known[found] == keys[here], found, -1)
        return step, state

    @cached_property
    def shares(self) -> np.ndarray:
        """Share of the population's customers in each state of the first decision. -> (states,) float64, sum 1."""
        population = self.world.population
        if not isinstance(population, DescribedPopulation) or any(m.depends for m in population.spec.columns):
            raise InputError("must describe independent columns for its shares to be known", file="population.yaml")
        spec = {marginal.column: marginal for marginal in population.spec.columns}
        rows = self.layers[0].rows
        weight = np.ones(len(rows))
        for column in features(self.world.schema):
            marginal = spec[column.name]
            flag = {"0": 1 - (marginal.share or 0.0), "1": marginal.share or 0.0}
            share = marginal.shares or flag
            by_profile = np.array([share.get(p[column.name], 0.0) for p in self.table.profiles]) / sum(share.values())
            weight *= by_profile[rows[:, 0]]
        for product, column in zip(self.world.catalogue.product_ids, self.table.of("holds"), strict=True):
            held = population.spec.holds.get(product, 0.0)
            weight *= np.where(rows[:, column] == 1, held, 1 - held)
        return weight


def build(world: World) -> ExactModel:
    """Enumerate a world, decision by decision; an InputError says why it cannot be done."""
    _check(world)
    table = StateTable(world)
    keys, layers = np.sort(table.keys(table.fresh())), []
    for step in range(len(world.schema.task.days)):
        layer, keys = _layer(table, step, keys)
        layers.append(layer)
    return ExactModel(table, tuple(layers))


def _layer(table: StateTable, step: int, keys: np.ndarray) -> tuple[Layer, np.ndarray]:
    """One decision from the states that it can be taken in; and the states that the next one can."""
    world, rows = table.world, table.rows(keys)
    days, last = world.schema.task.gaps[step], step == len(world.schema.task.days) - 1
    allowed = table.allowed(rows)
    state, treatment = np.nonzero(allowed)
    free = Prices(0.0, (0.0,) * len(world.catalogue.pools))
    outcomes = Outcomes(table, rows[state], treatment, table.observation(rows, step, free)[state], days)
    chances, after = _chances(outcomes, ends=last)
    layer = Layer(
        keys,
        rows,
        allowed,
        state,
        treatment,
        chances,
        outcomes.margin(),
        outcomes.cost(),
        outcomes.annoyance(),
        world.catalogue.effort[treatment],
        days,
    )
    return layer, after


def _chances(outcomes: Outcomes, *, ends: bool) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Transition probabilities of each pair, and the keys of the states that are reached. ends: none is."""
    pairs = np.arange(len(outcomes.treatment))
    if ends:
        return sparse.csr_matrix(np.ones((len(pairs), 1))), np.zeros(0, np.int64)
    origin, keys, likely = [], [], []
    for branch in outcomes.branches():
        possible = np.flatnonzero(branch.probability > 0)
        origin.append(possible)
        keys.append(outcomes.table.keys(branch.rows[possible]))
        likely.append(branch.probability[possible])
    after, target = np.unique(np.concatenate(keys), return_inverse=True)
    churned = outcomes.chance("churned")
    rows = np.concatenate([*origin, pairs])
    columns = np.concatenate([target, np.full(len(pairs), len(after))])
    values = np.concatenate([*likely, churned])
    table = sparse.csr_matrix((values, (rows, columns)), shape=(len(pairs), len(after) + 1))
    return table, after


def _check(world: World) -> None:
    """What must hold for `StateTable` to count a world's states and for `Outcomes` to be its outcomes."""
    task, rules, fading = world.schema.task, world.rules, world.schema.fading
    if task.kind != "finite" or world.coefficients.resolution != "window" or task.calendar:
        raise InputError("must be finite, with resolution: window and no calendar, to be exact", field="task")
    if world.coefficients.hidden is not None or world.schema.triggers:
        raise InputError("must be without hidden states and triggers to be exact", field="world")
    for trace in TRACES:
        half_life = getattr(fading, trace)
        if np.float32(np.exp2(-float(task.days[-1]) / half_life)) != 1:
            raise InputError("must be so long that nothing fades (1e12)", field=f"fading.{trace}", value=half_life)
    for column in features(world.schema):
        if column.type == "number" or column.nullable:
            raise InputError("must be a category or a flag, never missing", field="columns", value=column.name)
    for name, compiled in world.heads.items():
        given, per = compiled.head.given, compiled.head.per
        if HEADS.get(name) != given or (name == "converted_value" and per != "product"):
            raise InputError("must be one that the exact model knows", field=f"heads.{name}", value=f"{given}, {per}")
    _check_windows(world, rules)


def _check_windows(world: World, rules: Rules) -> None:
    """Rules and fields must not need to remember on which of several days something happened."""
    task, whole = world.schema.task, world.schema.task.days[-1]
    _check_rest(rules, RULES)
    for cap in rules.caps:
        _check_rest(cap, CAP)
        if cap.days <= whole:
            need = f"must count contacts over the whole task, more than {whole} days"
            raise InputError(need, file="rules.yaml", field=cap.name, value=cap.days)
    if rules.refusal_days and rules.refusal_days <= whole:
        need = f"must be 0 or more than {whole}, the whole task"
        raise InputError(need, file="rules.yaml", field="refusal_days", value=rules.refusal_days)
    if any(later - earlier < WEEK for earlier, later in zip(task.days, task.days[2:], strict=False)):
        raise InputError("must not hold three decisions within seven days", field="task.days", value=task.days)


def _check_rest(written: Rules | Cap, known: frozenset[str]) -> None:
    """What the exact model does not know of must be left at its default."""
    for name, field in type(written).model_fields.items():
        value = getattr(written, name)
        if name not in known and value != field.get_default(call_default_factory=True):
            raise InputError("must be left out to be exact", file="rules.yaml", field=name, value=value)
