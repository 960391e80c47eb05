"""Together: bounds of several policies' differences that hold for all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.intervals import Interval


@dataclass(frozen=True)
class Together:
    """Bounds of one policy's difference to the reference, among as many policies as were compared."""

    policy: str
    policies: int  # compared, this one among them
    lo: float
    hi: float
    lower: float  # one-sided


def together(alone: Mapping[str, Interval], draws: Mapping[str, np.ndarray], confidence: float) -> tuple[Together, ...]:
    """Of differences, by policy, with their own intervals and bootstrap draws (resamples,), which all policies share.

        value -+ c se        c: quantile over the resamples of the largest |draw - value| / se of any policy

    The largest studentised deviation (Romano and Wolf 2005, "Stepwise multiple testing as formalized data snooping",
    its single step): policies that rise and fall together cost less than Bonferroni's correction. Policies whose
    difference has no value in some resample have no bounds, those without spread keep their own; neither corrects any
    other's. Bounds are never inside the policy's own, which are corrected for skewness.
    """
    known = [name for name in alone if np.isfinite(draws[name]).all() and draws[name].std() > 0]
    spread = {name: float(draws[name].std(ddof=1)) for name in known}
    apart = np.array([(draws[name] - alone[name].value) / spread[name] for name in known])  # (known, resamples)
    out = []
    for name, own in alone.items():
        flat = np.isfinite(draws[name]).all()
        lo, hi, lower = (own.lo, own.hi, own.lower) if flat else (np.nan, np.nan, np.nan)
        if name in known:
            two_sided = float(np.quantile(np.abs(apart).max(axis=0), confidence)) * spread[name]
            one_sided = float(np.quantile(apart.max(axis=0), confidence)) * spread[name]
            lo, hi = min(own.lo, own.value - two_sided), max(own.hi, own.value + two_sided)
            lower = min(own.lower, own.value - one_sided)
        out.append(Together(name, len(alone), lo, hi, lower))
    return tuple(out)
