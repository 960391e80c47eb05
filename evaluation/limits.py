"""Limits instead of prices: the lowest price at which a policy keeps to a limit, and what keeping to it costs.

Whoever is responsible sets limits (two complaints for every 10,000 contacts), not prices. The search is a bisection on
one population: what a higher price makes less of has one crossing with the limit, and every price meets the same
customers with the same luck, so that chance does not move it. Another population says whether the limit holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from envs.errors import InputError
from envs.prices import price_field, price_of
from evaluation.intervals import Interval, mean_interval
from evaluation.simulation import Totals

PER_CONTACT, PER_CUSTOMER = "contacts", "customers"
QUANTITIES = {
    "annoyance": PER_CUSTOMER,
    "cost": PER_CUSTOMER,
    "contacts": PER_CUSTOMER,
    "opt_outs": PER_CONTACT,
    "complaints": PER_CONTACT,
}
UNITS = {"": 1.0, "k": 1e3, "m": 1e6}
FORM = re.compile(r"(?P<name>\w+)\s*=\s*(?P<most>[\d.eE+-]+)\s*(/\s*(?P<per>[\d.]+)(?P<unit>[kKmM]?))?")
Measure = Callable[[float], Totals]  # a price -> what the policy did to each customer at it


@dataclass(frozen=True)
class Limit:
    """At most so much of something."""

    quantity: str
    most: float  # per `per` contacts or customers
    per: float = 1.0

    @property
    def of(self) -> str:
        """Contacts or customers."""
        return QUANTITIES[self.quantity]

    @property
    def words(self) -> str:
        """As it is told: complaints at most 2 per 10,000 contacts."""
        per = f"{self.per:,.0f} {self.of}" if self.per > 1 else self.of.removesuffix("s")
        return f"{self.quantity.replace('_', '-')} at most {self.most:g} per {per}"

    def measured(self, totals: Totals) -> Interval:
        """How much there was, in the limit's unit: a ratio of sums over customers, its error by linearisation.

        Of rare events, which may not have happened by chance, the interval is at least the Poisson distribution's
        (Garwood 1936, Biometrika 28).
        """
        top = np.asarray(getattr(totals, self.quantity), np.float64)
        bottom = totals.contacts.astype(np.float64) if self.of == PER_CONTACT else np.ones(len(top))
        if not bottom.sum():
            return Interval(0.0, 0.0, 0.0, 0.0, 0.0)
        ratio = float(top.sum() / bottom.sum())
        spread = mean_interval((top - ratio * bottom) / bottom.mean())
        lo, hi = ratio + spread.lo, ratio + spread.hi
        if self.of == PER_CONTACT:
            least, most = garwood(float(top.sum()))
            lo, hi = min(lo, least / float(bottom.sum())), max(hi, most / float(bottom.sum()))
        parts = (ratio, spread.se, lo, hi, ratio + spread.lower)
        return Interval(*(self.per * part for part in parts))


def garwood(events: float, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a Poisson mean of which so many events were seen.

    >>> [round(end, 2) for end in garwood(0)], [round(end, 2) for end in garwood(10)]
    ([0.0, 3.69], [4.8, 18.39])
    """
    tail = (1 - confidence) / 2
    least = float(chdtri(2 * events, 1 - tail)) / 2 if events else 0.0
    return least, float(chdtri(2 * events + 2, tail)) / 2


def parse_limit(text: str) -> Limit:
    """A limit as it is written: complaints=2/10k, cost=3, opt_outs=5/10k.

    >>> parse_limit("complaints=2/10k").words
    'complaints at most 2 per 10,000 contacts'
    """
    found = FORM.fullmatch(text.strip())
    if found is None:
        raise InputError(
            "must read quantity=number, or quantity=number/per, as complaints=2/10k", field="limit", value=text
        )
    name = found["name"].lower()
    if name not in QUANTITIES:
        raise InputError(f"must be one of: {', '.join(QUANTITIES)}", field="limit", value=name)
    try:
        most = float(found["most"])
        per = float(found["per"] or 1) * UNITS[(found["unit"] or "").lower()]
    except ValueError:
        raise InputError("must hold numbers", field="limit", value=text) from None
    if not (np.isfinite(most) and most >= 0 and per > 0):
        raise InputError("must be a number >= 0, per a number above 0", field="limit", value=text)
    return Limit(name, most, per)


@dataclass(frozen=True)
class Tried:
    """A price that was looked at."""

    price: float
    found: Interval  # in the limit's unit
    kept: bool


@dataclass(frozen=True)
class Search:
    """The range of prices that is searched, and how carefully."""

    low: float
    high: float
    steps: int = 10  # halvings of the range, on the scale on which a policy sees prices
    caution: float = 1.0  # standard errors of the first population by which the limit must be kept


def lowest_price(measure: Measure, limit: Limit, search: Search) -> tuple[float, tuple[Tried, ...]]:
    """The lowest price that keeps to the limit on the population that is measured, and every price that was tried.

    InputError where no price does.
    """
    tried: list[Tried] = []

    def keeps(price: float) -> bool:
        found = limit.measured(measure(price))
        tried.append(Tried(price, found, found.value + search.caution * found.se <= limit.most))
        return tried[-1].kept

    if keeps(search.low):
        return search.low, tuple(tried)
    if not keeps(search.high):
        raise InputError(_impossible(limit, tried, search), field="limit", value=limit.words)
    low, high = (float(price_field(np.array(price), search.high)) for price in (search.low, search.high))
    for _ in range(search.steps):
        middle = (low + high) / 2
        if keeps(float(price_of(np.array(middle), search.high))):
            high = middle
        else:
            low = middle
    return float(price_of(np.array(high), search.high)), tuple(tried)


def _impossible(limit: Limit, tried: list[Tried], search: Search) -> str:
    """Why no price meets the limit."""
    free, dear = (one.found for one in tried[:2])
    if (free.value, free.se) == (dear.value, dear.se):
        return f"must be met by a policy that reads the price: from {search.low:g} to {search.high:g} nothing changes"
    least = f"{dear.value:.3g}" + (f" + {search.caution * dear.se:.2g}" if search.caution and dear.se else "")
    return f"must be at least {least}, what is left of it at {search.high:g}, the highest price the policy knows"


HOLDS, MISSED, OPEN = "holds", "is missed", "is not settled"


@dataclass(frozen=True)
class Checked:
    """A price, and what it does to customers on whom it was not chosen."""

    limit: Limit
    price: float
    usual: float  # the price otherwise
    found: Interval  # at the price, in the limit's unit
    before: Interval  # at the usual price
    gain: Interval  # per customer, currency, at the price
    lost: Interval  # gain at the price less gain at the usual one, paired

    @property
    def verdict(self) -> str:
        """The limit holds if the whole interval keeps to it, is missed if no part does."""
        if self.found.hi <= self.limit.most:
            return HOLDS
        return MISSED if self.found.lo > self.limit.most else OPEN


def check_price(
    measure: Measure, silence: Totals, limit: Limit, price: float, usual: float, confidence: float = 0.95
) -> Checked:
    """What a price does to other customers. measure: of these; silence: they, left alone."""
    at, before = measure(price), measure(usual)
    gain = mean_interval(at.profit - silence.profit, confidence)
    lost = mean_interval(at.profit - before.profit, confidence)
    return Checked(limit, price, usual, limit.measured(at), limit.measured(before), gain, lost)
