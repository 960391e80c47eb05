"""What the UCI bank calls are about, in canonical words: phones as channels, clients and task as a schema."""

from __future__ import annotations

from envs.catalogue import Catalogue, Channel, Product, Treatment
from envs.schema import Column, Fading, PriceRange, Reward, Schema, Split, Task

UNKNOWN = "unknown"  # as the file writes it
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
PERIODS = tuple(f"{month}-{third}" for month in MONTHS for third in (1, 2, 3))
"""Thirds of a month: to the 10th, to the 20th, the rest. Campaigns come in waves that are shorter than a month."""
JOBS = (
    *("admin.", "blue-collar", "entrepreneur", "housemaid", "management", "retired", "self-employed", "services"),
    *("student", "technician", "unemployed"),
)
MARITAL = ("divorced", "married", "single")
EDUCATION = ("primary", "secondary", "tertiary")
OUTCOMES = ("failure", "other", "success")  # of the previous campaign
PRODUCT = "term_deposit"
CONTACTS = {"cellular": "call-cellular", "telephone": "call-telephone", UNKNOWN: "call-unknown"}  # contact -> treatment
UNIDENTIFIED = (
    "log_attempt is the logarithm of the last call's number in its campaign: calling stops at a yes or when the bank "
    "gives up, so that its coefficient mixes what one more call does with who is still being called; the decay over "
    "repeated calls is not identified",
    "earlier calls of a campaign are not dated: contact pressure stands in log_attempt, not in the history",
    "the phone was not chosen at random, and is not recorded for most calls of May and June 2008: differences between "
    "channels are differences between clients, too",
    "there is one course of time: season, campaign waves and the market of 2008 to 2010 cannot be told apart",
)
CATALOGUE = Catalogue(
    name="bank_calls",
    currency="subscriptions",
    products=(Product(id=PRODUCT, meaning="term deposit"),),
    channels=tuple(  # annoyance assumed: ten calls cost as much goodwill as one opt-out, as in the built-in bank
        Channel(id=phone, meaning=meaning, family="remote", annoyance=0.1)
        for phone, meaning in (
            ("cellular", "call to a mobile phone"),
            ("telephone", "call to a fixed line"),
            (UNKNOWN, "call to a phone that was not recorded"),
        )
    ),
    treatments=tuple(
        Treatment(id=name, product=PRODUCT, channel=phone, format="voice", external_id=phone)
        for phone, name in CONTACTS.items()
    ),
)
COLUMNS = (
    # Centre and scale: round numbers near the middle and the spread of a bank's clients; assumed.
    Column(name="age", type="number", meaning="age", unit="years", center=40, scale=10),
    Column(name="job", type="category", meaning="kind of job", nullable=True, categories=JOBS),
    Column(name="marital", type="category", meaning="marital status", categories=MARITAL),
    Column(name="education", type="category", meaning="education", nullable=True, categories=EDUCATION),
    Column(name="default", type="flag", meaning="has credit in default", sensitivity="special"),
    Column(name="log_balance", type="number", meaning="sign x log of 1 + |yearly balance in EUR|", center=5, scale=3),
    Column(name="housing", type="flag", meaning="has a housing loan"),
    Column(name="loan", type="flag", meaning="has a personal loan"),
    Column(name="period", type="category", meaning="third of the month", categories=PERIODS, sensitivity="internal"),
    Column(name="day", type="number", meaning="day of the month", center=16, scale=8, sensitivity="internal"),
    Column(
        name="log_attempt", type="number", meaning="log of the call's number in its campaign", center=0.7, scale=0.7
    ),
    Column(
        name="log_pdays",
        type="number",
        meaning="log of 1 + days since the previous campaign's last call",
        nullable=True,
        center=5,
        scale=0.8,
    ),
    Column(name="log_previous", type="number", meaning="log of 1 + calls before this campaign", center=0.3, scale=0.6),
    Column(
        name="poutcome",
        type="category",
        meaning="outcome of the previous campaign",
        nullable=True,
        categories=OUTCOMES,
    ),
    Column(name="balance", type="number", meaning="average yearly balance", unit="EUR", role="reference"),
)


def calls_schema(split: Split) -> Schema:
    """One call, its outcome within the day; the reward is a subscription, whose amount is not given."""
    return Schema(
        columns=COLUMNS,
        fading=Fading(),  # of no effect: nothing is dated before the one decision
        prices={"annoyance": PriceRange(default=0.0, high=1.0)},  # assumed: a subscription is worth an opt-out at most
        task=Task(
            kind="finite",
            gamma=1.0,
            days=(0,),
            end_day=1,
            calendar="PT",
            reward=Reward(margin_per_event={"converted": 1.0}),
            annoyance_missing=("opted_out", "complained", "blocked"),
        ),
        split=split,
    )
