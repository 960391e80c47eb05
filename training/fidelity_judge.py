"""Judge one head: its scores beside base rates and LightGBM, every check, the split by time, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evaluation.intervals import Interval
from evaluation.resampling import resample
from training.fidelity_checks import (
    FOR_PRODUCT,
    ON_CHANNEL,
    OVERALL,
    Check,
    Group,
    between_customers,
    group,
    missing,
    quantile_groups,
    recalibration,
)
from training.fidelity_groups import PERIOD, Past, groups_of
from training.fidelity_models import ByForm, ByTrees, Prediction, base_rate, trees
from training.fidelity_rows import HeadSample, LogRows, Sample
from training.fidelity_scores import mean_score, score_ratio
from training.fidelity_settings import FidelityThresholds
from training.fidelity_time import TimeSplit, across_time
from training.fidelity_why import Why, why_stiff
from training.fidelity_yardstick import LEAVES

CURIOUS = 1.01  # score over LightGBM's from which on it is worth looking for what the form lacks
LEAST_TRAINING = 20  # events (and others) in training rows below which trees are not grown


@dataclass(frozen=True)
class HeadFidelity:
    """What is known of one head on customers that calibration never read."""

    name: str
    link: str
    given: str
    per: str
    customers: int
    rows: int
    events: int
    others: int
    training_events: int
    enough: bool  # events, to be judged by
    score: str  # log-loss or CRPS
    base: float  # mean score of base rates
    head: float
    lightgbm: float | None  # None: too few events to grow trees
    ratio: Interval | None  # head over LightGBM
    over_base: Interval  # head over base rates
    level: Group  # all rows together
    groups: tuple[Group, ...]
    checks: tuple[Check, ...]  # of the head as a whole; each group is a check too
    time: TimeSplit | None
    why: Why | None

    def every_check(self, thresholds: FidelityThresholds) -> Iterator[Check]:
        """All that was looked at and may be judged."""
        if not self.enough:
            return
        yield from self.checks
        if self.level.judged:
            yield self.level.check("level", "miscalibrated", thresholds.level)
        for g in (g for g in self.groups if g.judged):
            yield g.check("group", "drifts" if g.by == PERIOD else "miscalibrated", thresholds.group)
        if self.time is not None:
            yield from (self.time.level, self.time.effects)


@dataclass(frozen=True)
class Judge:
    """Everything that judging heads shares."""

    log: LogRows
    thresholds: FidelityThresholds
    cut: int | None  # microseconds: the later part of the log begins after it; None: all at one time
    resamples: int
    seed: int

    @cached_property
    def past(self) -> Past:
        return Past(self.log.source)

    def __call__(self, sample: HeadSample) -> HeadFidelity:
        train, test, least = sample.train, sample.test, self.thresholds.group_events
        enough = min(test.events, test.others) >= self.thresholds.events
        yardstick = self._yardstick(train)
        models: dict[str, Prediction] = {"head": ByForm(test.data.link), "base": base_rate(train)}
        if yardstick is not None:
            models["lightgbm"] = yardstick
        scores = {name: model.score(test) for name, model in models.items()}
        means = {name: mean_score(score, test.rows.weight) for name, score in scores.items()}
        over_base, ratio = self._ratio(test, scores, "base"), self._ratio(test, scores, "lightgbm")
        assert over_base is not None  # base rates are always there
        return HeadFidelity(
            name=sample.name,
            link=test.data.link,
            given=test.data.given,
            per=test.data.per,
            customers=test.customers,
            rows=len(test.eta),
            events=test.events,
            others=test.others,
            training_events=train.events,
            enough=enough,
            score="CRPS" if test.is_amount else "log-loss",
            base=means["base"],
            head=means["head"],
            lightgbm=means.get("lightgbm"),
            ratio=ratio,
            over_base=over_base,
            level=group(test, "all rows", "", least),
            groups=(*groups_of(test, self.past, least), *quantile_groups(test, least)),
            checks=tuple(self._checks(test, yardstick, ratio)) if enough else (),
            time=self._time(sample, yardstick) if enough else None,
            why=self._why(sample, yardstick, ratio) if enough else None,
        )

    def _yardstick(self, train: Sample) -> ByTrees | None:
        if min(train.events, train.others) < LEAST_TRAINING:
            return None
        return trees(train, self.log.world.encoder, self.log.source.observation, self.seed)

    def _ratio(self, test: Sample, scores: dict[str, np.ndarray], other: str) -> Interval | None:
        if other not in scores:
            return None
        draws = resample(test.customers, self.resamples, np.random.default_rng(self.seed))
        return score_ratio(scores["head"], scores[other], test.rows.weight, test.rows.customer, draws, 0.95)

    def _checks(self, test: Sample, yardstick: ByTrees | None, ratio: Interval | None) -> Iterator[Check]:
        bounds = self.thresholds
        if yardstick is not None and ratio is not None:
            z = (ratio.value - 1) / ratio.se if ratio.se > 0 else 0.0
            what = f"{'CRPS' if test.is_amount else 'log-loss'} over LightGBM's"
            yield Check("stiff", "too stiff", what, ratio.value, ratio.lo, ratio.hi, z, ratio.value > bounds.stiff)
            yield missing(test, yardstick.eta(test), bounds.missing)
        yield from recalibration(test, bounds.slope, bounds.bend)
        for what, unit in self._units(test):
            found = between_customers(test, what, unit, bounds.customers)
            if np.isfinite(found.value):
                yield found

    def _units(self, test: Sample) -> Iterator[tuple[str, np.ndarray]]:
        """Rows of a customer that an effect of the customer would share."""
        catalogue, option = self.log.world.catalogue, test.data.option
        yield OVERALL, np.zeros(len(option), np.int64)
        if test.data.per == "product":
            yield FOR_PRODUCT, option
        elif test.data.given != "always":
            yield ON_CHANNEL, catalogue.channel_of[option] + 1
            yield FOR_PRODUCT, catalogue.product_of[option] + 1

    def _time(self, sample: HeadSample, yardstick: ByTrees | None) -> TimeSplit | None:
        if self.cut is None:
            return None
        leaves = LEAVES if yardstick is None else (yardstick.forest.leaves,)
        return across_time(sample, self.log, self.cut, leaves, self.thresholds, self.resamples, self.seed)

    def _why(self, sample: HeadSample, yardstick: ByTrees | None, ratio: Interval | None) -> Why | None:
        if yardstick is None or ratio is None or ratio.value < CURIOUS:
            return None
        return why_stiff(sample, self.log, yardstick, self.seed)
