"""A small bank for tests of rules: five channels, four products, and stories told to the history of one customer."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from envs.catalogue import Catalogue
from envs.history import History
from envs.profile import encode_profile
from envs.rules import HandOver, RuleBook, Rules, Situation
from envs.schema import Schema

CATALOGUE = Catalogue.model_validate(
    {
        "name": "small",
        "products": [
            {"id": "loan", "once": True, "risk_level": 1},
            {"id": "fund", "risk_level": 3},
            {"id": "care", "selling": False},
            {"id": "check", "selling": False, "clears_hold": True},
        ],
        "benefits": [{"id": "bonus", "cost": 5.0}, {"id": "points", "cost": 2.0}],
        "channels": [
            {"id": "sms", "family": "online"},
            {"id": "call", "family": "remote"},
            {"id": "manager", "family": "offline", "delay_days": 2},
            {"id": "app", "family": "online", "inbound": "app_session"},
            {"id": "desk", "family": "offline", "inbound": "branch_visit"},
        ],
        "treatments": [
            {"id": "sms-loan", "product": "loan", "channel": "sms"},
            {"id": "sms-loan-bonus", "product": "loan", "channel": "sms", "benefit": "bonus"},
            {"id": "sms-care", "product": "care", "channel": "sms", "daypart": "evening"},
            {"id": "sms-check", "product": "check", "channel": "sms"},
            {"id": "call-loan-points", "product": "loan", "channel": "call", "benefit": "points"},
            {"id": "call-fund", "product": "fund", "channel": "call", "daypart": "evening"},
            {"id": "call-check", "product": "check", "channel": "call"},
            {"id": "manager-fund", "product": "fund", "channel": "manager"},
            {"id": "manager-loan", "product": "loan", "channel": "manager"},
            {"id": "app-loan", "product": "loan", "channel": "app"},
            {"id": "app-loan-bonus", "product": "loan", "channel": "app", "benefit": "bonus"},
            {"id": "app-fund", "product": "fund", "channel": "app"},
            {"id": "desk-fund", "product": "fund", "channel": "desk"},
        ],
    }
)
IDS = CATALOGUE.treatment_ids
CHANNELS, PRODUCTS = CATALOGUE.channel_ids, CATALOGUE.product_ids
STAGES = ("new", "active", "leaving")
SAID = {
    "columns": [
        {"name": "age", "type": "number", "center": 40, "scale": 10},
        {"name": "rating", "type": "number", "center": 3, "scale": 1, "nullable": True},
        {"name": "vip", "type": "flag"},
        {"name": "segment", "type": "category", "categories": ["mass", "rich"]},
        {"name": "region", "type": "category", "categories": ["east", "west", "north"], "nullable": True},
    ],
    "triggers": ["app_session", "branch_visit"],
    "stages": list(STAGES),
    "task": {"kind": "continuing", "calendar": "CN"},
}
SCHEMA = Schema.model_validate(SAID)
MONDAY = 20_458  # 2026-01-05
DEFAULT = {"age": 40.0, "rating": 5.0, "vip": False, "segment": "mass", "region": "north"}


def ids(*prefixes: str) -> set[str]:
    """Treatments by the beginnings or ends of their names: `sms-`, `-fund`."""
    return {i for i in IDS for p in prefixes if (i.startswith(p) if p.endswith("-") else f"{i}-".find(f"{p}-") > 0)}


OUTBOUND = ids("sms-", "call-", "manager-")
SELLING = ids("-loan", "-fund")
LOANS, FUNDS, CHECKS = ids("-loan"), ids("-fund"), ids("-check")
HAND_OVER = HandOver(
    name="to_person",
    products=("fund",),
    from_families=("online",),
    to=("call",),
    within_days=3,
    return_to=("manager",),
    return_days=7,
)


def people(*rows: dict[str, Any]) -> np.ndarray:
    """Profiles, (batch, profile fields) float32."""
    kinds = {"age": pl.Float64, "rating": pl.Float64, "region": pl.String}
    return encode_profile(pl.DataFrame([DEFAULT | row for row in rows], schema_overrides=kinds), SCHEMA)


class Story:
    """The history of one customer, told event by event."""

    def __init__(self, day: int = MONDAY) -> None:
        self.history = History.fresh(CATALOGUE, SCHEMA, np.array([day]))
        self.contacts: list[tuple[int, int]] = []  # day, treatment

    def wait(self, days: int) -> Story:
        self.history.advance(days)
        return self

    def contact(self, treatment: str) -> Story:
        """A contact with a treatment."""
        position = IDS.index(treatment)
        self.contacts.append((int(self.history.day[0]), position))
        return self._record(
            "contacted", int(CATALOGUE.channel_of[position]), int(CATALOGUE.product_of[position]), position
        )

    def event(self, event: str, channel: str | None = None, product: str | None = None, value: float = np.nan) -> Story:
        """Any other event, or a contact that nobody decided here."""
        places = (
            -1 if channel is None else CHANNELS.index(channel),
            -1 if product is None else PRODUCTS.index(product),
        )
        return self._record(event, *places, -1, value)

    def _record(self, event: str, channel: int, product: int, treatment: int, value: float = np.nan) -> Story:
        given = {"channel": channel, "product": product, "treatment": treatment, "value": value}
        self.history.record(event, np.array([0]), **{name: np.array([v]) for name, v in given.items()})
        return self


def situation(story: Story | None = None, trigger: int = -1, busy: int = -1, **profile: Any) -> Situation:
    """One customer's situation."""
    history = (story or Story()).history
    return Situation(people(profile), history, np.array([trigger]), np.array([busy], np.int16))


def why(
    rules: Rules, story: Story | None = None, trigger: int = -1, busy: int = -1, **profile: Any
) -> dict[str, set[str]]:
    """Each rule that closes something to one customer, with what it closes; channels that wait for a trigger apart.

    The mask and the reasons must agree.
    """
    book, at = RuleBook(rules, CATALOGUE, SCHEMA), situation(story, trigger, busy, **profile)
    told = book.reasons(at)[0]
    assert set(told) == {IDS[i] for i in np.flatnonzero(~book.mask(at)[0])}
    out: dict[str, set[str]] = {}
    for treatment, names in told.items():
        for name in names:
            out.setdefault(name, set()).add(treatment)
    assert out.pop("inbound", set()) == ids(*(f"{c}-" for k, c in enumerate(CHANNELS[3:]) if k != trigger))
    if out.get("no_risk_hold") == CHECKS:  # closed to whomever has no hold
        del out["no_risk_hold"]
    return out


def joined(situations: list[Situation]) -> Situation:
    """One batch of several."""
    histories = [s.history for s in situations]
    parts = (np.concatenate([getattr(h, name) for h in histories]) for name in ("customer", "channel", "product"))
    busy = np.concatenate([s.busy for s in situations if s.busy is not None])
    profile = np.concatenate([s.profile for s in situations])
    trigger = np.concatenate([s.trigger for s in situations])
    return Situation(profile, History(*parts, histories[0].fades), trigger, busy)
