"""Why the lead estimate leads, in words: where importance sampling loses its support, and what is assumed instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.estimators import ESTIMATORS, assumed
from evaluation.language import mark, say
from evaluation.words import named

if TYPE_CHECKING:
    from evaluation.report import Report

MODELLESS = {"dr": "snips", "kstep_dr": "kstep", "deviation_dr": "deviation"}  # the same estimates without a model


def support_sentences(report: Report) -> tuple[str, ...]:
    """Where importance sampling loses its support, which estimator therefore leads, and what it assumes."""
    lead, data = report.lead, report.data
    leading = ESTIMATORS[lead.estimator]
    out_of = mark("{need:,.0f} of {all:,} customers")
    need = say(out_of if lead.threshold <= data.customers else mark("{need:,.0f} customers"), need=lead.threshold,
               all=data.customers)  # fmt: skip
    if lead.lost_at is not None and data.horizon > 1:
        found = report.supports[report.policies.index(lead.policy)]
        first = say(
            "Importance sampling over whole sequences loses its support at decision {lost} of {horizon}: the effective "
            "sample size of {policy} falls to {size:,.1f} customers, below the {need} that are needed.",
            lost=lead.lost_at, horizon=data.horizon, policy=named(lead.policy), need=need,
            size=found.ess_cumulative[lead.lost_at - 1],
        )  # fmt: skip
    elif lead.lost_at is not None:
        first = say(
            "Importance sampling has no support for {policy}: the effective sample size is {size:,.1f} customers, "
            "below {need}.",
            policy=named(lead.policy), size=lead.ess, need=need,
        )  # fmt: skip
    else:
        first = say(
            "Importance sampling keeps its support over the whole log: at least {size:,.0f} customers.", size=lead.ess
        )
    out = [first, say(
        "The estimate that leads is therefore “{title}”: {reason}.",
        title=lead_title(report), reason=lead_reason(report),
    ), say("It assumes that {assumptions}.", assumptions=assumed(leading))]  # fmt: skip
    if leading.model_based:
        out.append(say("It is model-based: it may admit a policy to a trial, it proves nothing."))
    return (*out, *_alone(report))


def _alone(report: Report) -> tuple[str, ...]:
    """Policies that the log would support if others were not compared with them, which take the lead from it."""
    compared = [one.policy for one in report.changed]
    earned = {one.policy: one.positives for one in report.powers}
    able = [
        name
        for name in compared
        if report.support(name)[0] >= report.lead.threshold
        and earned.get(name, 0.0) >= report.settings.min_positives
        and report.supports[report.policies.index(name)].untried <= report.settings.max_untried
    ]
    if not report.lead.model_based or not able or len(able) == len(compared):
        return ()
    text = mark("By themselves the log would support {able}: evaluate without {others} to be told more of them.")
    lists = (say(", ").join(map(named, names)) for names in (able, [name for name in compared if name not in able]))
    return (say(text, able=next(lists), others=next(lists)),)


def lead_reason(report: Report) -> str:
    """Why this estimate leads, as the end of a sentence."""
    lead = report.lead
    if lead.kind == "model":
        why = (
            say(
                "{policy} puts {share:.1%} of its decisions on treatments that the log never tried there",
                policy=named(next(s.policy for s in report.supports if s.untried == lead.untried)),
                share=lead.untried,
            )
            if lead.untried > report.settings.max_untried
            else say(
                "even for single decisions the effective sample size is {size:.0f}, below {need:.0f}",
                size=lead.ess,
                need=lead.threshold,
            )
        )
        return say("{why}: only a model can answer", why=why)
    form = (
        say("self-normalised without a reward model ({rows:,} training decisions)", rows=lead.model_rows)
        if lead.estimator in MODELLESS.values()
        else say("doubly robust, with a reward model from {rows:,} training decisions", rows=lead.model_rows)
    )
    if lead.kind == "one-step":
        return say("a customer has one decision, and the effective sample size holds; {form}", form=form)
    if lead.kind == "deviation":
        return say(
            "over two decisions the effective sample size is {size:.0f}, below {need:.0f}: one decision at a time is "
            "what the log supports; {form}",
            size=lead.ess_of_two, need=lead.threshold, form=form,
        )  # fmt: skip
    if lead.decisions == report.data.horizon:
        return say("the effective sample size holds for the whole log; {form}", form=form)
    return say(
        "the effective sample size holds for {k} decisions, then the logging policy; {form}",
        k=lead.decisions,
        form=form,
    )


def lead_title(report: Report) -> str:
    """The lead estimator's title, with its number of decisions."""
    title = say(ESTIMATORS[report.lead.estimator].title)
    return title.replace(say("k-step"), say("{k}-step", k=report.lead.decisions))
