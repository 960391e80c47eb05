"""What the Starbucks log is about, in canonical words: offers as a catalogue, customers and task as a schema.

Nothing here is fitted to rows: two imports with the same offers give the same catalogue and the same observation.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from envs.catalogue import Benefit, Catalogue, Channel, Product, Treatment
from envs.schema import Column, Fading, PriceRange, Reward, Schema, Split, Task

WAVES = (0, 168, 336, 408, 504, 576)  # hours at which offers go out: a property of this data set
END = 720  # hours; the log covers 30 days
ORIGIN = datetime(2018, 7, 26, tzinfo=UTC)  # hour 0; the day on which the last customer became a member
LAST_MEMBER = date(2018, 7, 26)  # the latest became_member_on of the whole data set
UNKNOWN_AGE = 118  # as the data set writes it
MEDIA = {"email": 0.01, "mobile": 0.02, "social": 0.01, "web": 0.0}
"""Media of an offer, and the annoyance of one message, one opt-out being 1. Assumed: a hundred e-mails or fifty
messages on the phone cost as much goodwill as one opt-out; on the web the customer comes by and is not disturbed."""
UNIDENTIFIED = (
    "the media of an offer never change: the effect of a channel is not identified apart from the offers that use it",
    "everybody is decided about at the same six hours: when to contact is identified for these hours only",
)
KINDS = ("bogo", "discount", "informational")
TOP = {"difficulty": 20.0, "reward": 10.0, "duration": 10.0}  # largest of the ten offers, in USD, USD and days


class Offer(NamedTuple):
    """One line of portfolio.json."""

    id: str
    kind: str  # one of KINDS
    difficulty: float  # USD to spend
    reward: float  # USD paid out on completion
    duration: float  # days
    media: tuple[str, ...]  # sorted

    @property
    def channel(self) -> str:
        return "+".join(self.media)

    @property
    def benefit(self) -> str:
        return f"reward_{self.reward:g}" if self.reward else "none"


def offer_catalogue(offers: Iterable[Offer]) -> Catalogue:
    """The ten offers and silence, sorted by id.

    The media of an offer are a fixed attribute of it and stand together as one channel, so that a channel's effect
    cannot be told from the effect of the offers that use it.
    """
    offers = sorted(offers)
    rewards = sorted({offer.reward for offer in offers if offer.reward})
    media = sorted({offer.media for offer in offers})
    return Catalogue(
        name="starbucks",
        currency="USD",
        products=tuple(_product(offer) for offer in offers),
        benefits=tuple(
            Benefit(id=f"reward_{reward:g}", meaning=f"{reward:g} USD paid out on completion", cost=reward)
            for reward in rewards
        ),
        channels=tuple(_channel(names) for names in media),
        treatments=tuple(
            Treatment(id=o.id, product=o.id, benefit=o.benefit, channel=o.channel, external_id=o.id) for o in offers
        ),
    )


def _product(offer: Offer) -> Product:
    terms = f"spend {offer.difficulty:g} USD, get {offer.reward:g}, within {offer.duration:g} days"
    features = {
        "difficulty": offer.difficulty / TOP["difficulty"],
        "reward": offer.reward / TOP["reward"],
        "duration": offer.duration / TOP["duration"],
        **{kind: float(offer.kind == kind) for kind in KINDS},
    }
    return Product(id=offer.id, meaning=f"{offer.kind}: {terms}", features=features)


def _channel(media: tuple[str, ...]) -> Channel:
    return Channel(
        id="+".join(media),
        meaning=f"the same offer by {', '.join(media)}",
        family="online",
        annoyance=round(sum(MEDIA[name] for name in media), 6),
        features={name: float(name in media) for name in MEDIA},
    )


def offer_schema(split: Split) -> Schema:
    """Six decisions in 30 days; the reward is spend less offer rewards paid out, in USD.

    Half-lives are assumed: waves are three to seven days apart and an offer is valid for three to ten, so that what
    happened fades to about a half from wave to wave, and interest in an offer within its validity.
    """
    return Schema(
        columns=COLUMNS,
        fading=Fading(recency=4, pressure=7, engagement=7, intent=4, refusal=14, complaint=30, purchase=7),
        prices={"annoyance": PriceRange(default=0.0, high=40.0)},
        task=Task(
            kind="finite",
            gamma=1.0,
            days=tuple(hour // 24 for hour in WAVES),
            end_day=END // 24,
            reward=Reward(margin_per_value={"purchased": 1.0}, cost_per_value={"redeemed": 1.0}),
            annoyance_missing=("opted_out", "complained", "blocked"),
            observed_until=ORIGIN + timedelta(hours=END),
        ),
        split=split,
    )


COLUMNS = (
    # Centre and scale: round numbers near the middle and the spread of an adult, earning population; assumed.
    Column(name="age", type="number", meaning="age", unit="years", nullable=True, center=55, scale=18),
    Column(name="income", type="number", meaning="income", unit="USD a year", nullable=True, center=65e3, scale=20e3),
    Column(name="gender", type="category", meaning="gender", nullable=True, categories=("F", "M", "O")),
    Column(
        name="membership_days",
        type="number",
        meaning=f"days as a member on {LAST_MEMBER}",
        unit="days",
        center=500,
        scale=400,
    ),
)
