"""Learning curves on the same customers: gain over decisions and over seconds, and when a gain is reached to stay.

The judge's own time is taken out of the seconds: whoever learns without being watched does not spend it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit

from agents.network import ScoringPolicy
from agents.policy import softened
from benchmarks.judged import Judge
from envs.world import World
from evaluation.intervals import Interval, mean_interval
from training.configs import TrainConfig
from training.course import CHECKPOINT, Training
from training.validation import FIRST_VALIDATED

Score = Callable[[torch.Tensor], torch.Tensor]  # (batch, fields) -> (batch, treatments), log-odds up to a constant
TIMES = (0.25, 1.0, 5.0, 15.0)  # prices of annoyance, times the usual one, as a training's own validation


def judge_of(world: World, config: TrainConfig, seed: int) -> Judge:
    """On the customers that trainings are validated on; seed: of their luck, one for all trainings."""
    numbers = FIRST_VALIDATED + np.arange(config.validation_customers)
    usual = world.schema.prices["annoyance"].default
    return Judge(world, numbers, config.horizon, seed, tuple(times * usual for times in TIMES))


@dataclass(frozen=True)
class Scored:
    """A network that learns, as the policy that would leave: its scores, a temperature and a floor."""

    score: Score
    temperature: float
    floor: float
    name: str = "learner"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            scores = self.score(torch.as_tensor(observation)).numpy()
        return softened(scores, mask, self.temperature, self.floor)


@dataclass(frozen=True)
class Curve:
    """What came of one training, at each time it was judged."""

    decisions: np.ndarray  # (points,)
    seconds: np.ndarray  # (points,) since its start, judging taken out
    gain: np.ndarray = field(repr=False)  # (points, customers) mean over prices, currency over silence
    by_price: np.ndarray = field(repr=False)  # (customers, prices) at the last point

    @property
    def mean(self) -> np.ndarray:
        """(points,)"""
        return np.asarray(self.gain.mean(axis=1))

    @property
    def plain(self) -> dict[str, list[float]]:
        """For a report."""
        return {"decisions": self.decisions.tolist(), "seconds": self.seconds.tolist(), "gain": self.mean.tolist()}

    def at_decisions(self, decisions: float) -> np.ndarray:
        """Each customer's gain after so many decisions, on lines between the points. -> (customers,)"""
        return _between(self.decisions, self.gain, decisions)

    def at_seconds(self, seconds: float) -> np.ndarray:
        """The same after so many seconds; nothing before the first point."""
        return _between(self.seconds, self.gain, seconds)

    def reaches(self, level: float) -> float | None:
        """Seconds to the first point from which the mean gain is at least `level`, and still is at the next one."""
        return held(self.seconds, self.mean >= level)


def held(seconds: np.ndarray, good: np.ndarray) -> float | None:
    """When it was first good and still is one point later; the last point stands for its next. good: (points,) bool"""
    stays = good & np.append(good[1:], True)
    return float(seconds[stays.argmax()]) if stays.any() else None


def _between(place: np.ndarray, gain: np.ndarray, x: float) -> np.ndarray:
    """Silence before the first point, the last one's gain after it."""
    if x < place[0]:
        return np.zeros(gain.shape[1])
    after = int(np.searchsorted(place, x, side="left"))
    if after == 0 or after == len(place):
        return np.asarray(gain[min(after, len(place) - 1)])
    share = (x - place[after - 1]) / (place[after] - place[after - 1])
    return np.asarray((1 - share) * gain[after - 1] + share * gain[after])


class Clocked:
    """The judge of one training, who notes when it was asked. A training's own judge can be replaced by it."""

    def __init__(self, judge: Judge, config: TrainConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.decisions: Callable[[], int] = lambda: 0  # so far, of the learner that is judged
        self._judge, self._config, self._clock = judge, config, clock
        self._started, self._spent = clock(), 0.0
        self._points: list[tuple[int, float, np.ndarray]] = []

    @property
    def seconds(self) -> float:
        """Since the start, judging taken out."""
        return self._clock() - self._started - self._spent

    def gain(self, policy: Any) -> np.ndarray:
        """Of a policy whose extractor gives the scores. -> (customers, prices)"""
        return self.judged(policy.mlp_extractor.forward_actor)

    def judged(self, score: Score) -> np.ndarray:
        """Judge scores and note it."""
        now, before = self.seconds, self._clock()
        gain = self._judge.gain(Scored(score, self._config.temperature, self._config.floor))
        self._points.append((self.decisions(), now, gain))
        self._spent += self._clock() - before
        return gain

    def interval(self, gain: np.ndarray) -> Interval:
        """The mean over prices, with the interval over customers."""
        return mean_interval(gain.mean(axis=1))

    @property
    def curve(self) -> Curve:
        """What was noted."""
        decisions, seconds, gain = zip(*self._points, strict=True)
        return Curve(np.array(decisions), np.array(seconds), np.stack(gain).mean(axis=2), gain[-1])


def trained(
    world: World,
    config: TrainConfig,
    judge: Judge,
    folder: Path,
    points: int,
    network: type[ScoringPolicy] = ScoringPolicy,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Training, Curve]:
    """A whole training in a folder, judged at its start and so many times on the way; nothing stops it early."""
    own = config.model_copy(update={"validations": points, "patience": 0, "out": folder})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    clocked = Clocked(judge, own, clock)
    training = Training(own, world, folder, network=network)
    training.judge = clocked  # type: ignore[assignment]  # asks for the same, and tells the time
    clocked.decisions = lambda: training.learner.num_timesteps
    training.run()
    return training, clocked.curve


def warm_up(world: World, config: TrainConfig, judge: Judge, folder: Path) -> None:
    """Nobody's time: kernels are compiled, libraries loaded."""
    least = config.model_copy(
        update={"steps": 1, "imitation_steps": 1, "tuning_customers": 1, "foresight_customers": 0}
    )
    trained(world, least, judge, folder, 1)


def geometric_ratio(above: Sequence[float], below: Sequence[float], confidence: float = 0.95) -> Interval:
    """Ratio of two times, geometric mean over pairs, with Student's t on its logarithm; one pair has no interval."""
    logs = np.log(np.array(above) / np.array(below))
    count, middle = len(logs), float(logs.mean())
    if count == 1:
        return Interval(float(np.exp(middle)), np.nan, np.nan, np.nan, np.nan)
    se = float(logs.std(ddof=1)) / count**0.5
    half, one = (float(stdtrit(count - 1, q)) * se for q in ((1 + confidence) / 2, confidence))
    value = float(np.exp(middle))
    return Interval(value, value * se, float(np.exp(middle - half)), float(np.exp(middle + half)),
                    float(np.exp(middle - one)))  # fmt: skip
