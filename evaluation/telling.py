"""What the page says in sentences of wrong models, of what changes for whom, of use and expiry, and of its sources."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evaluation.lead_words import lead_title
from evaluation.sentences import bounded

if TYPE_CHECKING:
    from evaluation.changes import Example
    from evaluation.misspecification import Misspecification
    from evaluation.portrait import Portrait
    from evaluation.report import Report

SHORT = 12  # letters of a digest that are enough to find it below


def misspecification_sentences(report: Report) -> tuple[str, ...]:
    """How the lead's differences bear a wrong reward model."""
    found = [one for one in report.misspecifications if one.estimator == report.lead.estimator]
    return tuple(_modelled(one) if one.model_based else _scaled(one) for one in found)


def _scaled(one: Misspecification) -> str:
    """Of a doubly robust estimate."""
    what = (
        f"{one.policy}: were the reward model wrong by half, each of its expectations half as large, the difference "
        f"would be {bounded(one.at(0.5))} instead of {bounded(one.at(1.0))}; without it {bounded(one.at(0.0))}, with "
        f"twice of it {bounded(one.at(2.0))}."
    )
    if one.stands:
        what += " The conclusion stands at all of these."
    elif one.overturned_at is not None:
        what += f" The sign turns where the model's expectations are multiplied by {one.overturned_at:.2f}."
    if math.isnan(one.moved.lo):
        return what
    chance = (
        "more than chance would: propensities or model are wrong, since with right propensities no model moves the mean"
        if one.beyond_chance
        else "no more than chance would"
    )
    return f"{what} The model moves the estimate by {bounded(one.moved)}, {chance}."


def _modelled(one: Misspecification) -> str:
    """Of a model-based figure."""
    what = f"{one.policy}: the model alone expects {bounded(one.at(0.0))}."
    if one.shrinks_to is not None:
        what += f" Were no more than {one.shrinks_to:.0%} of that true, its interval would no longer be clear of 0."
    if math.isnan(one.moved.lo):
        return f"{what} How wrong the model is there the log cannot measure: too few customers had what it would do."
    what += (
        f" Its own error on the log, by weighted residuals, moves that by {bounded(one.moved)}: were it wrong by half "
        f"of it, the difference would be {bounded(one.at(0.5))}, by all of it {bounded(one.at(1.0))}."
    )
    if one.overturned_at is not None:
        what += f" The sign turns at {one.overturned_at:.2f} times the measured error."
    return what


def change_sentences(report: Report) -> dict[str, str]:
    """Per policy, at how many decisions it would do something else."""
    return {
        one.policy: f"At {one.share:.1%} of the decisions {one.policy} would do something else than the log did."
        for one in report.changed
    }


def examples(report: Report) -> dict[str, tuple[str, ...]]:
    """Per policy, its example customers."""
    return {one.policy: tuple(_example(example) for example in one.examples) for one in report.changed}


def _example(one: Example) -> str:
    came = ""
    if one.portrait is not None:
        came = f", came in by {one.portrait.trigger}" if one.portrait.trigger else ", did not come in"
    when = one.at[:16].replace("T", " ")
    what = (
        f"{one.customer_id}, {when} UTC{came}. The log: {one.logged}; the policy: {one.chosen} with "
        f"{one.probability:.0%}, what the log did with {one.probability_logged:.0%}."
    )
    known = "" if one.portrait is None else f" {_known(one.portrait)}"
    return f"{what}{known} It is one of the {one.change.share:.1%} from “{one.change.before}” to “{one.change.after}”."


def _known(who: Portrait) -> str:
    """Profile and last contacts."""
    traits = ", ".join(f"{t.meaning} {t.value}{f' ({t.unit})' if t.unit else ''}" for t in who.traits)
    last = "; ".join(f"{c.treatment} {c.days:,.0f} days before" for c in who.contacts)
    known = f"Known: {traits}." if traits else "No profile was known."
    return f"{known} {f'Last contacts: {last}.' if last else 'No contact before.'}"


def use_sentences(report: Report) -> tuple[str, ...]:
    """What the report is for, and until when."""
    days = report.settings.valid_days
    out = [
        f"This report may be used until {report.expires}: {days} days after the last decision of its log. The term is "
        "assumed (settings.valid_days): customers, offers and prices go on changing.",
        "It is for deciding whether a policy goes to the gate or to a trial, among customers like those of the log, at "
        "the prices and the congestion stated here. It is not a forecast of the bank's result, and decides nothing "
        "about a single customer.",
    ]
    known = {one.policy for one in report.uses if one.intended is not None}
    bare = [name for name in report.policies[1:] if name not in known]
    if bare:
        out.append(f"Without a model card, so that their use and limits are not known here: {', '.join(bare)}.")
    out += [
        f"{one.policy} may be used until {one.expires}, by its own manifest."
        for one in report.uses
        if one.intended is None and one.expires is not None
    ]
    return tuple(out)


def section_origins(report: Report) -> dict[str, str]:
    """From which data and by which estimator each section comes."""
    data, title = report.data, lead_title(report)
    log = f"log {data.digest[:SHORT]}"
    model = (
        f"models from the training customers {data.training_digest[:SHORT]}"
        if data.training_digest is not None
        else "models cross-fitted on the same log"
    )
    choosing = "the policies' probabilities; no reward"
    return {
        "power": f"{log}, propensities and booked rewards; no policy's value",
        "lead": f"{log}, {title}, {model}",
        "guaranteed": f"{log}, inverse propensity score; no model",
        "live": f"{log}, all decisions of the launched policy; forecasts of the earlier report",
        "slices": f"{log}, {title}, {model}",
        "changes": f"{log}, {choosing}",
        "support": f"{log}, propensities and {choosing}",
        "confounding": f"{log}, self-normalised form of {title}; no model",
        "model": f"{log}, {title} and the estimates beside it, {model}",
        "demand": f"{log}, {choosing}; capacities of the catalogue",
        "mix": f"{log}, {choosing}",
        "simulation": _world(report),
        "all": f"{log}, each estimator by itself, {model}",
    }


def _world(report: Report) -> str:
    """What was simulated."""
    sources = () if report.origin is None else report.origin.sources
    digest = next((one.digest[:SHORT] for one in sources if one.what == "world"), "that was handed in")
    return f"world {digest}, seed {report.seed}; no log"
