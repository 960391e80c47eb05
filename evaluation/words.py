"""Words of the record that stand on the page: names that nextbest itself gives, said in the reader's language.

What an organisation named (policies, products, segments, columns) has no entry here and stays as it is.
"""

from __future__ import annotations

from envs.catalogue import SILENCE
from evaluation.language import fields_of, mark, say

POLICIES = frozenset(
    {
        mark("logged"),
        mark("champion"),
        mark("silence"),
        mark("random"),
        mark("coordinated_rules"),
        mark("best_fixed"),
        mark("myopic"),
    }
)
WORDS = frozenset(
    {
        # amounts, and what models are of
        mark("reward"),
        mark("margin"),
        mark("cost"),
        mark("annoyance"),
        mark("fitted Q"),
        mark("reward, for one policy"),
        # how models are fitted
        mark("constant"),
        mark("trees"),
        mark("frequencies per step"),
        mark("multinomial logistic"),
        # values of a profile, and what groups are by
        mark("yes"),
        mark("no"),
        mark("true"),
        mark("false"),
        mark("unknown"),
        mark("month"),
        mark("channel"),
        mark("outbound"),
        # how a customer comes in
        mark("app_session"),
        mark("browsed"),
        mark("abandoned"),
        mark("inbound_call"),
        mark("branch_visit"),
        # assignments
        mark("champion"),
        mark("challenger"),
        mark("holdout"),
        # components of annoyance
        mark("contacts"),
        # columns of a simulation
        mark("policy"),
        mark("conversions"),
        mark("value"),
        mark("gain"),
        mark("customers"),
        mark("contacts p95"),
        mark("contacts p99"),
        mark("contacts most"),
        mark("complaints per 10k"),
        mark("opt outs per 10k"),
        # sources, and why the code is not known
        mark("tables"),
        mark("catalogue"),
        mark("world"),
        mark("git is not installed"),
        mark("the code is not in a git repository"),
    }
)
COMPONENTS = {"opted_out": mark("opt-outs"), "complained": mark("complaints"), "blocked": mark("blocks")}
RIDGE, EFFORT = mark("ridge {penalty}"), mark("effort:{pool}")


def named(policy: str) -> str:
    """A policy's name: that of a baseline in the reader's language, any other as it is."""
    return say(policy) if policy in POLICIES else policy


def worded(word: str) -> str:
    """A word of the record in the reader's language, anything else as it is."""
    return say(word) if word in WORDS else word


def component(name: str) -> str:
    """A component of annoyance, as people call it."""
    return say(COMPONENTS[name]) if name in COMPONENTS else worded(name)


def treated(treatment: str) -> str:
    """A treatment's id, or what it offers on which channel; silence in the reader's language."""
    return say(treatment) if treatment == SILENCE else treatment


def fitted(recipe: str) -> str:
    """A regression by its recipe's name."""
    found = fields_of(RIDGE, recipe)
    return worded(recipe) if found is None else say(RIDGE, **found)


def amount_of(amount: str) -> str:
    """What a model is of: an amount, or the effort that a pool gives."""
    found = fields_of(EFFORT, amount)
    return worded(amount) if found is None else say(EFFORT, **found)
