"""The report of an evaluation: one record, as a frame, as JSON, as figures and as one HTML file."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from envs.errors import InputError
from evaluation.bearing import Bearing
from evaluation.changes import Changed
from evaluation.confounding import Sensitivity
from evaluation.data_card import DataCard, Estimate
from evaluation.demand import Demand
from evaluation.diagnostics import Support
from evaluation.fairness import Fairness
from evaluation.guaranteed import Guaranteed
from evaluation.language import Language, speaking
from evaluation.lead import Lead, single_size
from evaluation.live import Live
from evaluation.misspecification import Misspecification
from evaluation.names import Names
from evaluation.origin import Origin
from evaluation.power import Power
from evaluation.propensity_check import PropensityCheck
from evaluation.reliability import Reliability
from evaluation.remask import Served
from evaluation.reward_model import Choice
from evaluation.settings import EvaluationSettings
from evaluation.shares import Share
from evaluation.slices import Slice
from evaluation.together import Together
from evaluation.untried import Untried
from evaluation.use import Use
from evaluation.verdict import Verdict, verdicts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = ("margin", "cost", "annoyance")


@dataclass(frozen=True)
class Report:
    """What policies are worth on a log. `print(report.frame)`, `report.figure()`, `report.write(directory)`."""

    policies: tuple[str, ...]  # the logging policy first
    digests: tuple[str | None, ...]
    reference: str
    lead: Lead
    estimates: tuple[Estimate, ...]
    supports: tuple[Support, ...]  # per policy
    choices: tuple[Choice, ...]  # regressions of the models
    mix: np.ndarray  # (policies, treatments) share of decisions
    treatments: tuple[str, ...]
    data: DataCard
    prices: tuple[float, ...] | None  # annoyance, then pools; None: as logged
    price_names: tuple[str, ...]
    settings: EvaluationSettings
    seed: int
    simulation: pl.DataFrame | None = None
    burden: pl.DataFrame | None = None  # how often simulated customers are contacted, and how they take it
    together: tuple[Together, ...] = ()  # of the policies that the evaluation is about, where these are several
    powers: tuple[Power, ...] = ()  # per policy but the logging one
    check: PropensityCheck | None = None  # of logged propensities; None: they were estimated
    reliability: Reliability | None = None  # of estimated propensities; None: they were logged
    sensitivities: tuple[Sensitivity, ...] = ()  # per policy whose lead estimate is sampled
    misspecifications: tuple[Misspecification, ...] = ()  # per policy, of estimates that use a model
    changed: tuple[Changed, ...] = ()  # of the policies that the evaluation is about
    guaranteed: tuple[Guaranteed, ...] = ()  # per policy, where a range of rewards was stated
    slices: tuple[Slice, ...] = ()  # of the policies that the evaluation is about
    fairness: tuple[Fairness, ...] = ()  # of the policies that the evaluation is about, where columns are protected
    bearings: tuple[Bearing, ...] = ()  # per policy, the logging one first
    shares: tuple[Share, ...] = ()  # of decisions, by product and by channel; empty: the catalogue is not known
    demands: tuple[Demand, ...] = ()  # per policy and pool
    untried: tuple[Untried, ...] = ()  # per policy that would do what the log never did
    served: tuple[Served, ...] = ()  # policies under rules of their own
    live: tuple[Live, ...] = ()  # forecasts of an earlier report beside what came
    uses: tuple[Use, ...] = ()  # per policy but the logging one, where it is known
    names: Names = field(default_factory=Names)  # what the log's names mean
    origin: Origin | None = None  # None: it was made by no command
    parts: int = 1  # in which the log was read
    learned_from: str = ""  # how the training log was drawn; empty: it is whole
    assignments: tuple[str, ...] = ()  # of the decisions that were read; empty: not known
    tables: str | None = None  # directory of the canonical tables, where the log was read from one

    def estimate(self, policy: str, estimator: str | None = None, amount: str = "reward") -> Estimate:
        """One estimate; by default the lead's of the reward. KeyError where it was not computed."""
        return self._index[policy, estimator or self.lead.estimator, amount]

    @cached_property
    def _index(self) -> dict[tuple[str, str, str], Estimate]:
        return {(e.policy, e.estimator, e.amount): e for e in self.estimates}

    @property
    def computed(self) -> frozenset[tuple[str, str, str]]:
        """Which (policy, estimator, amount) there are."""
        return frozenset(self._index)

    @property
    def estimators(self) -> tuple[str, ...]:
        """Estimators of the reward, in the order of the catalogue of estimators."""
        return tuple(dict.fromkeys(e.estimator for e in self.estimates if e.amount == "reward"))

    def support(self, policy: str) -> tuple[float, float]:
        """Effective sample size and largest weight behind the lead estimate of a policy, in customers."""
        found = self.supports[self.policies.index(policy)]
        if self.lead.kind in ("one-step", "k-step"):
            at = self.lead.decisions - 1
            return float(found.ess_cumulative[at]), float(found.largest_cumulative[at])
        size = single_size(found, self.data.customers, self.data.kind == "continuing")
        return size, float(found.largest_weight.max())

    def bounds(self, policy: str) -> tuple[float, float]:
        """Of a policy's difference to the reference; where several policies are compared, of all of them together."""
        for one in self.together:
            if one.policy == policy:
                return one.lo, one.hi
        difference = self.estimate(policy).difference
        return (0.0, 0.0) if difference is None else (difference.lo, difference.hi)

    def above(self, policy: str) -> tuple[Demand, ...]:
        """Pools of which a policy asks for more than there is."""
        return tuple(one for one in self.demands if one.policy == policy and one.above)

    @property
    def expires(self) -> date:
        """The last day on which this report may be used."""
        return date.fromisoformat(self.data.last[:10]) + timedelta(days=self.settings.valid_days)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """A row per policy: the lead estimate, its parts and support, then every estimate."""
        return pl.DataFrame([self._row(policy) for policy in self.policies], infer_schema_length=None)

    def _row(self, policy: str) -> dict[str, Any]:
        lead = self.estimate(policy)
        size, largest = self.support(policy)
        row: dict[str, Any] = {"policy": policy, "lead": self.lead.estimator, "model_based": self.lead.model_based}
        row |= _columns("value", lead, bare="")
        row |= {"ess": size, "max_weight": largest, "untried": self.supports[self.policies.index(policy)].untried}
        for amount in (*PARTS, "undiscounted"):
            if (policy, self.lead.estimator, amount) in self._index:
                row |= _columns(amount, self.estimate(policy, amount=amount))
        for name in self.estimators:
            row |= _columns(name, self.estimate(policy, name))
        return row

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What can be said of each policy against the reference, in plain English words."""
        with speaking("en"):
            return verdicts(self)

    def figure(self, kind: str = "forest") -> Figure:
        """A picture: "forest" (estimates), "support" (ESS by decision), "mix" (treatments), "confounding", "model" or
        "reliability".

        InputError where there is nothing to draw: a model-based lead has no weights that could be confounded, and one
        without a model none that could be wrong; logged propensities are not estimated.
        """
        from evaluation.figures import FIGURES, drawable

        if not drawable(self, kind):
            raise InputError("must be another one: this report has nothing to draw there", field="figure", value=kind)
        return FIGURES[kind](self)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values; numbers that do not exist are None."""
        from evaluation.report_json import content

        return content(self)

    def to_json(self) -> str:
        """The report as JSON, the same for the same inputs."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_html(self, lang: Language = "en") -> str:
        """The report as one self-contained HTML page, in English or Chinese; InputError in any other language."""
        from evaluation.page import page

        return page(self, lang)

    def _repr_html_(self) -> str:
        from evaluation.page import fragment

        return fragment(self)

    def __rich__(self) -> str:
        from rich.markup import escape

        return "\n".join(escape(v.text) for v in self.verdicts)

    def write(self, directory: Path | str, lang: Language = "en") -> Path:
        """Write report.html and report.json into a directory, each whole or not at all; returns the directory.

        lang: of report.html; report.json is the same in every language
        """
        place, texts = Path(directory), {"report.html": self.to_html(lang), "report.json": self.to_json()}
        place.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            temporary = place / f".{name}"
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, place / name)
        return place


def _columns(name: str, estimate: Estimate, bare: str | None = None) -> dict[str, float | None]:
    """Columns of an estimate; with `bare` the interval's columns carry no prefix."""
    prefix = f"{name}_" if bare is None else bare
    own = estimate.interval
    columns = {name: own.value, f"{prefix}lo": own.lo, f"{prefix}hi": own.hi, f"{prefix}se": own.se}
    other = estimate.difference
    for part in ("value", "lo", "hi", "se", "lower"):
        column = f"{prefix}difference" if part == "value" else f"{prefix}difference_{part}"
        columns[column] = 0.0 if other is None else getattr(other, part)
    return {key: None if math.isnan(value) else float(value) for key, value in columns.items()}
