"""What the page says of its sources: each section's data and estimator, the propensities, the prices, the code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.language import fields_of, say
from evaluation.lead_words import lead_title
from evaluation.origin import CHANGED, UNKNOWN
from evaluation.propensity import NOTE, SCALED
from evaluation.streaming import DRAWN
from evaluation.words import worded

if TYPE_CHECKING:
    from evaluation.report import Report

SHORT = 12  # letters of a digest that are enough to find it below


def section_origins(report: Report) -> dict[str, str]:
    """From which data and by which estimator each section comes."""
    data, title = report.data, lead_title(report)
    log = say("log {digest}", digest=data.digest[:SHORT])
    model = (
        say("models from the training customers {digest}", digest=data.training_digest[:SHORT])
        if data.training_digest is not None
        else say("models cross-fitted on the same log")
    )
    return {
        "power": say("{log}, propensities and booked rewards; no policy's value", log=log),
        "lead": say("{log}, {title}, {model}", log=log, title=title, model=model),
        "guaranteed": say("{log}, inverse propensity score; no model", log=log),
        "live": say("{log}, all decisions of the launched policy; forecasts of the earlier report", log=log),
        "slices": say("{log}, {title}, {model}", log=log, title=title, model=model),
        "fairness": say(
            "{log}, the policies' probabilities; annoyance: {title}, {model}", log=log, title=title, model=model
        ),
        "changes": say("{log}, the policies' probabilities; no reward", log=log),
        "support": say("{log}, propensities and the policies' probabilities; no reward", log=log),
        "reliability": say("{log}, estimated propensities and what was chosen; no reward", log=log),
        "confounding": say("{log}, self-normalised form of {title}; no model", log=log, title=title),
        "model": say("{log}, {title} and the estimates beside it, {model}", log=log, title=title, model=model),
        "bearing": say("{log}, contacts and what followed them; no model", log=log),
        "demand": say("{log}, the policies' probabilities; no reward; capacities of the catalogue", log=log),
        "mix": say("{log}, the policies' probabilities; no reward", log=log),
        "simulation": _world(report),
        "all": say("{log}, each estimator by itself, {model}", log=log, model=model),
    }


def _world(report: Report) -> str:
    """What was simulated."""
    sources = () if report.origin is None else report.origin.sources
    digest = next((one.digest[:SHORT] for one in sources if one.what == "world"), None)
    if digest is None:
        return say("a world that was handed in, seed {seed}; no log", seed=report.seed)
    return say("world {digest}, seed {seed}; no log", digest=digest, seed=report.seed)


def propensity_words(report: Report) -> str:
    """Where propensities come from."""
    data = report.data
    if data.propensity_source != "estimated":
        return say("as logged")
    for text in (SCALED, NOTE):
        found = fields_of(text, data.propensity_note)
        if found is not None:
            tried = (one.rsplit(" ", 1) for one in found["tried"].split(", ") if one)
            losses = say(", ").join(f"{worded(name)} {loss}" for name, loss in tried)
            return say(text, **found | {"name": worded(found["name"]), "tried": losses})
    return data.propensity_note or say("estimated")


def learned_words(report: Report) -> str:
    """How the customers were drawn that models were fitted on; empty: all of them were taken."""
    found = fields_of(DRAWN, report.learned_from)
    return report.learned_from if found is None else say(DRAWN, **found)


def code_words(code: str) -> str:
    """The commit, and what is to be known of it."""
    if (changed := fields_of(CHANGED, code)) is not None:
        return say(CHANGED, **changed)
    if (unknown := fields_of(UNKNOWN, code)) is not None:
        return say(UNKNOWN, why=worded(unknown["why"]))
    return code


def price_text(report: Report) -> str:
    """The prices at which everything was evaluated."""
    if report.prices is None:
        return say("as logged with each decision")
    named = zip(report.price_names, report.prices, strict=True)
    return say(", ").join(f"{worded(name)} {value:g}" for name, value in named)
