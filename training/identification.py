"""What a log cannot tell about how customers respond, by rules that ask the data, and what is assumed instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from envs.attributes import identifying
from envs.profile import profile_fields
from training.calibration_findings import Finding
from training.calibration_source import ANSWERS, Source
from training.half_lives import HalfLife

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEW = 30  # contacts below which a treatment speaks through its attributes; assumed
SHOWN = 8  # names that a line shows
CERTAIN = 0.999  # propensity from which on a choice was no choice
RARELY = 0.01  # share of contacts without a choice that is not worth a word; assumed
YEAR = 365  # days


def identification(source: Source, half_lives: Sequence[HalfLife], random_effects: bool) -> tuple[Finding, ...]:
    """The findings about the log as a whole; those about single heads come with the heads.

    half_lives: verdicts where they were estimated, else none
    """
    rules: tuple[Callable[[Source], Iterator[Finding]], ...] = (
        _treatments, _apart, _selection, _silence, _attempts, _missing_events, _organic, _pending, _calendar, _columns,
    )  # fmt: skip
    found = [finding for rule in rules for finding in rule(source)]
    return (*found, *_half_lives(source, half_lives), _hidden(random_effects))


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _counts(s: Source) -> np.ndarray:  # (treatments,) int64
    return np.bincount(s.treatment, minlength=len(s.tables.catalogue.treatment_ids))


def _treatments(s: Source) -> Iterator[Finding]:
    """Treatments and attributes that the log never, or hardly ever, shows."""
    ids, counts = s.tables.catalogue.treatment_ids, _counts(s)
    assumption = "what their attributes do in other treatments, summed"
    rare = (counts > 0) & (counts < FEW)
    for what, which in (("never chosen", counts == 0), (f"chosen fewer than {FEW} times", rare)):
        names = [ids[k] for k in np.flatnonzero(which) if k]
        if names:
            evidence = f"{len(names)} of {len(ids) - 1} treatments {what}: {_named(names)}"
            yield Finding("treatments", "what some of them do by themselves", evidence, assumption)
    attributes = identifying(s.tables.catalogue)
    unseen = [n for n, column in zip(attributes.names, attributes.values.T, strict=True) if not counts @ column]
    if unseen:
        evidence = f"in no contact of the log: {_named(unseen)}"
        yield Finding("attributes", "what some attributes of treatments do", evidence, "nothing")


def _apart(s: Source) -> Iterator[Finding]:
    """Attributes that no contact tells apart: two that always come together, a product with one channel."""
    catalogue, counts = s.tables.catalogue, _counts(s)
    counts[0] = 0
    attributes, logged = identifying(catalogue), np.flatnonzero(counts)
    if not logged.size:
        return
    same: dict[bytes, list[str]] = {}
    for name, column in zip(attributes.names, attributes.values[logged].T, strict=True):
        if column.any():
            same.setdefault(column.tobytes(), []).append(name)
    together = [names for names in same.values() if len(names) > 1]
    for names in together:
        rows = int(counts @ attributes.column(names[0]))
        what, evidence = f"which of {_named(names)} does it", f"they come together in all of {rows:,} contacts"
        yield Finding("attributes", what, evidence, "each has a share of the effect, as its prior says")
    alone = {name.removeprefix("product=") for names in together for name in names}
    channels = np.unique(catalogue.channel_of[logged])
    single = [
        f"{product} over {catalogue.channel_ids[own[0]]}"
        for position, product in enumerate(catalogue.product_ids)
        for own in (np.unique(catalogue.channel_of[logged[catalogue.product_of[logged] == position]]),)
        if len(own) == 1 < len(channels) and product not in alone
    ]
    if single:
        what = "how products do on channels that they were not offered over"
        yield Finding("products", what, f"offered over one alone: {_named(single)}", "effects of both add up")


def _selection(s: Source) -> Iterator[Finding]:
    """Why these customers got these treatments."""
    known = s.decisions["propensity"]
    missing, rows = known.null_count(), s.decisions.height
    if missing:
        what = "whether contacts and their pressure change answers, or were aimed at customers who answer so anyway"
        evidence = f"no propensity in {missing:,} of {rows:,} decisions"
        yield Finding("selection", what, evidence, "given the observation, treatments are as good as random")
    contacts = s.decisions.filter(pl.Series(s.treatment > 0))
    fixed = int((contacts["propensity"] >= CERTAIN).sum())
    if fixed > RARELY * max(contacts.height, 1):
        what = "what other treatments would have done where the log had no choice"
        evidence = f"propensity 1 in {fixed:,} of {contacts.height:,} contacts"
        yield Finding("selection", what, evidence, "what they did to customers who look alike")


def _silence(s: Source) -> Iterator[Finding]:
    silent, rows = int((s.treatment == 0).sum()), len(s.treatment)
    if silent == 0:
        evidence = f"a contact in each of {rows:,} decisions"
        yield Finding("silence", "what happens without a contact", evidence, "contact as such changes nothing")
    elif silent == rows:
        yield Finding("contacts", "what contacts do", f"silence in each of {rows:,} decisions", "nothing")


def _attempts(s: Source) -> Iterator[Finding]:
    """Effects of repetition need repetition, at more than one distance."""
    contact = s.treatment > 0
    customer, day = s.customer[contact], s.day[contact]
    if not customer.size:
        return
    most = int(np.bincount(customer).max())
    if most == 1:
        what, evidence = "how answers change with the number of attempts", "no customer has two contacts"
        yield Finding("attempts", what, evidence, "they do not: pressure and recency have no effect")
        return
    gaps = np.unique((day[1:] - day[:-1])[customer[1:] == customer[:-1]])
    if len(gaps) == 1:
        what = "how fast the effect of an attempt fades, apart from how attempts add up"
        evidence = f"contacts of a customer always stand {gaps[0]} days apart"
        yield Finding("attempts", what, evidence, "it fades with the half-lives of the schema")
    per_week = _most_in_a_week(customer, day)
    what, evidence = "the decay of answers beyond the attempts made", f"at most {per_week} contacts in seven days"
    yield Finding("attempts", what, evidence, "the curve of fewer attempts goes on")


def _most_in_a_week(customer: np.ndarray, day: np.ndarray) -> int:
    """Largest number of contacts of one customer within seven days; rows sorted by customer, then day."""
    key = customer * 100_000 + (day - day.min())  # one axis; customers stand far apart
    return int((np.arange(len(key)) - np.searchsorted(key, key - 6, side="left")).max()) + 1


def _missing_events(s: Source) -> Iterator[Finding]:
    """Events that reward or annoyance counts, and that the log never shows."""
    task = s.tables.schema.task
    reward, seen = task.reward, set(s.tables.events["event"].unique())
    counted = {*reward.margin_per_value, *reward.margin_per_event, *task.annoyance_events}
    missing = sorted(counted - seen)
    if missing:
        evidence = f"in {s.tables.events.height:,} events no {', no '.join(missing)}: not recorded, or too rare"
        assumption = "they never happen; what they would add to margin or annoyance is missing, not zero"
        yield Finding("events", "how often some happen that count", evidence, assumption)
    absent = [a for a in ANSWERS if a not in seen and a not in counted]
    if absent and (s.treatment > 0).any():
        evidence = f"no {', no '.join(absent)}"
        yield Finding("answers", "steps of an answer that the log does not record", evidence, "they make no difference")


def _organic(s: Source) -> Iterator[Finding]:
    own = s.tables.events.filter(pl.col("event") == "converted")
    if own.height and not own["decision_id"].null_count() and (s.treatment > 0).any():
        evidence = f"all of {own.height:,} conversions name a decision"
        yield Finding("organic conversions", "who would have bought without a contact", evidence, "nobody")


def _pending(s: Source) -> Iterator[Finding]:
    """Outcome windows that run past the end of the log."""
    last = pl.concat([s.tables.events["at"], s.decisions["at"]]).max()
    late = s.windows.filter(pl.col("end") > last).height
    if late:
        evidence = f"{late:,} of {s.windows.height:,} outcome windows end after the last record"
        yield Finding("outcomes", "what was still to come when the log ended", evidence, "nothing was")


def _calendar(s: Source) -> Iterator[Finding]:
    days = int(s.day.max() - s.day.min()) + 1
    if days < YEAR:
        yield Finding("calendar", "seasons of the year", f"the log has {days} days", "there are none")
    names = s.tables.encoder.names
    columns = [k for k, name in enumerate(names) if name.startswith("calendar:")]
    still = [names[k] for k in columns if np.ptp(s.observation[:, k]) == 0]
    if still:
        yield Finding("calendar", "what some days do", f"none in the log: {_named(still)}", "nothing")


def _columns(s: Source) -> Iterator[Finding]:
    """Columns of the profile that are unknown or the same for everybody."""
    names = list(profile_fields(s.tables.schema, lambda name, *_: name))
    shares = {name: float(s.observation[:, k].mean()) for k, name in enumerate(names) if name.endswith(":missing")}
    gaps = [f"{name.removesuffix(':missing')} in {share:.1%}" for name, share in shares.items() if share > 0]
    if gaps:
        evidence = f"of the decisions, unknown: {_named(gaps)}"
        assumption = "customers without a value are a group of their own, all alike"
        yield Finding("columns", "values that are missing", evidence, assumption)
    still = [n for k, n in enumerate(names) if n not in shares and np.ptp(s.observation[:, k]) == 0]
    if still:
        yield Finding("columns", "what some do", f"the same in every decision: {_named(still)}", "nothing")


def _half_lives(s: Source, half_lives: Sequence[HalfLife]) -> Iterator[Finding]:
    if not half_lives:
        given = ", ".join(f"{name} {days:g}" for name, days in s.tables.schema.fading.model_dump().items())
        evidence = "half-lives were not estimated"
        yield Finding("half-lives", "how fast traces of the past fade", evidence, f"in days, {given}")
    for one in half_lives:
        if not one.identified:
            yield Finding(f"half-life {one.name}", "how fast it fades", one.reason, f"{one.default:g} days")


def _hidden(random_effects: bool) -> Finding:
    what = "states that leave no record: irritation, intent before it shows, tastes"
    evidence = "a log shows contacts and answers only"
    assumption = "traces of contacts and answers stand for them; nothing else is hidden"
    if random_effects:
        assumption = (
            "traces of contacts and answers stand for them, and one normal effect per customer, independent of "
        )
        assumption += "the profile, that heads share up to size and sign"
    return Finding("hidden states", what, evidence, assumption)
