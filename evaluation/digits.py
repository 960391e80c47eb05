"""Numbers as text: as many digits as they carry, a dash for what does not exist."""

from __future__ import annotations

import math

from evaluation.intervals import Between, Interval
from evaluation.language import say

DECIMALS = 6  # at most: what is smaller is 0 to a reader


def shown(interval: Interval | Between, signed: bool = False) -> str:
    """An estimate with its interval as text."""
    value = number(interval.value, signed)
    if math.isnan(interval.lo):
        return say("{value} (no interval)", value=value) if math.isfinite(interval.value) else say("undefined")
    return say("{value} ({lo} to {hi})", value=value, lo=number(interval.lo, signed), hi=number(interval.hi, signed))


def ends(lo: float, hi: float, signed: bool = True, digits: int = 4) -> str:
    """An interval alone as text."""
    return say("{lo} to {hi}", lo=number(lo, signed, digits), hi=number(hi, signed, digits))


def stacked(found: Interval | Between, signed: bool = False) -> tuple[str, str]:
    """A value, and its interval to stand under it; empty where there is none."""
    if math.isnan(found.lo):
        return (number(found.value, signed), "") if math.isfinite(found.value) else (say("undefined"), "")
    return number(found.value, signed), ends(found.lo, found.hi, signed)


def number(value: float, signed: bool = False, digits: int = 4) -> str:
    """Four (or `digits`) significant digits, at most six decimals; a dash for what does not exist.

    >>> number(1234.5678), number(0.0123456, signed=True), number(0.00999999), number(-1e-9)
    ('1,235', '+0.01235', '0.01000', '0')
    """
    if not math.isfinite(value):
        return "–"
    size = abs(float(f"{value:.{digits - 1}e}"))
    decimals = 0 if size == 0 else max(0, min(DECIMALS, digits - 1 - math.floor(math.log10(size))))
    if round(value, decimals) == 0:
        return "+0" if signed else "0"
    return f"{value:{'+' if signed else ''},.{decimals}f}"
