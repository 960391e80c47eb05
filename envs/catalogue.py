"""The catalogue: what may be offered, over which channel, at what cost.

A catalogue is one YAML file, `catalogue.yaml`. Treatment 0 is always `silence` and is not listed in the file.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StringConstraints, model_validator

from envs.config import Config, load_config
from envs.digest import digest_of
from envs.errors import InputError

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+\- ]+$", min_length=1)]
Family = Literal["online", "remote", "offline"]
SILENCE = "silence"
WORST_GRADE = 31  # credit grades beyond it count as it


class Product(Config):
    """What is offered. `care` contacts sell nothing (`selling: false`)."""

    id: Identifier = Field(description="Name of the product, unique in the catalogue.")
    meaning: str = Field("", description="One phrase for people.")
    selling: bool = Field(True, description="False for care and other contacts that sell nothing.")
    once: bool = Field(False, description="True if a customer who holds it is not offered it again.")
    income: Literal["interest", "fee"] = Field(
        "interest", description="What its margin is: interest (a spread on balances) or fee (commissions, premiums)."
    )
    risk_level: int = Field(
        1, ge=1, le=5, description="Product risk, 1 (lowest) to 5; held against the customer's rating."
    )
    features: dict[str, float] = Field(default_factory=dict, description="Numbers that describe the product to models.")
    closes: tuple[Family, ...] = Field(
        (), description="Families of channels over which a contact can close it; elsewhere it only warms. Empty: all."
    )
    maturing_days: int = Field(0, ge=0, description="Days from application to conversion, when the margin is booked.")
    cancel_days: int = Field(
        0, ge=0, description="Days after conversion in which it may be cancelled, margin clawed back."
    )
    margin_rate: float | None = Field(
        None, gt=0, description="Margin / volume before credit loss: gives the volume booked."
    )
    default_probability: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (),
        max_length=WORST_GRADE,
        description="Of a loan over its life, by credit grade 1, 2 ...; needs margin_rate and schema.credit_column.",
    )
    loss_given_default: float = Field(0.0, ge=0, le=1, description="Share of the volume lost at default.")
    refers: bool = Field(False, description="True if taking it names a friend, who joins when it matures.")
    clears_hold: bool = Field(False, description="True for verification: offered under a risk hold only, and lifts it.")

    @model_validator(mode="after")
    def _loss_needs_volume(self) -> Product:
        if self.default_probability and self.margin_rate is None:
            raise ValueError(f"product {self.id!r}: default_probability needs margin_rate")
        return self

    def net_of_loss(self, grade: np.ndarray) -> np.ndarray:
        """Margin net of expected credit loss / margin, of customers by credit grade (0: unknown, no loss is taken off).

        Expected credit loss = probability of default x loss given default x exposure (IFRS 9; Basel Committee 2005),
        with exposure = volume = margin / margin_rate. Grades beyond the list take its last entry.
        """
        if not self.default_probability:
            return np.ones(np.shape(grade))
        probability = np.array([0.0, *self.default_probability])[np.clip(grade, 0, len(self.default_probability))]
        return np.asarray(1 - probability * self.loss_given_default / (self.margin_rate or 1.0))


class Benefit(Config):
    """An incentive attached to a contact; its cost falls due on redemption."""

    id: Identifier = Field(description="Name of the benefit, unique in the catalogue.")
    meaning: str = Field("", description="One phrase for people.")
    cost: float = Field(0.0, ge=0, description="Cost per redemption, in the catalogue's currency.")


class Channel(Config):
    """A way to reach a customer."""

    id: Identifier = Field(description="Name of the channel, unique in the catalogue.")
    meaning: str = Field("", description="One phrase for people.")
    family: Family = Field(description="online, remote or offline.")
    inbound: str | None = Field(
        None,
        description="The trigger without which the channel is closed (e.g. app_session); null: outbound.",
    )
    annoyance: float = Field(
        0.0, ge=0, description="Annoyance of one contact at zero contact pressure; one opt-out is 1."
    )
    delay_days: float = Field(
        0.0, ge=0, description="Mean days until a contact decided today is made (geometric); 0: made at once."
    )
    features: dict[str, float] = Field(default_factory=dict, description="Numbers that describe the channel to models.")


class Pool(Config):
    """A scarce resource that treatments draw effort from."""

    id: Identifier = Field(description="Name of the pool, unique in the catalogue.")
    unit: str = Field("minutes", description="Unit of effort and capacity.")
    capacity: float = Field(gt=0, description="Units for every 10,000 customers: a day's, or of a stock, all there is.")
    stock: bool = Field(False, description="True: never filled up again (a product quota, a benefit budget).")


class Treatment(Config):
    """One action: product x benefit x channel x format x daypart (+ message)."""

    id: Identifier = Field(description="Name of the treatment, unique in the catalogue.")
    product: str = Field(description="Id of a product.")
    benefit: str = Field("none", description="Id of a benefit; `none` needs no entry.")
    channel: str = Field(description="Id of a channel.")
    format: Identifier = Field("text", description="text, image, video, voice, face_to_face ...")
    daypart: Identifier = Field("day", description="morning, afternoon, evening ... of the contact.")
    message: str | None = Field(None, description="Id of the copy or script.")
    cost: float = Field(0.0, ge=0, description="Cost of one contact, in the catalogue's currency.")
    effort: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="Units drawn from each pool by one contact."
    )
    external_id: str | None = Field(None, description="The id of this treatment in the campaign tool it came from.")


class Catalogue(Config):
    """Products, benefits, channels, pools and treatments, checked against each other."""

    name: Identifier = Field(description="Name of the catalogue.")
    currency: str = Field("CNY", description="Currency of margins and costs.")
    products: tuple[Product, ...] = Field(min_length=1)
    benefits: tuple[Benefit, ...] = ()
    channels: tuple[Channel, ...] = Field(min_length=1)
    pools: tuple[Pool, ...] = ()
    treatments: tuple[Treatment, ...] = Field(
        min_length=1, description="All treatments but silence, which is always number 0."
    )

    @model_validator(mode="after")
    def _references_exist(self) -> Catalogue:
        known = {
            "product": [p.id for p in self.products],
            "benefit": ["none", *(b.id for b in self.benefits)],
            "channel": [c.id for c in self.channels],
            "pool": [p.id for p in self.pools],
            "treatment": [SILENCE, *(t.id for t in self.treatments)],
        }
        for kind, ids in known.items():
            doubles = sorted({i for i in ids if ids.count(i) > 1})
            if doubles:
                raise ValueError(f"{kind} ids must be unique, found twice: {', '.join(doubles)}")
        for treatment in self.treatments:
            used = [
                ("product", treatment.product),
                ("benefit", treatment.benefit),
                ("channel", treatment.channel),
            ]
            for kind, name in [*used, *(("pool", pool) for pool in treatment.effort)]:
                if name not in known[kind]:
                    choice = ", ".join(known[kind])
                    raise ValueError(f"treatment {treatment.id!r}: unknown {kind} {name!r}, must be one of: {choice}")
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return digest_of(self.model_dump(mode="json"))

    @cached_property
    def treatment_ids(self) -> tuple[str, ...]:
        """Ids in position order; position 0 is silence."""
        return (SILENCE, *(t.id for t in self.treatments))

    @cached_property
    def product_ids(self) -> tuple[str, ...]:
        return tuple(p.id for p in self.products)

    @cached_property
    def channel_ids(self) -> tuple[str, ...]:
        return tuple(c.id for c in self.channels)

    @cached_property
    def pool_ids(self) -> tuple[str, ...]:
        return tuple(p.id for p in self.pools)

    @cached_property
    def product_of(self) -> np.ndarray:  # (treatments,) int64, -1 for silence
        """Position of each treatment's product."""
        return np.array([-1, *(self.product_ids.index(t.product) for t in self.treatments)])

    @cached_property
    def channel_of(self) -> np.ndarray:  # (treatments,) int64, -1 for silence
        """Position of each treatment's channel."""
        return np.array([-1, *(self.channel_ids.index(t.channel) for t in self.treatments)])

    @cached_property
    def benefit_of(self) -> np.ndarray:  # (treatments,) int64, -1: none
        """Position of each treatment's benefit."""
        ids = [b.id for b in self.benefits]
        return np.array([-1, *(-1 if t.benefit == "none" else ids.index(t.benefit) for t in self.treatments)])

    @cached_property
    def closes(self) -> np.ndarray:  # (treatments,) bool
        """True where a contact can end in a conversion over its channel."""
        open_to = [self.products[p].closes for p in self.product_of[1:]]
        families = [self.channels[c].family for c in self.channel_of[1:]]
        return np.array([False, *(not to or family in to for to, family in zip(open_to, families, strict=True))])

    @cached_property
    def delays(self) -> np.ndarray:  # (treatments,) bool
        """True where a contact may be made later than it was decided."""
        return np.array([False, *(self.channels[c].delay_days > 0 for c in self.channel_of[1:])])

    @cached_property
    def cost(self) -> np.ndarray:  # (treatments,) float64
        """Cost of one contact, in currency; silence costs nothing."""
        return np.array([0.0, *(t.cost for t in self.treatments)])

    @cached_property
    def benefit_cost(self) -> np.ndarray:  # (treatments,) float64
        """Cost of one redemption of the treatment's benefit, in currency."""
        costs = {"none": 0.0, **{b.id: b.cost for b in self.benefits}}
        return np.array([0.0, *(costs[t.benefit] for t in self.treatments)])

    @cached_property
    def contact_annoyance(self) -> np.ndarray:  # (treatments,) float64
        """Annoyance of one contact at zero contact pressure (one opt-out is 1)."""
        return np.array([0.0, *(self.channels[c].annoyance for c in self.channel_of[1:])])

    @cached_property
    def effort(self) -> np.ndarray:  # (treatments, pools) float64
        """Units drawn from each pool by one contact."""
        rows = [[t.effort.get(pool, 0.0) for pool in self.pool_ids] for t in self.treatments]
        return np.array([[0.0] * len(self.pool_ids), *rows]).reshape(len(rows) + 1, len(self.pool_ids))

    @cached_property
    def selling(self) -> np.ndarray:  # (treatments,) bool
        """True where the treatment sells something."""
        return np.array([False, *(self.products[p].selling for p in self.product_of[1:])])


def load_catalogue(path: Path) -> Catalogue:
    """Read `catalogue.yaml`; raise InputError that names file, field and need."""
    if not path.is_file():
        raise InputError("must be there: the catalogue of treatments", file=str(path))
    return load_config(Catalogue, path)
