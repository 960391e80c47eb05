"""How well a log of the built-in bank tells its coefficients: the standard errors behind `benchmarks.ensemble`.

A log of the bank is simulated and calibrated in the bank's own form. What is found is written into the folder that
--keep names; the repository's own file, `envs/worlds/bank/standard_errors.yaml`, came out of seed 0.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
import yaml

from benchmarks.kit import Options, Result, main, show
from envs.members import FILE, StandardErrors
from envs.world import World, load_world
from training.calibrate import calibrate
from training.calibration_heads import FittedHead
from training.configs import CalibrateConfig, SimulateConfig
from training.simulate import simulate

CUSTOMERS = 30_000
UNMEASURED = 0.25  # assumed: as badly known as the worse quarter of what the log tells (third quartile of error / size)
MOST = 1.0  # log odds; assumed: beyond it a calibration's prior of unit variance would speak, and not the log


def standard_errors(options: Options, result: Result) -> None:
    """Simulate, calibrate, keep the standard errors."""
    bank, customers = load_world("bank"), 2000 if options.quick else CUSTOMERS
    log = simulate(SimulateConfig(customers=customers, seed=options.seed, out=options.work / "log"))
    said = CalibrateConfig(
        tables=log.directory, form="bank", replicates=0, seed=options.seed, out=options.work / "world"
    )
    found = measured(bank, calibrate(said).heads)
    source = f"calibration in its own form on a simulated log of {customers} customers, 91 days, seed {options.seed}"
    errors = StandardErrors(source=source, unmeasured=UNMEASURED, most=MOST, heads=found)
    text = yaml.safe_dump(errors.model_dump(), sort_keys=False, allow_unicode=True, width=120)
    (options.work / FILE).write_text(text, encoding="utf-8")
    _tell(bank, errors, result)
    result.conditions |= {"customers": customers}


def measured(bank: World, calibrated: Iterable[FittedHead]) -> dict[str, dict[str, float]]:
    """Head -> feature -> standard error, in the order of the bank; only what the log itself determined."""
    told = {head.name: {e.feature: e.debiased_se for e in head.estimates if not e.held} for head in calibrated}
    return {
        name: {t.feature: round(told[name][t.feature], 4) for t in head.terms if t.feature in told[name]}
        for name, head in bank.coefficients.heads.items()
        if name in told
    }


def _tell(bank: World, errors: StandardErrors, result: Result) -> None:
    """Per head: how many are measured, and how large errors are beside coefficients."""
    rows, shares = [], []
    for name, head in bank.coefficients.heads.items():
        own = errors.heads.get(name, {})
        told = [(own[t.feature], abs(t.value)) for t in head.terms if t.feature in own]
        shares += [error / size for error, size in told if size]
        rows.append((name, len(head.terms), len(told), float(np.median([e for e, _ in told])) if told else None))
    columns = ["head", "coefficients", "measured", "median standard error"]
    show("Standard errors of the bank's coefficients", pl.DataFrame(rows, orient="row", schema=columns))
    quartiles = np.quantile(shares, [0.25, 0.5, 0.75]).tolist()
    print(f"standard error / size of the coefficient, quartiles: {', '.join(f'{q:.3f}' for q in quartiles)}")
    result.figures |= {"heads": rows, "share_quartiles": quartiles}


if __name__ == "__main__":
    main("standard_errors", standard_errors)
