"""Verdicts: what can be said of each head and of the whole world, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp

from scipy.special import ndtri

from training.fidelity_checks import OVERALL, Check
from training.fidelity_judge import HeadFidelity
from training.fidelity_posterior import Compared
from training.fidelity_rows import Unjudged
from training.fidelity_settings import FidelityThresholds

ADEQUATE, NOT_ENOUGH, NOT_JUDGED = "adequate", "not enough events", "not judged"
FAULTS = ("too stiff", "miscalibrated", "drifts")  # in the order in which they are told
NAMED = 3  # groups and numbers that a sentence names


@dataclass(frozen=True)
class HeadVerdict:
    """What can be said of one head."""

    head: str
    outcome: str  # adequate, not enough events, not judged, or its faults
    faults: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Verdict:
    """What can be said of the world."""

    adequate: bool | None  # None: the log cannot tell
    text: str


def certainty(checks: int, error: float) -> float:
    """|z| that any of so many checks of an adequate world passes with probability `error` at most (Bonferroni)."""
    return float(ndtri(1 - error / (2 * max(checks, 1))))


def head_verdict(found: HeadFidelity | Unjudged, thresholds: FidelityThresholds, certain: float) -> HeadVerdict:
    """The verdict of one head."""
    if isinstance(found, Unjudged):
        return HeadVerdict(found.name, NOT_JUDGED, (), f"{found.name}: not judged; {found.why}.")
    name = found.name
    if not found.enough:
        what = f"{found.events:,} events" if found.others >= found.events else f"{found.others:,} rows without it"
        text = f"{name}: not enough events to judge it: {what} among the held-out rows, {thresholds.events} are needed."
        return HeadVerdict(name, NOT_ENOUGH, (), text)
    failed = [check for check in found.every_check(thresholds) if check.failed(certain)]
    faults = tuple(fault for fault in FAULTS if any(check.fault == fault for check in failed))
    if not faults:
        return HeadVerdict(name, ADEQUATE, (), f"{name}: adequate. {_beside(found)}, and no check finds a fault.")
    outcome = " and ".join([", ".join(faults[:-1]), faults[-1]] if len(faults) > 1 else faults)
    sentences = [text for fault in faults for text in _sentences(found, [c for c in failed if c.fault == fault])]
    return HeadVerdict(name, outcome, faults, f"{name}: {outcome}. " + " ".join(sentences))


def world_verdict(heads: Sequence[HeadVerdict], replayed: Sequence[Compared], note: str, certain: float) -> Verdict:
    """The verdict of the world. note: why nothing was replayed, else empty."""
    failed = [c for c in replayed if c.failed(certain)]
    faulty = [v for v in heads if v.faults]
    judged = [v for v in heads if v.faults or v.outcome == ADEQUATE]
    silent = [v.head for v in heads if not (v.faults or v.outcome == ADEQUATE)]
    rest = f" The log is too short to judge {', '.join(silent)}." if silent else ""
    rest += f" Nothing was replayed: {note}." if note else ""
    if not judged and not replayed:
        return Verdict(None, f"The log cannot tell whether this world is adequate.{rest}")
    if not faulty and not failed:
        words = f"No fault was found in this world: {len(judged)} heads are adequate"
        return Verdict(True, f"{words}{', and the replayed log looks like the log' if replayed else ''}.{rest}")
    parts = []
    if faulty:
        parts.append(f"{len(faulty)} of {len(judged)} judged heads fail ({', '.join(v.head for v in faulty)})")
    if failed:
        parts.append(f"the replayed log is off in {_named([_where(c) for c in failed])}")
    return Verdict(False, f"This world is not adequate: {'; '.join(parts)}.{rest}")


def _beside(found: HeadFidelity) -> str:
    events = f"{found.events:,} {'amounts' if found.score == 'CRPS' else 'events'} of customers it never read"
    if found.ratio is None:
        return f"It was judged on {events}"
    r = found.ratio
    return f"Its {found.score} is {r.value:.3f} of LightGBM's ({r.lo:.3f} to {r.hi:.3f}) on {events}"


def _sentences(found: HeadFidelity, failed: Sequence[Check]) -> list[str]:
    """One sentence per kind of check that failed, each with its worst case."""
    out = []
    for kind, say in SAY.items():
        mine = sorted((c for c in failed if c.kind == kind), key=lambda c: -abs(c.z))
        if mine:
            out.append(say(found, mine))
    return out


def _stiff(found: HeadFidelity, failed: Sequence[Check]) -> str:
    c = failed[0]
    text = f"Its {found.score} is {c.value - 1:.1%} above LightGBM's ({c.lo - 1:.1%} to {c.hi - 1:.1%})."
    return f"{text} {found.why.sentence}" if found.why is not None else text


def _missing(found: HeadFidelity, failed: Sequence[Check]) -> str:
    c = failed[0]
    return f"LightGBM tells rows apart that it takes for alike, {_factor(found, c)}."


def _customers(found: HeadFidelity, failed: Sequence[Check]) -> str:
    c = max(failed, key=lambda check: check.z)
    where = c.what.removeprefix(OVERALL).removeprefix(",")
    return f"Customers differ{where} in ways that it does not know, {_factor(found, c)}."


def _level(found: HeadFidelity, failed: Sequence[Check]) -> str:
    g = found.level
    return f"It expects {_amount(found, g.expected)} where {_amount(found, g.observed)} came true."


def _group(found: HeadFidelity, failed: Sequence[Check]) -> str:
    names = {f"{g.by} {g.label}": g for g in found.groups}
    shown = [c for c in failed if c.what in names][:NAMED]
    pairs = [(c.what, _amount(found, names[c.what].expected), _amount(found, names[c.what].observed)) for c in shown]
    said = [f"{what}: {expected} expected, {observed} came true" for what, expected, observed in pairs]
    more = f", and {len(failed) - len(shown)} more groups" if len(failed) > len(shown) else ""
    return f"It is wrong in groups of rows ({'; '.join(said)}{more})."


def _slope(found: HeadFidelity, failed: Sequence[Check]) -> str:
    c = failed[0]
    way = "too large" if c.value < 1 else "too small"
    return (
        f"The differences it sees between rows are {way}: its calibration curve has slope {c.value:.2f} ({_span(c)})."
    )


def _bend(found: HeadFidelity, failed: Sequence[Check]) -> str:
    c = failed[0]
    size = f"{c.value:+.2f} in {_unit(found)} per squared standard deviation"
    return f"Its calibration curve is bent, by {size}: the link, or a curve in a field, is another."


def _drift(found: HeadFidelity, failed: Sequence[Check]) -> str:
    split = found.time
    assert split is not None  # a check of it failed
    parts = []
    if split.level in failed:
        way = "more" if split.level.value > 0 else "less"
        size = f"{abs(split.level.value):.0%} {way}"
        text = f"The later part of the log has {size} than the earlier part leads to expect ({_percent(split.level)})"
        repaired = f"resetting its level changes its {found.score} from {split.before['head']:.4f}"
        parts.append(f"{text}; {repaired} to {split.after['head']:.4f}.")
    if split.effects in failed:
        above = f"{split.effects.value - 1:.1%} above that of the form fitted to the later part"
        parts.append(f"Its effects changed: with the level reset its {found.score} is {above}.")
    return " ".join(parts)


SAY: dict[str, Callable[[HeadFidelity, Sequence[Check]], str]] = {
    "stiff": _stiff, "missing": _missing, "customers": _customers, "level": _level, "slope": _slope, "bend": _bend,
    "group": _group, "drift": _drift,
}  # fmt: skip


def _factor(found: HeadFidelity, c: Check) -> str:
    """A standard deviation on the scale of the linear predictor, as what it does to odds, rates or amounts."""
    of = {"logit": "odds", "rate": "rates"}.get(found.link, "amounts")
    low, value, high = (exp(x) for x in (c.lo, c.value, c.hi))
    return f"typically by a factor of {value:.2f} in their {of} ({low:.2f} to {high:.2f})"


def _unit(found: HeadFidelity) -> str:
    return {"logit": "log odds", "rate": "log rate"}.get(found.link, "log amount")


def _amount(found: HeadFidelity, value: float) -> str:
    return f"{value:,.4g}" if found.score == "CRPS" and value > 1 else f"{value:.2%}"


def _span(c: Check) -> str:
    return f"{c.lo:.2f} to {c.hi:.2f}"


def _percent(c: Check) -> str:
    return f"{c.lo:+.0%} to {c.hi:+.0%}"


def _where(c: Compared) -> str:
    return " ".join(part for part in (c.name, c.by, c.label) if part)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
