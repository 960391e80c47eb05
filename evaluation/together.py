"""Together: bounds of several policies' differences that hold for all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Together:
    """Bounds of one policy's difference to the reference, among as many policies as were compared."""

    policy: str
    policies: int  # compared, this one among them
    lo: float
    hi: float
    lower: float  # one-sided


def together(values: Mapping[str, float], draws: Mapping[str, np.ndarray], confidence: float) -> tuple[Together, ...]:
    """Of differences, by policy, and their bootstrap draws (resamples,), which all policies share.

        value -+ c se        c: quantile over the resamples of the largest |draw - value| / se of any policy

    The largest studentised deviation (Romano and Wolf 2005, "Stepwise multiple testing as formalized data snooping",
    its single step): policies that rise and fall together cost less than Bonferroni's correction. Policies whose
    difference has no spread, or no value in some resample, have no bounds and correct no other's.
    """
    known = [name for name in values if np.isfinite(draws[name]).all() and draws[name].std() > 0]
    spread = {name: float(draws[name].std(ddof=1)) for name in known}
    apart = np.array([(draws[name] - values[name]) / spread[name] for name in known]).reshape(len(known), -1)
    out = []
    for name, value in values.items():
        lo, hi, lower = np.nan, np.nan, np.nan
        if name in known:
            two_sided = float(np.quantile(np.abs(apart).max(axis=0), confidence)) * spread[name]
            lo, hi = value - two_sided, value + two_sided
            lower = value - float(np.quantile(apart.max(axis=0), confidence)) * spread[name]
        out.append(Together(name, len(values), lo, hi, lower))
    return tuple(out)
