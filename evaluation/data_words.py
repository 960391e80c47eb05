"""What the log itself leaves untold, in words: few customers, one treatment, certain choices, equal rewards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evaluation.digits import number
from evaluation.language import mark, say
from evaluation.words import treated, worded

if TYPE_CHECKING:
    from evaluation.report import Report

RANDOM = "randomised"
SHOWN = 0.001  # share of the decisions from which on the page speaks of them; assumed, as for what was never tried


def data_sentences(report: Report) -> tuple[str, ...]:
    """What is odd about a log, and what follows for the estimates."""
    return tuple(_sentences(report))


def _sentences(report: Report) -> Iterator[str]:
    data = report.data
    if data.customers == 1:
        yield say("One customer is evaluated: nothing tells luck from a difference, and no figure has an interval.")
    if 0 < data.training_customers < report.settings.min_ess:
        text = mark(
            "Models were fitted on {customers:,} customers, fewer than {need:,.0f}: what they say is hardly learned."
        )
        yield say(text, customers=data.training_customers, need=report.settings.min_ess)
    if data.only_treatment is not None:
        text = mark(
            "Every decision of the log took the same treatment, {treatment}: of any other it can tell nothing, and "
            "what is said here of policies that take another is a model's guess."
        )
        yield say(text, treatment=treated(data.only_treatment))
    elif data.certain >= SHOWN:
        text = mark(
            "At {share:.1%} of the decisions the logged treatment was certain, though others were allowed: what these "
            "would have brought there the log cannot tell."
        )
        yield say(text, share=data.certain)
    if data.same_return is not None:
        text = mark("Every customer of the log brought the same, {amount}: no policy can be told from another by it.")
        yield say(text, amount=f"{number(data.same_return)} {data.currency}".strip())
    if data.same_instant >= SHOWN:
        text = mark(
            "At {share:.1%} of the decisions the customer was decided again at the same instant: each counts as a step "
            "of its own, as if a policy had decided there as often."
        )
        yield say(text, share=data.same_instant)
    if report.assignments and RANDOM not in report.assignments:
        text = mark(
            "Nobody who is evaluated was decided at random (assignments: {names}): everything rests on the "
            "propensities of whoever decided."
        )
        yield say(text, names=say(", ").join(map(worded, report.assignments)))
