"""Tuned baselines: learn what has to be learned, search every baseline's dials, all with the same stated budget.

    tuned = tuned_baselines(BaselinesConfig(world="bank", customer_days=2_000_000))
    tuned.frame                       # what each took, and where its frontier ends
    tuned.frontiers["fitted_q"].measured(Trial(world, customers, 91))

The budget is counted in simulated customer-days, what a baseline learned from included: so many days of customers is
what any of them, and a policy trained by reinforcement, may use. The world is the truth in which they are tuned: the
built-in bank, or the user's own calibrated one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl
from pydantic import Field

from agents.experience import Experience
from envs.catalogue import SILENCE
from envs.config import Config
from envs.errors import InputError
from envs.world import World, load_world
from evaluation.frontier import Frontier
from training import families
from training.bandit import ROUNDS, learn_bandit
from training.experience import customer_days, explored, logged
from training.fitted_q import learn_fitted_q
from training.progress import Advance, progress
from training.propensity import Chosen, Learned, learn_propensity
from training.simulate import under_silos
from training.tuning import Family, Tuned, spending, tune

FIRST_LEARNED = 30_000_000  # number of the first customer that baselines learn from
FIRST_BANDIT = 40_000_000  # and of the bandit's own
Name = Literal[
    "random", "best_fixed", "siloed_campaigns", "silos_tuned", "coordinated_rules", "coordinated_tuned",
    "propensity_margin", "thompson", "assignment", "fitted_q", "true_heads", "clairvoyant",
]  # fmt: skip
DRAWN = 100.0  # contacts that a desk's mean weighs in the mean of each of its treatments; assumed
NAMES: tuple[Name, ...] = get_args(Name)
OF_SILOS = ("siloed_campaigns", "silos_tuned")


class BaselinesConfig(Config):
    """Tune the baselines of a world, each with the same budget."""

    world: str = "bank"
    """The world to tune in: a built-in one (`bank`, `exact`) or the directory of a calibrated world."""
    tables: Path | None = None
    """Canonical tables to learn from; none: an exploration is simulated. Their days count in the budget alike."""
    assignment: str | None = "randomised"
    """Of the tables, the assignment to learn from; null: all decisions."""
    names: tuple[Name, ...] = NAMES
    """Which baselines."""
    customer_days: int = Field(2_000_000, ge=1)
    """Budget of each baseline in simulated customer-days, what it learns from included."""
    learning_share: float = Field(0.25, gt=0.0, lt=1.0)
    """Share of the budget for what is learned from, where that is simulated."""
    days: int = Field(91, ge=7)
    """Days of a continuing task."""
    seed: int = Field(0, ge=0)
    """Seed of the exploration, the learning and the search."""


@dataclass(frozen=True)
class TunedBaselines:
    """Every baseline's frontier, chosen on selection customers."""

    config: BaselinesConfig
    world: World
    tuned: Mapping[str, Tuned]
    chosen: tuple[Chosen, ...]  # how the models of propensity x margin were chosen

    @cached_property
    def frontiers(self) -> dict[str, Frontier]:
        """By name."""
        return {name: found.frontier for name, found in self.tuned.items()}

    @property
    def frame(self) -> pl.DataFrame:
        """One row per baseline: what it took; its end, on the customers it was chosen on."""
        ends = [(f.reach, float(f.gain[-1])) for f in self.frontiers.values()]
        last = pl.DataFrame(ends, orient="row", schema=["end_annoyance", "end_gain"])
        return pl.concat([spending(list(self.tuned.values())), last], how="horizontal")

    def __str__(self) -> str:
        with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True):
            return "\n".join([*(str(one) for one in self.chosen), str(self.frame)])

    def _repr_html_(self) -> str:
        return self.frame._repr_html_()


