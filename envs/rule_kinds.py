"""Kinds of rules, as they are written in `rules.yaml`: one frozen model each, one sentence per field.

A *selection* names contacts: an empty field means all of them, and all the fields must match.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from envs.catalogue import Family
from envs.config import Config
from envs.history import RING

LONGEST = 366  # days of the longest window; assumed: contact rules look back a year at most
DayKind = Literal["weekend", "holiday", "working_day"]
LeadEvent = Literal["engaged", "abandoned"]


class Selection(Config):
    """Some treatments, or the contacts made with them."""

    treatments: tuple[str, ...] = Field((), description="Ids of treatments; empty: all.")
    products: tuple[str, ...] = Field((), description="Ids of products; empty: all.")
    channels: tuple[str, ...] = Field((), description="Ids of channels; empty: all.")
    families: tuple[Family, ...] = Field((), description="Families of channels: online, remote, offline; empty: all.")
    benefits: tuple[str, ...] = Field((), description="Ids of benefits, `none` for contacts without; empty: all.")

    @property
    def empty(self) -> bool:
        return not (self.treatments or self.products or self.channels or self.families or self.benefits)


class Condition(Config):
    """What a customer must be; all that is given must hold, and what is unknown does not."""

    column: str | None = Field(None, description="An observed column of the customers.")
    at_least: float | None = Field(None, description="Smallest value of a number or flag, in the column's unit.")
    at_most: float | None = Field(None, description="Largest value of a number or flag, in the column's unit.")
    one_of: tuple[str, ...] = Field((), description="Values of a category.")
    stages: tuple[str, ...] = Field((), description="Lifecycle stages, of schema.stages.")
    holds: tuple[str, ...] = Field((), description="Products of which the customer holds at least one.")
    lacks: tuple[str, ...] = Field((), description="Products of which the customer holds none.")

    @model_validator(mode="after")
    def _asks_something(self) -> Condition:
        bounded = self.at_least is not None or self.at_most is not None
        if (self.column is not None) != (bounded or bool(self.one_of)):
            raise ValueError("must give at_least, at_most or one_of together with column")
        if bounded and self.one_of:
            raise ValueError("must give bounds of a number or one_of a category, not both")
        if not (self.column or self.stages or self.holds or self.lacks):
            raise ValueError("must give a condition: column, stages, holds or lacks")
        return self


class Limit(Selection, Condition):
    """Contacts that are only for customers who meet the condition; without a selection, all contacts."""

    name: str = Field(min_length=1, description="Name of the rule, shown as the reason.")


class Cap(Selection):
    """At most so many contacts in a rolling window, counted one by one; when it is reached, the same are closed."""

    name: str = Field(min_length=1, description="Name of the rule, shown as the reason.")
    most: int = Field(ge=0, description=f"The largest number of contacts in the window, up to {RING}.")
    days: int = Field(ge=1, le=LONGEST, description="Length of the window in days, today included.")
    inbound: bool = Field(
        False, description="True: contacts on inbound channels count and are closed too, not only where named."
    )

    @field_validator("most")
    @classmethod
    def _remembered(cls, most: int) -> int:
        if most > RING:
            raise ValueError(f"must be at most {RING}: so many contacts of a customer are remembered one by one")
        return most


class Ban(Config):
    """A sequence ban: never these contacts within so many days after those."""

    name: str = Field(min_length=1, description="Name of the rule, shown as the reason.")
    never: Selection = Field(description="What is closed.")
    after: Selection = Field(description="The contacts after which it is closed, on every channel unless said.")
    days: int = Field(ge=1, le=LONGEST, description="Days for which it is closed, the contact's own included.")
    either_order: bool = Field(False, description="True: `after` is closed after `never` as well.")

    @model_validator(mode="after")
    def _says_what(self) -> Ban:
        if self.never.empty or self.after.empty:
            raise ValueError("must name something in never and in after")
        return self


class HandOver(Config):
    """A lead that is handed from one channel to another, with a deadline; where it goes if nobody takes it up.

    Within the deadline only `to` may contact the customer about the lead's product; afterwards, for return_days, only
    `return_to`. Inbound channels stay open: the customer came by himself.
    """

    name: str = Field(min_length=1, description="Name of the rule, shown as the reason.")
    products: tuple[str, ...] = Field((), description="Products of the leads; empty: all.")
    from_channels: tuple[str, ...] = Field((), description="Channels on which they arise; empty: all.")
    from_families: tuple[Family, ...] = Field((), description="Families of these channels; empty: all.")
    unasked: bool = Field(True, description="True: leads that arose on no known channel are handed over too.")
    events: tuple[LeadEvent, ...] = Field(
        ("engaged", "abandoned"), min_length=1, description="What makes the lead: engaged, abandoned (broken off)."
    )
    to: tuple[str, ...] = Field(min_length=1, description="Channels that receive the lead.")
    within_days: int = Field(ge=1, le=LONGEST, description="Days they have for it, the day it arose included.")
    return_to: tuple[str, ...] = Field((), description="Channels that get it back after that; empty: all are free.")
    return_days: int = Field(0, ge=0, le=LONGEST, description="Days for which only return_to has it.")

    @model_validator(mode="after")
    def _returns_for_some_days(self) -> HandOver:
        if bool(self.return_to) != bool(self.return_days):
            raise ValueError("must give return_to and return_days together, or neither")
        return self

    def keepers(self, age: int) -> frozenset[str] | None:
        """The outbound channels that may follow up a lead of this age in days; None: all."""
        if age < self.within_days:
            return frozenset(self.to)
        return frozenset(self.return_to) if age < self.within_days + self.return_days else None


class Ownership(Selection, Condition):
    """Customers who have an owner: contacts of the selection are closed to other channels, the owner's to others.

    Whoever does not meet the condition has no owner: the owner's channels are closed to him. Without a selection, all
    contacts. Inbound channels stay open unless named in `channels`.
    """

    name: str = Field(min_length=1, description="Name of the rule, shown as the reason.")
    owners: tuple[str, ...] = Field(min_length=1, description="Channels of the owner.")


class QuietTime(Selection):
    """Contacts that are not made at some times; without a selection, all contacts."""

    name: str = Field(min_length=1, description="Name of the rule, shown as the reason.")
    dayparts: tuple[str, ...] = Field((), description="Dayparts in which it is quiet; empty: the whole day.")
    days: tuple[DayKind, ...] = Field(
        (), description="Kinds of days on which it is quiet: weekend, holiday, working_day; empty: every day."
    )

    @model_validator(mode="after")
    def _says_when(self) -> QuietTime:
        if not (self.dayparts or self.days):
            raise ValueError("must give dayparts or days")
        return self
