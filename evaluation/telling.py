"""What the page says in sentences of wrong models, of what changes for whom, of use and expiry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from evaluation.language import mark, paragraph, say
from evaluation.portrait import UNKNOWN
from evaluation.sentences import bounded
from evaluation.words import named, treated, worded

if TYPE_CHECKING:
    from evaluation.changes import Example
    from evaluation.misspecification import Misspecification
    from evaluation.portrait import Portrait, Trait
    from evaluation.report import Report


def misspecification_sentences(report: Report) -> tuple[str, ...]:
    """How the lead's differences bear a wrong reward model."""
    found = [one for one in report.misspecifications if one.estimator == report.lead.estimator]
    return tuple(_modelled(one) if one.model_based else _scaled(one) for one in found)


def _scaled(one: Misspecification) -> str:
    """Of a doubly robust estimate."""
    out = [
        say(
            "{policy}: were the reward model wrong by half, each of its expectations half as large, the difference "
            "would be {half} instead of {own}; without it {bare}, with twice of it {double}.",
            policy=named(one.policy),
            half=bounded(one.at(0.5)),
            own=bounded(one.at(1.0)),
            bare=bounded(one.at(0.0)),
            double=bounded(one.at(2.0)),
        )
    ]
    if one.stands:
        out.append(say("The conclusion stands at all of these."))
    elif one.overturned_at is not None and not one.at(1.0).lo <= 0 <= one.at(1.0).hi:
        text = mark("The sign turns where the model's expectations are multiplied by {factor:.2f}.")
        out.append(say(text, factor=one.overturned_at))
    if not math.isnan(one.moved.lo):
        text = (
            mark(
                "The model moves the estimate by {moved}, more than chance would: propensities or model are wrong, "
                "since with right propensities no model moves the mean."
            )
            if one.beyond_chance
            else mark("The model moves the estimate by {moved}, no more than chance would.")
        )
        out.append(say(text, moved=bounded(one.moved)))
    return paragraph(out)


def _modelled(one: Misspecification) -> str:
    """Of a model-based figure."""
    out = [say("{policy}: the model alone expects {own}.", policy=named(one.policy), own=bounded(one.at(0.0)))]
    if one.shrinks_to is not None:
        text = mark("Were no more than {share:.0%} of that true, its interval would no longer be clear of 0.")
        out.append(say(text, share=one.shrinks_to))
    if math.isnan(one.moved.lo):
        text = mark("How wrong the model is there the log cannot measure: too few customers had what it would do.")
        return paragraph([*out, say(text)])
    out.append(
        say(
            "Its own error on the log, by weighted residuals, moves that by {moved}: were it wrong by half of it, the "
            "difference would be {half}, by all of it {whole}.",
            moved=bounded(one.moved),
            half=bounded(one.at(0.5)),
            whole=bounded(one.at(1.0)),
        )
    )
    if one.overturned_at is not None:
        out.append(say("The sign turns at {factor:.2f} times the measured error.", factor=one.overturned_at))
    return paragraph(out)


def change_sentences(report: Report) -> dict[str, str]:
    """Per policy, at how many decisions it would do something else."""
    text = mark("At {share:.1%} of the decisions {policy} would do something else than the log did.")
    return {one.policy: say(text, share=one.share, policy=named(one.policy)) for one in report.changed}


def examples(report: Report) -> dict[str, tuple[str, ...]]:
    """Per policy, its example customers."""
    return {one.policy: tuple(_example(example) for example in one.examples) for one in report.changed}


def _example(one: Example) -> str:
    who = one.portrait
    out = [say("{customer}, {when} UTC.", customer=one.customer_id, when=one.at[:16].replace("T", " "))]
    if who is not None:
        came = say("Came in by {trigger}.", trigger=worded(who.trigger)) if who.trigger else say("Did not come in.")
        out.append(came)
    out.append(
        say(
            "The log: {logged}; the policy: {chosen} with {probability:.0%}, what the log did with {other:.0%}.",
            logged=treated(one.logged),
            chosen=treated(one.chosen),
            probability=one.probability,
            other=one.probability_logged,
        )
    )
    if who is not None:
        out += _known(who)
    change = one.change
    text = mark("It is one of the {share:.1%} from “{before}” to “{after}”.")
    before, after = treated(change.before), treated(change.after)
    return paragraph([*out, say(text, share=change.share, before=before, after=after)])


def _known(who: Portrait) -> Iterator[str]:
    """Profile and last contacts."""
    traits = say("; ").join(map(_trait, who.traits))
    yield say("Known: {traits}.", traits=traits) if traits else say("No profile was known.")
    contacts = say("; ").join(
        say("{what} {days:,.0f} days before", what=c.treatment, days=c.days) for c in who.contacts
    )
    yield say("Last contacts: {contacts}.", contacts=contacts) if contacts else say("No contact before.")


def _trait(one: Trait) -> str:
    unit = f" {one.unit}" if one.unit and one.value != UNKNOWN else ""
    return say("{what}: {value}{unit}", what=one.meaning, value=worded(one.value), unit=unit)


def use_sentences(report: Report) -> tuple[str, ...]:
    """What the report is for, and until when."""
    out = [
        say(
            "This report may be used until {expires}: {days} days after the last decision of its log. The term is "
            "assumed (settings.valid_days): customers, offers and prices go on changing.",
            expires=report.expires,
            days=report.settings.valid_days,
        ),
        say(
            "It is for deciding whether a policy goes to the gate or to a trial, among customers like those of the "
            "log, at the prices and the congestion stated here. It is not a forecast of the bank's result, and decides "
            "nothing about a single customer."
        ),
    ]
    known = {one.policy for one in report.uses if one.intended is not None}
    bare = [name for name in report.policies[1:] if name not in known]
    if bare:
        text = mark("Without a model card, so that their use and limits are not known here: {names}.")
        out.append(say(text, names=say(", ").join(map(named, bare))))
    text = mark("{policy} may be used until {expires}, by its own manifest.")
    out += [
        say(text, policy=named(one.policy), expires=one.expires)
        for one in report.uses
        if one.intended is None and one.expires is not None
    ]
    return tuple(out)
