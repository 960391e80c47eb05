"""Base rates that a retail bank may plausibly have, with sources; written down before the bank's second version.

Ranges are wide on purpose: they say what would be absurd, not what is true. `benchmarks/realism.py` measures them under
silence and under the siloed campaigns of today, never under a policy that is being compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.catalogue import Catalogue
from envs.counts import Counts
from envs.indicators import features


class Range(NamedTuple):
    """What a figure may be."""

    figure: str
    under: str  # silence or silos
    low: float
    high: float
    source: str


MAIL = "Mailchimp benchmarks of 2019, e-mail: 2.6 % click (business and finance 2.7 %), 0.2 to 0.26 % unsubscribe"
PUSH = "Accengage 2016, 38 billion messages: 71 % allow push (finance on iOS 51 %), 8.7 % react"
CALLS = "Pew Research Center 2020: 19 % of Americans answer unknown numbers; a bank's number is better known"
HILLSTROM = "Hillstrom: of those mailed 1.1 % bought, of the others 0.53 %: half would have bought anyway"
RANGES = (
    Range("delivered: app_push", "silos", 0.50, 0.85, PUSH),
    Range("delivered: sms", "silos", 0.90, 0.99, "assumed: numbers go stale"),
    Range("delivered: wechat", "silos", 0.50, 0.80, "assumed: two in three follow the account"),
    Range("connected: ai_call", "silos", 0.20, 0.45, CALLS),
    Range("connected: human_call", "silos", 0.30, 0.55, CALLS),
    Range("engaged / delivered: app_push", "silos", 0.02, 0.10, PUSH),
    Range("engaged / delivered: sms", "silos", 0.01, 0.06, MAIL + "; nearest published"),
    Range("engaged / delivered: wechat", "silos", 0.02, 0.08, "as sms, with pictures"),
    Range("engaged / delivered: ai_call", "silos", 0.05, 0.20, "assumed: most hang up on a robot"),
    Range("engaged / delivered: human_call", "silos", 0.15, 0.40, "assumed: one in four talks on"),
    Range("engaged / delivered: relationship_manager", "silos", 0.30, 0.65,
          "assumed; 76 % above 5 million CNY choose their bank by its adviser (Fusion 2025)"),
    Range("converted / contacted: online, outbound", "silos", 0.0003, 0.006,
          "Hillstrom: an e-mail adds 0.3 to 0.9 points; a bank's products are rarer needs than clothes"),
    Range("converted / contacted: human_call", "silos", 0.004, 0.045,
          "UCI bank calls: 4.2 % of calls end in a deposit, on a chosen list; a cold list does worse"),
    Range("organic share of conversions", "silos", 0.40, 0.80, HILLSTROM + "; fewer of a bank's come from messages"),
    Range("conversions per customer and year", "silence", 0.5, 1.6, "assumed: about one new product or top-up a year"),
    Range("opt-outs per 10,000 contacts", "silos", 10, 60, MAIL),
    Range("complaints per 10,000 contacts", "silos", 0.3, 5, "assumed: an order of magnitude below opt-outs"),
    Range("churn a year", "silence", 0.03, 0.08, "assumed: half of the 15 % quoted for banks in the USA (Tower Group)"),
    Range("churn a year", "silos", 0.03, 0.15, "as above"),
    Range("booked savings a year / assets", "silence", 0.05, 0.20,
          "household deposits in China +13.8 % in 2023 (PBoC); retail assets of CMB +9.9 and +12.1 % in 2023 and 2024"),
    Range("satisfaction, 1 to 5", "silos", 3.6, 4.4, "ACSI, banks: 78 to 80 of 100"),
    Range("app sessions per customer and month", "silence", 10.5, 14, "Fusion 2025: 12.3 app transactions"),
    Range("branch visits per customer and year", "silence", 2, 7, "assumed: one in two to six months"),
    Range("online share of moments", "silence", 0.80, 0.97, "Fusion 2025: 89 % of business is online"),
    Range("applications broken off / begun", "silence", 0.30, 0.80, "Baymard Institute: 70 % of online carts are left"),
    Range("cancelled / (cancelled + converted)", "silos", 0.01, 0.10, "assumed: cooling-off, loans that fall through"),
    Range("risk holds per customer and year", "silence", 0.01, 0.05, "assumed: abnormal behaviour is rare"),
    Range("moves of stage per customer and year", "silence", 0.10, 0.60, "assumed: lifecycle stages last for years"),
)  # fmt: skip


def measured(counts: Counts, catalogue: Catalogue, days: int) -> dict[str, float]:
    """The figures of RANGES for one set of customers over `days`; NaN: nothing to divide by."""
    place = {name: number for number, name in enumerate(catalogue.channel_ids)}
    outbound = [place[c.id] for c in catalogue.channels if c.family == "online" and c.inbound is None]
    years = counts.days / 365
    yearly = {name: counts.number(event) / years for name, event in _YEARLY.items()}
    found = {
        f"delivered: {c}": _share(counts, "delivered", "contacted", c, place) for c in ("app_push", "sms", "wechat")
    }
    found |= {f"connected: {c}": _share(counts, "delivered", "contacted", c, place) for c in ("ai_call", "human_call")}
    for c in ("app_push", "sms", "wechat", "ai_call", "human_call", "relationship_manager"):
        found[f"engaged / delivered: {c}"] = _share(counts, "engaged", "delivered", c, place)
    won = sum(counts.number("converted", c) for c in outbound)
    found["converted / contacted: online, outbound"] = _ratio(won, sum(counts.number("contacted", c) for c in outbound))
    found["converted / contacted: human_call"] = _share(counts, "converted", "contacted", "human_call", place)
    unasked, converted = counts.number("converted", len(place)), counts.number("converted")
    found["organic share of conversions"] = _ratio(unasked, converted)
    contacts = counts.number("contacted")
    found["opt-outs per 10,000 contacts"] = _ratio(1e4 * counts.number("opted_out"), contacts)
    found["complaints per 10,000 contacts"] = _ratio(1e4 * counts.number("complained"), contacts)
    found["churn a year"] = 1 - (1 - counts.churned / counts.customers) ** (365 / days)
    saved = counts.value("balance_changed", features(catalogue, "saving"))
    found["booked savings a year / assets"] = saved / counts.assets * 365 / days
    found["satisfaction, 1 to 5"] = _ratio(counts.value("satisfaction_rated"), counts.number("satisfaction_rated"))
    moments = sum(counts.number(name) for name in ("app_session", "partner_scene", "branch_visit", "inbound_call"))
    found["online share of moments"] = _ratio(counts.number("app_session") + counts.number("partner_scene"), moments)
    begun = counts.number("abandoned") + unasked
    found["applications broken off / begun"] = _ratio(counts.number("abandoned"), begun)
    found["cancelled / (cancelled + converted)"] = _ratio(
        counts.number("cancelled"), counts.number("cancelled") + converted
    )
    return found | yearly | {"app sessions per customer and month": yearly["app sessions"] / 12}


_YEARLY = {
    "conversions per customer and year": "converted",
    "branch visits per customer and year": "branch_visit",
    "risk holds per customer and year": "risk_hold",
    "moves of stage per customer and year": "stage_changed",
    "app sessions": "app_session",
}


def _share(counts: Counts, above: str, below: str, channel: str, place: dict[str, int]) -> float:
    return _ratio(counts.number(above, place[channel]), counts.number(below, place[channel]))


def _ratio(above: float, below: float) -> float:
    return above / below if below else np.nan
