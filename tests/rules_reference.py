"""The rules once more, slowly: one customer, one treatment and one rule at a time, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import holidays
from rules_kit import CATALOGUE, CHANNELS, IDS, PRODUCTS, SCHEMA, STAGES, Story

from envs.catalogue import Channel, Product, Treatment
from envs.history import NEVER
from envs.rules import Cap, HandOver, Ownership, QuietTime, Rules, Selection

FEASTS = holidays.country_holidays("CN", years=range(2025, 2028))


@dataclass
class Person:
    """A customer as the rules see him: profile by name, story, moment."""

    profile: dict[str, Any]
    story: Story
    trigger: int = -1
    busy: int = -1

    def __post_init__(self) -> None:
        self.me, self.product = self.story.history.customer[0], self.story.history.product[0]
        self.opted_out = self.story.history.channel[0]["opted_out"]
        self.day = int(self.me["day"])

    def kinds_of_day(self) -> set[str]:
        today = date(1970, 1, 1) + timedelta(days=self.day)
        kinds = {"weekend"} if today.weekday() >= 5 else set()
        kinds |= {"holiday"} if today in FEASTS else set()
        return kinds or {"working_day"}

    def meets(self, asked: Any) -> bool:
        value = None if asked.column is None else self.profile[asked.column]
        if asked.column is not None and value is None:
            return False
        if asked.at_least is not None and value < asked.at_least:
            return False
        if asked.at_most is not None and value > asked.at_most:
            return False
        if asked.one_of and value not in asked.one_of:
            return False
        stage = int(self.me["stage"])
        if asked.stages and (stage < 0 or STAGES[stage] not in asked.stages):
            return False
        held = {p for p, record in zip(PRODUCTS, self.product, strict=True) if record["holds"]}
        return not (asked.holds and not held & set(asked.holds)) and not held & set(asked.lacks)


def _channel(treatment: Treatment) -> Channel:
    return CATALOGUE.channels[CHANNELS.index(treatment.channel)]


def _product(treatment: Treatment) -> Product:
    return CATALOGUE.products[PRODUCTS.index(treatment.product)]


def selects(chosen: Selection, treatment: Treatment, inbound: bool = True) -> bool:
    asked = [
        (chosen.treatments, treatment.id),
        (chosen.products, treatment.product),
        (chosen.channels, treatment.channel),
        (chosen.families, _channel(treatment).family),
        (chosen.benefits, treatment.benefit),
    ]
    if any(names and name not in names for names, name in asked):
        return False
    return inbound or _channel(treatment).inbound is None or treatment.channel in chosen.channels


def reference(rules: Rules, person: Person) -> dict[str, set[str]]:
    """For each treatment that is closed: the names of the rules that close it."""
    level = None if rules.levels is None else rules.levels.rules.get(person.profile[rules.levels.column])
    book = level or rules
    out: dict[str, set[str]] = {}
    for treatment in CATALOGUE.treatments:
        names = {name for name, closes in _built_in(book, person, treatment).items() if closes}
        names |= {rule.name for _, rule in book.named() if _named(rule, person, treatment)}
        if names:
            out[treatment.id] = {f"{n} ({book.origins[n]})" if n in book.origins else n for n in names}
    return out


def _built_in(rules: Rules, person: Person, treatment: Treatment) -> dict[str, bool]:
    channel, product, me = _channel(treatment), _product(treatment), person.me
    own = person.product[PRODUCTS.index(product.id)]
    selling = product.selling and not product.clears_hold
    rating = person.profile[rules.suitability] if rules.suitability else 9
    offered = {
        p.id
        for p, record in zip(CATALOGUE.products, person.product, strict=True)
        if p.selling and not p.clears_hold and person.day - record["last_offer"] < rules.focus_days
    }
    trigger = None if person.trigger < 0 else SCHEMA.triggers[person.trigger]
    shown = {
        IDS_TO_TREATMENT[t].benefit
        for day, t in person.story.contacts[-16:]
        if person.day - day < rules.benefit_days and IDS_TO_TREATMENT[t].product == product.id
    }
    age, owner = person.day - own["lead"], int(own["lead_owner"])
    followed = own["lead"] != NEVER and owner >= 0 and CHANNELS[owner] != channel.id
    return {
        "inbound": channel.inbound not in (None, trigger),
        "risk_hold": selling and bool(me["risk_hold"]),
        "no_risk_hold": product.clears_hold and not me["risk_hold"],
        "waiting": person.busy >= 0 and CHANNELS[person.busy] == channel.id,
        "consent": rules.consent and bool(person.opted_out[CHANNELS.index(channel.id)]),
        "quiet_hours": treatment.daypart in rules.quiet.get(channel.id, ()),
        "holds_already": rules.once and product.once and bool(own["holds"]),
        "application_pending": rules.pending and bool(own["pending"]),
        "suitability": product.risk_level > (1 if rating is None else round(rating)),
        "refusal": person.day - own["last_refusal"] < rules.refusal_days,
        "complaint": selling and person.day - me["last_complaint"] < rules.complaint_days,
        "one_voice": selling and bool(offered - {product.id} or (len(offered) > 1)),
        "offer_consistency": bool(shown - {"none", treatment.benefit}),
        "lead_owner": bool(followed and age < rules.lead_owner_days and channel.inbound is None),
    }


def _named(rule: Any, person: Person, treatment: Treatment) -> bool:
    channel, product = _channel(treatment), _product(treatment)
    if isinstance(rule, QuietTime):
        quiet = not rule.days or bool(person.kinds_of_day() & set(rule.days))
        return quiet and selects(rule, treatment) and (not rule.dayparts or treatment.daypart in rule.dayparts)
    if isinstance(rule, Cap):
        spared = product.clears_hold and not (rule.products or rule.treatments)
        full = _count(rule, person, rule.days, rule.inbound) >= rule.most
        return full and not spared and selects(rule, treatment, rule.inbound)
    if isinstance(rule, Ownership):
        if person.meets(rule):
            return channel.id not in rule.owners and selects(rule, treatment, inbound=False)
        return channel.id in rule.owners
    if isinstance(rule, HandOver):
        return _handed_over(rule, person, treatment)
    if hasattr(rule, "never"):
        pairs = [(rule.never, rule.after)] + ([(rule.after, rule.never)] if rule.either_order else [])
        return any(selects(no, treatment) and _count(seen, person, rule.days, True) for no, seen in pairs)
    return selects(rule, treatment) and not person.meets(rule)


def _count(chosen: Selection, person: Person, days: int, inbound: bool) -> int:
    recent = [IDS_TO_TREATMENT[t] for day, t in person.story.contacts[-16:] if person.day - day < days]
    return sum(selects(chosen, treatment, inbound) for treatment in recent)


def _handed_over(rule: HandOver, person: Person, treatment: Treatment) -> bool:
    own = person.product[PRODUCTS.index(treatment.product)]
    if own["lead"] == NEVER or _channel(treatment).inbound is not None:
        return False
    if rule.products and treatment.product not in rule.products:
        return False
    kind = "abandoned" if own["abandoned"] == own["lead"] else "engaged"
    origin = None if own["lead_channel"] < 0 else CATALOGUE.channels[int(own["lead_channel"])]
    if kind not in rule.events or (origin is None and not rule.unasked):
        return False
    if origin is not None and rule.from_channels and origin.id not in rule.from_channels:
        return False
    if origin is not None and rule.from_families and origin.family not in rule.from_families:
        return False
    age = person.day - int(own["lead"])
    if age < rule.within_days:
        return treatment.channel not in rule.to
    return age < rule.within_days + rule.return_days and treatment.channel not in rule.return_to


IDS_TO_TREATMENT = {IDS.index(t.id): t for t in CATALOGUE.treatments}
