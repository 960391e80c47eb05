"""A split by time: the form fitted to the earlier part, judged on the later one, before and after its level is reset.

What resetting the intercept repairs is a drift of the level; what it leaves is a drift of the effects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.intervals import Interval
from evaluation.resampling import resample
from training.fidelity_checks import NORMAL, Check, group, shift
from training.fidelity_models import Prediction, base_rate, refitted, trees
from training.fidelity_rows import HeadSample, LogRows, Sample
from training.fidelity_scores import mean_score, score_ratio
from training.fidelity_settings import FidelityThresholds


@dataclass(frozen=True)
class TimeSplit:
    """A head across time. Scores are means over the later rows of customers that calibration never read."""

    cut: int  # microseconds: rows after it are the later part
    rows: int  # judged
    events: int
    before: Mapping[str, float]  # model -> score, all fitted on the earlier part
    after: Mapping[str, float]  # the same with the level reset on the later rows of training customers
    anew: float  # score of the form fitted to the later part itself
    shift: float  # what the form's level is reset by, in log odds (log rate, log amount)
    ratio: Interval  # form over LightGBM, both as the earlier part left them
    ratio_after: Interval  # the same, both with their level reset
    level: Check  # observed over expected in the later part
    effects: Check  # score with the level reset, over that of the form fitted anew


def cut_of(log: LogRows, late_share: float) -> int | None:
    """The instant that parts the decisions; None where all are taken at one time."""
    at = np.sort(log.source.decisions["at"].dt.epoch("us").to_numpy())
    cut = int(at[int((1 - late_share) * (len(at) - 1))])
    return cut if at[0] <= cut < at[-1] else None


def across_time(
    sample: HeadSample,
    log: LogRows,
    cut: int,
    leaves: Sequence[int],
    thresholds: FidelityThresholds,
    resamples: int,
    seed: int,
) -> TimeSplit | None:
    """A head across time; None where the earlier or the later part has too few events. leaves: sizes of tree to try."""
    early, late = (sample.train.take(np.flatnonzero(part)) for part in (sample.train.at <= cut, sample.train.at > cut))
    judged = sample.test.take(np.flatnonzero(sample.test.at > cut))
    if min(early.events, early.others, late.events, late.others, judged.events, judged.others) < thresholds.events:
        return None
    observation, rng = log.source.observation, np.random.default_rng(seed)
    form = refitted(early, observation, rng)
    models: dict[str, Prediction] = {
        "base rate": base_rate(early),
        "head": form,
        "LightGBM": trees(early, log.world.encoder, observation, seed, leaves),
    }
    shifts = {name: shift(late.data.link, model.eta(late), late.rows) for name, model in models.items()}
    scores = {name: (model.score(judged), model.score(judged, shifts[name])) for name, model in models.items()}
    anew = refitted(late, observation, rng).score(judged)
    weight, customer = judged.rows.weight, judged.rows.customer
    draws = resample(judged.customers, resamples, rng)

    def ratio(ours: np.ndarray, theirs: np.ndarray) -> Interval:
        return score_ratio(ours, theirs, weight, customer, draws, 0.95)

    return TimeSplit(
        cut=cut,
        rows=len(judged.eta),
        events=judged.events,
        before={name: mean_score(pair[0], weight) for name, pair in scores.items()},
        after={name: mean_score(pair[1], weight) for name, pair in scores.items()},
        anew=mean_score(anew, weight),
        shift=shifts["head"],
        ratio=ratio(scores["head"][0], scores["LightGBM"][0]),
        ratio_after=ratio(scores["head"][1], scores["LightGBM"][1]),
        level=_level(early, judged, form, thresholds),
        effects=_effects(ratio(scores["head"][1], anew), thresholds),
    )


def _level(early: Sample, judged: Sample, form: Prediction, thresholds: FidelityThresholds) -> Check:
    """Observed against expected in the later part, with the luck of both parts in its standard error."""
    then = group(_with(early, form.eta(early)), "", "", thresholds.group_events)
    now = group(_with(judged, form.eta(judged)), "", "", thresholds.group_events)
    se = float(np.hypot(now.se / now.scale, then.se / then.scale))
    value = now.error - then.error
    off = abs(value) > thresholds.drift
    what = "level of the later part, against the earlier one"
    return Check("drift", "drifts", what, value, value - NORMAL * se, value + NORMAL * se, value / se, off)


def _effects(ratio: Interval, thresholds: FidelityThresholds) -> Check:
    """Is the form, with its level reset, worse than the form fitted to the later part itself?"""
    z = (ratio.value - 1) / ratio.se if ratio.se > 0 else 0.0
    what = "score of the earlier part's effects over the later part's own, level reset"
    return Check("drift", "drifts", what, ratio.value, ratio.lo, ratio.hi, z, ratio.value > thresholds.stiff)


def _with(sample: Sample, eta: np.ndarray) -> Sample:
    return Sample(sample.head, sample.data, sample.thin, eta, sample.at)
