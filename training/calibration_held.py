"""What the rows of a head cannot determine: classes without a row, separated levels, what only a prior holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from training.calibration_findings import Finding
from training.calibration_rows import HeadRows
from training.calibration_support import separations

RARE = 10  # events below which a head has no features


def empty_class(head: HeadRows) -> tuple[Finding, ...]:
    """A response that always happens, or hardly ever."""
    if head.link == "lognormal":
        return ()
    rows, events = float(head.rows.weight.sum()), int(head.events)
    if events == len(head.look):
        return (Finding(f"head {head.name}", "its other class is empty", f"{events:,} of {rows:,.0f} rows happened",
                        "it always happens"),)  # fmt: skip
    few = min(events, len(head.look) - events)
    if few < RARE:
        return (Finding(f"head {head.name}", "it is too rare for any feature", f"{events:,} events in {rows:,.0f} rows",
                        "the same for everybody"),)  # fmt: skip
    return ()


def separated(head: HeadRows, names: tuple[str, ...], x: np.ndarray) -> tuple[Finding, ...]:
    """Levels of features at which one class alone is seen. x: (n, names), the columns of the head's rows."""
    out = []
    for found in separations(x, head.rows) if head.link != "lognormal" else []:
        name, ever = names[found.column], "always" if found.always else "never"
        count = f"{found.rows:,.0f}"
        evidence = f"{count if found.always else 0} events in {count} rows with {name} {found.level}"
        what = f"feature {name} {found.level} separates: there it {ever} happens"
        out.append(Finding(f"head {head.name}", what, evidence, "its coefficient is held by its prior"))
    return tuple(out)


def held_back(held: Mapping[str, tuple[int, int]]) -> tuple[Finding, ...]:
    """Coefficients that the prior holds. held: head -> how many, out of how many."""
    some = {name: (count, of) for name, (count, of) in held.items() if count}
    if not some:
        return ()
    count, total = sum(c for c, _ in some.values()), sum(of for _, of in some.values())
    heads = ", ".join(f"{name} {c} of {of}" for name, (c, of) in some.items())
    what = "features that always come together, or that are too rare"
    evidence = f"{count} of {total} coefficients have less information than a prior of unit variance: {heads}"
    assumption = (
        "the prior shares the effect out; held coefficients are marked in calibration.json and have no interval"
    )
    return (Finding("coefficients", what, evidence, assumption),)


def unfitted(form: Iterable[str], fitted: Collection[str]) -> tuple[Finding, ...]:
    """Heads that the form names and the log has no rows for."""
    evidence = "the form names it, the log has no rows for it"
    return tuple(
        Finding(f"head {name}", "its coefficients", evidence, "the world lacks it")
        for name in form
        if name not in fitted
    )