def tuned_baselines(config: BaselinesConfig) -> TunedBaselines:
    """Learn and tune the baselines that the config names."""
    world = load_world(config.world)
    names = [name for name in config.names if name not in OF_SILOS or _has_silos(world)]
    with progress("tuning baselines (customer-days)", total=len(names) * config.customer_days) as advance:
        workshop = Workshop(config, world, advance)
        tuned = {
            family.name: tune(family, world, config.customer_days, days=config.days, seed=config.seed, advance=advance)
            for family in workshop.families(names)
        }
    if not tuned:
        raise InputError(f"must name baselines of this world besides {SILENCE}", field="names", value=config.names)
    return TunedBaselines(config, world, tuned, workshop.chosen)


class Workshop:
    """What baselines share: the experience, and the models learned from it, made when first needed."""

    def __init__(self, config: BaselinesConfig, world: World, advance: Advance) -> None:
        self.config, self.world, self._advance = config, world, advance

    def families(self, names: list[Name]) -> Iterator[Family]:
        """The named baselines, one after another."""
        world, cheap = self.world, [*families.simple(self.world), *families.coordinated(self.world)]
        for name in names:
            if name == "clairvoyant":
                yield families.clairvoyant(world)
            elif name == "true_heads":
                yield families.true_heads(world)
            elif name == "propensity_margin":
                yield families.levered(name, self.propensity.policy.dialled, world, self.learning_days)
            elif name == "assignment":
                yield families.assignment(world, self.propensity.policy, self.learning_days)
            elif name == "fitted_q":
                policy = learn_fitted_q(self.propensity.policy, self.experience, seed=self.config.seed)
                yield families.fitted_q(world, policy, self.learning_days)
            elif name == "thompson":
                yield self._bandit()
            elif name in OF_SILOS:
                rules = under_silos(world).rules
                found = families.silos(world, rules, self.brought, self.learning_days)
                yield next(family for family in found if family.name == name)
            else:
                yield next(family for family in cheap if family.name == name)

    @property
    def chosen(self) -> tuple[Chosen, ...]:
        """How models were chosen, if they were."""
        return self.propensity.chosen if "propensity" in self.__dict__ else ()

    @cached_property
    def experience(self) -> Experience:
        """The log, or a simulated exploration of the stated share of the budget."""
        config = self.config
        if config.tables is not None:
            return logged(config.tables, "train", config.assignment)
        numbers = FIRST_LEARNED + np.arange(self._affordable)
        return explored(self.world, numbers, config.days, seed=config.seed)

    @property
    def _affordable(self) -> int:
        """Customers that the share of the budget pays for."""
        days = int(self.config.learning_share * self.config.customer_days)
        return max(1, days // customer_days(self.world, 1, self.config.days))

    @property
    def learning_days(self) -> int:
        return self.experience.customer_days

    @cached_property
    def propensity(self) -> Learned:
        return learn_propensity(self.experience, self.world.encoder, seed=self.config.seed)

    @cached_property
    def brought(self) -> np.ndarray:  # (treatments,) float64
        """Mean margin less cost per contact of each treatment, as its own desk knows it, drawn towards the desk's."""
        e, catalogue = self.experience, self.world.catalogue
        count = len(catalogue.treatment_ids)
        made, value = np.bincount(e.treatment, minlength=count), np.bincount(e.treatment, e.value, count)
        out = np.zeros(count)
        for desk in range(len(catalogue.channels)):
            mine = np.flatnonzero(catalogue.channel_of == desk)
            level = value[mine].sum() / max(made[mine].sum(), 1)
            out[mine] = (value[mine] + DRAWN * level) / (made[mine] + DRAWN) - catalogue.cost[mine]
        return out

    def _bandit(self) -> Family:
        """Its rounds spend the same share of the budget as the others' exploration."""
        numbers = FIRST_BANDIT + np.arange(max(ROUNDS, self._affordable))
        bandit, spent = learn_bandit(self.world, numbers, self.config.days, seed=self.config.seed)
        return families.levered("thompson", bandit.dialled, self.world, spent)


def _has_silos(world: World) -> bool:
    """Campaigns follow the weekday."""
    return world.schema.task.kind == "continuing" and world.schema.task.calendar is not None
