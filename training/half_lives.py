"""Half-lives by profile likelihood: how fast do traces of the past fade, as far as the answers show it?

For a candidate half-life the log is encoded anew by `replay`, every head is fitted again, and their log-likelihoods are
summed: its profile. Sweep one walks a coarse grid with the other half-lives at the schema's; those that matter are then
walked on a finer grid with the others at their best. The interval holds every half-life whose likelihood ratio to the
best is below the chi-square quantile; since customers decide many times, the ratio is first divided by how much more
the scores of customers vary than a model of independent rows says (Chandler and Bate 2007, Biometrika 94).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from envs.schema import Fading
from training.half_life_profile import Profile, Profiler
from training.progress import Advance

NAMES = tuple(Fading.model_fields)
GRID = tuple(2.0**k for k in range(-1, 8))  # days, a half to 128
FINE = tuple(2 ** (k / 4) for k in range(-3, 4))  # of the best of the grid
ALPHA = (
    0.001  # of the test whether a trace matters at all; assumed: strict, since a new half-life makes new observations
)
QUANTILE = float(chi2.ppf(0.95, 1))
AGREE = 1e-3  # largest difference between a recorded observation and its replay
COARSE = 0.4  # share of the work that sweep one is


@dataclass(frozen=True)
class HalfLife:
    """What the log says of one half-life."""

    name: str
    default: float  # days, the schema's
    chosen: float  # days; the default where nothing else is known
    lower: float | None  # 95 % interval, in days; None: beyond the grid
    upper: float | None
    identified: bool
    reason: str  # why it is kept; empty where it is chosen
    days: tuple[float, ...] = ()  # the profile: candidates, ascending
    ratio: tuple[float, ...] = ()  # of each candidate, twice the log-likelihood that it lacks to the best, adjusted

    def __str__(self) -> str:
        if not self.identified:
            return f"half-life {self.name}: kept at {self.default:g} days, {self.reason}"
        low = f"{GRID[0]:g} or less" if self.lower is None else f"{self.lower:.1f}"
        high = f"{GRID[-1]:g} or more" if self.upper is None else f"{self.upper:.1f}"
        return f"half-life {self.name}: {self.chosen:g} days [{low}, {high}], schema {self.default:g}"


def choose_half_lives(profiler: Profiler, advance: Advance) -> tuple[HalfLife, ...]:
    """A verdict on each half-life of the schema. advance: called with the share of the work just finished."""
    default = profiler.tables.schema.fading
    if profiler.disagreement > AGREE:
        reason = "since replaying the log does not give back the observations that it recorded "
        reason += f"(they differ by up to {profiler.disagreement:.2g}: its history is not complete)"
        return tuple(_kept(name, default, reason) for name in NAMES)
    verdicts = {}
    for name in NAMES:
        verdicts[name] = verdict(name, default, profiler.profile(name, GRID, default))
        advance(COARSE / len(NAMES))
    best = default.model_copy(update={v.name: v.chosen for v in verdicts.values()})
    for name in NAMES:
        if verdicts[name].identified:
            around = {float(f"{verdicts[name].chosen * step:.4g}") for step in FINE}
            days = tuple(sorted(d for d in {*GRID, *around} if GRID[0] <= d <= GRID[-1]))
            verdicts[name] = verdict(name, default, profiler.profile(name, days, best))
            best = best.model_copy(update={name: verdicts[name].chosen})
        advance((1 - COARSE) / len(NAMES))
    return tuple(verdicts.values())


def fading_of(half_lives: tuple[HalfLife, ...]) -> Fading:
    """The half-lives as the schema holds them."""
    return Fading(**{half_life.name: half_life.chosen for half_life in half_lives})


def verdict(name: str, default: Fading, profile: Profile) -> HalfLife:
    """What a profile says: a half-life with its interval, or that the log cannot tell."""
    if not profile.heads:
        return _kept(name, default, "since the log holds nothing that it fades")
    ratio = adjusted_ratio(profile)
    curve = tuple(profile.days.tolist()), tuple(ratio.tolist())
    if profile.p > ALPHA:
        return _kept(name, default, f"since no answer visibly depends on what it fades (p = {profile.p:.2g})", *curve)
    if ratio.max() < QUANTILE:
        span = f"{profile.days[0]:g} to {profile.days[-1]:g}"
        return _kept(name, default, f"since the profile is flat: nothing from {span} days is ruled out", *curve)
    log2 = np.log2(profile.days)
    chosen = float(f"{2 ** vertex(log2, -ratio):.3g}")
    lower, upper = interval(log2, ratio)
    return HalfLife(name, getattr(default, name), chosen, lower, upper, True, "", *curve)


def _kept(
    name: str, default: Fading, reason: str, days: tuple[float, ...] = (), ratio: tuple[float, ...] = ()
) -> HalfLife:
    days_now: float = getattr(default, name)
    return HalfLife(name, days_now, days_now, None, None, False, reason, days, ratio)


def adjusted_ratio(profile: Profile) -> np.ndarray:  # (candidates,) float64
    """Twice the log-likelihood lacking to the best, times curvature / variance of scores where that is below 1."""
    total, at = profile.worth.sum(axis=1), np.log2(profile.days)
    best, factor = int(total.argmax()), 1.0
    if 0 < best < len(total) - 1:
        left, right = at[best] - at[best - 1], at[best + 1] - at[best]
        bend = ((total[best] - total[best - 1]) / left - (total[best + 1] - total[best]) / right) * 2 / (left + right)
        scores = (profile.worth[best + 1] - profile.worth[best - 1]) / (left + right)
        variance = float(((scores - scores.mean()) ** 2).sum())
        factor = min(bend / variance, 1.0) if variance > 0 else 1.0
    return np.asarray(2 * factor * (total[best] - total))


def vertex(at: np.ndarray, height: np.ndarray) -> float:
    """Where the parabola through the highest point and its neighbours is highest; at an end of the grid, the end."""
    best = int(height.argmax())
    if not 0 < best < len(at) - 1:
        return float(at[best])
    near = slice(best - 1, best + 2)
    a, b, _ = np.polyfit(at[near] - at[best], height[near], 2)
    return float(at[best] - b / (2 * a)) if a < 0 else float(at[best])


def interval(at: np.ndarray, ratio: np.ndarray) -> tuple[float | None, float | None]:
    """Days between which the ratio, drawn in straight lines over log2(days), is below the quantile. at: log2(days)."""
    best = int(ratio.argmin())
    lower = upper = None
    for k in range(best, 0, -1):
        if ratio[k - 1] >= QUANTILE:
            lower = float(2 ** np.interp(QUANTILE, [ratio[k], ratio[k - 1]], [at[k], at[k - 1]]))
            break
    for k in range(best, len(at) - 1):
        if ratio[k + 1] >= QUANTILE:
            upper = float(2 ** np.interp(QUANTILE, [ratio[k], ratio[k + 1]], [at[k], at[k + 1]]))
            break
    return lower, upper
