"""Log against replay: every indicator and curve of the log, among those of many simulated logs.

A simulated log is as large as the log part that it stands beside, and each comes from a member of the calibrated
world's ensemble: what the indicators vary by is luck and estimation together. Posterior predictive p-values: Rubin
(1984), Annals of Statistics 12; Gelman, Meng and Stern (1996), Statistica Sinica 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import norm, t

from envs.counting import counts_of
from envs.indicators import indicators
from envs.observed import Period, period_of
from envs.process import process_figures
from envs.tables import Tables
from training.calibration_rows import Source
from training.fidelity_groups import CONTACTS, SINCE, WEEKDAYS, Past, classes, ranges

EVENTS = ("delivered", "engaged", "converted", "declined", "opted_out", "complained", "purchased")
CHANNEL_FIGURES = {  # figure -> the event whose channel the log must record
    "reach": None, "delivery": "delivered", "connection": "delivered", "engagement": "engaged",
    "conversions": "converted", "acceptance": "engaged", "drop_outs": "engaged",
}  # fmt: skip
COUNTED = ("contacts_p95", "contacts_p99")  # whole numbers, off by one before they are off by a share
PASSED = ("observed_days",)  # says how long the log is, which the replay takes from it


@dataclass(frozen=True)
class Compared:
    """One number of the log among those of the replays."""

    kind: str  # indicator, process or curve
    name: str  # of an event, where it is a curve
    by: str  # what a curve runs over; the channel of a process figure
    label: str
    log: float
    mean: float  # of the replays
    lo: float  # 95 % of them lie between, luck and estimation together
    hi: float
    p: float  # two-sided posterior predictive p-value, by counting
    z: float  # the same by the normal predictive distribution of the replays, in standard errors
    off: bool
    judged: bool

    def failed(self, certain: float) -> bool:
        return self.judged and self.off and abs(self.z) > certain


Key = tuple[str, str, str, str]  # kind, name, by, label


def numbers_of(tables: Tables, period: Period) -> dict[Key, tuple[float, float]]:
    """Every indicator, process figure and point of a curve: key -> (value, how many rows or events it rests on)."""
    counts = counts_of(tables, period=period)
    out: dict[Key, tuple[float, float]] = {}
    for name, value in indicators(counts, tables.catalogue).select("indicator", "value").iter_rows():
        if value is not None and name not in PASSED:
            out["indicator", name, "", ""] = (value, np.inf)
    figures = process_figures(counts, tables.catalogue).filter(pl.col("to").is_null())
    placed = tables.events.filter(pl.col("channel").is_not_null())["event"].unique().to_list()
    for name, channel, value in figures.select("figure", "from", "value").iter_rows():
        if value is not None and CHANNEL_FIGURES.get(name, "") in (None, *placed):
            out["process", name, channel, ""] = (value, np.inf)
    return out | dict(_curves(Source(tables)))


def _curves(source: Source) -> Iterator[tuple[Key, tuple[float, float]]]:
    """Share of contacts answered, by contact number, recency and weekday; contacts per decision by weekday."""
    past, contact = Past(source), source.treatment > 0
    weekday = past.weekday
    for day, label in enumerate(WEEKDAYS):
        if (weekday == day).any():
            value = float(contact[weekday == day].mean())
            yield ("curve", "contacted", "weekday", label), (value, float((weekday == day).sum()))
    over = {
        "contact number": (classes(past.number.astype(float), CONTACTS), ranges(CONTACTS)),
        "days since the last contact": (classes(past.since, SINCE), ranges(SINCE)),
        "weekday": (weekday, list(WEEKDAYS)),
    }
    for event, answered in _answered(source).items():
        for by, (code, labels) in over.items():
            for number, label in enumerate(labels):
                rows = contact & (code == number)
                if rows.any():
                    yield ("curve", event, by, label), (float(answered[rows].mean()), float(rows.sum()))


def _answered(source: Source) -> Mapping[str, np.ndarray]:  # event -> (decisions,) bool
    """Which contacts were followed by each event: its answer where events name decisions, else one in its window."""
    out: dict[str, np.ndarray] = {}
    for event in EVENTS:
        if event in source.answered and not source.orphaned(event):
            out[event] = source.answered[event]
            continue
        count, _ = source.sums(source.placed.filter(pl.col("event") == event))
        if count.any():
            happened = np.zeros(len(source.treatment), bool)
            happened[source.windows["look"].to_numpy()[count > 0]] = True
            out[event] = happened
    return out


def compare(log: Tables, simulated: Sequence[Tables], bounds: Mapping[str, float], least: float) -> list[Compared]:
    """Every number of the log among those of the simulated logs.

    bounds: kind -> share by which a number may be off; least: expected events behind a point of a curve to be judged
    """
    period = period_of(log)
    own = numbers_of(log, period)
    others = [numbers_of(tables, period) for tables in simulated]
    found = []
    for key, (value, _) in own.items():
        drawn = [other[key] for other in others if key in other]
        if key[0] == "curve" and len(drawn) < len(others):
            continue  # a point that some replays do not reach
        if len(drawn) < max(2, len(others) // 2):
            found.append(Compared(*key, value, np.nan, np.nan, np.nan, np.nan, 0.0, True, False))
            continue
        values = np.array([v for v, _ in drawn])
        size = float(np.mean([n for _, n in drawn]))
        found.append(_compared(key, value, values, size, bounds[key[0]], least))
    return found


def _compared(key: Key, value: float, values: np.ndarray, size: float, bound: float, least: float) -> Compared:
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    lo, hi = (float(q) for q in np.quantile(values, [0.025, 0.975]))
    count = len(values)
    tail = min((values <= value).sum(), (values >= value).sum())
    p = min(1.0, 2 * float(1 + tail) / (count + 1))
    scale = min(abs(mean), abs(1 - mean)) if key[0] == "curve" else abs(mean)
    off = abs(value - mean) > max(bound * scale, 1.0 if key[1] in COUNTED else 0.0)
    wide = sd * np.sqrt(1 + 1 / count)
    z = 0.0
    if wide > 0:
        beyond = t.sf(abs(value - mean) / wide, count - 1)  # the spread itself is estimated from few logs
        z = float(np.sign(value - mean) * norm.isf(max(beyond, 1e-300)))
    judged = wide > 0 and (key[0] != "curve" or size * min(mean, 1 - mean) >= least)
    return Compared(*key, value, mean, lo, hi, p, z, bool(off), bool(judged))
