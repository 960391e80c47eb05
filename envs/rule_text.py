"""Rules: who may be contacted how, as data; the whole of a `rules.yaml`, and where each line of it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import Field, PrivateAttr, model_validator

from envs.config import Config
from envs.errors import InputError
from envs.rule_kinds import LONGEST, Ban, Cap, HandOver, Limit, Ownership, QuietTime

BUILT_IN = (  # names of the rules that have no entry of their own, in the order of reasons
    *("inbound", "risk_hold", "no_risk_hold", "waiting", "consent", "quiet_hours", "holds_already"),
    *("application_pending", "suitability", "refusal", "complaint", "one_voice", "offer_consistency", "lead_owner"),
)
LISTS = ("quiet_times", "limits", "ownerships", "caps", "bans", "hand_overs")  # in the order of reasons
NamedRule = QuietTime | Limit | Ownership | Cap | Ban | HandOver


@dataclass(frozen=True, eq=False)
class Written:
    """Where fields were written: dotted field, named rules by name -> "file, line 3". No part of what rules say."""

    file: str = "rules.yaml"
    places: Mapping[str, str] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Written)

    def __hash__(self) -> int:
        return 0

    def place(self, name: str) -> str:
        """The line of a dotted field, of the rule that it belongs to, or the file."""
        while name:
            if name in self.places:
                return self.places[name]
            name = name.rpartition(".")[0]
        return self.file


class Levels(Config):
    """Lower levels of the hierarchy that customers of one batch belong to: a region, a branch."""

    column: str = Field(description="Observed category column that says to which level a customer belongs.")
    files: dict[str, str] = Field(
        default_factory=dict,
        description="Category -> rule book of that level, which extends this one; read on loading.",
    )
    rules: dict[str, Rules] = Field(default_factory=dict, description="Category -> the rules of that level, whole.")


class Rules(Config):
    """The rule book as it is written."""

    name: str = Field("rules", description="Name of the rule book; of a level, shown with the reasons it adds.")
    extends: str | None = Field(
        None, description="Rule book of the level above, relative to this file; this one may only tighten it."
    )
    levels: Levels | None = Field(None, description="Rule books of the levels below, chosen customer by customer.")
    consent: bool = Field(True, description="Close a channel from which the customer has opted out.")
    once: bool = Field(True, description="Do not offer a product marked `once` to a customer who holds it.")
    pending: bool = Field(True, description="Do not offer a product for which an application is pending.")
    quiet: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Channel -> dayparts in which it is quiet on every day."
    )
    suitability: str | None = Field(
        None,
        description="Column with the customer's risk rating; products above it are closed. Missing: the lowest, 1.",
    )
    quiet_times: tuple[QuietTime, ...] = Field((), description="Times at which some contacts are not made.")
    limits: tuple[Limit, ...] = Field((), description="Contacts that are only for some customers.")
    ownerships: tuple[Ownership, ...] = Field((), description="Customers who have an owner.")
    caps: tuple[Cap, ...] = Field((), description="Frequency caps over rolling windows.")
    bans: tuple[Ban, ...] = Field((), description="Sequences that are not allowed.")
    hand_overs: tuple[HandOver, ...] = Field((), description="Leads that go from one channel to another.")
    refusal_days: int = Field(0, ge=0, description="Days for which a refused product is not offered again.")
    complaint_days: int = Field(0, ge=0, description="Days without any selling after a complaint.")
    focus_days: int = Field(
        0,
        ge=0,
        description="Days for which an offered product keeps other products away (one voice); care offers nothing.",
    )
    benefit_days: int = Field(
        0,
        ge=0,
        le=LONGEST,
        description="Days for which a benefit once shown for a product holds on every channel: no other benefit of "
        "that product, nor none, is offered.",
    )
    lead_owner_days: int = Field(
        0,
        ge=0,
        description="Days since a lead arose for which the channel that first took it up keeps other outbound "
        "channels off its product, while it is open.",
    )
    origins: dict[str, str] = Field(
        default_factory=dict, description="Rule -> name of the lower level that set it; filled in on loading."
    )
    _written: Written = PrivateAttr(default_factory=Written)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Rules:
        seen = set(BUILT_IN)
        for section, rule in self.named():
            if rule.name in seen:
                raise ValueError(f"names of rules must be unique, {section} uses {rule.name!r} again")
            seen.add(rule.name)
        return self

    def named(self) -> Iterator[tuple[str, NamedRule]]:
        """Each rule that has an entry of its own, with the list that holds it."""
        for section in LISTS:
            for rule in getattr(self, section):
                yield section, rule

    def named_by_place(self) -> Iterator[tuple[str, NamedRule]]:
        """The same by dotted name, such as `caps.weekly`."""
        return ((f"{section}.{rule.name}", rule) for section, rule in self.named())

    @property
    def written(self) -> Written:
        return self._written

    def written_at(self, written: Written) -> Rules:
        """The same rules, with the places of their lines."""
        copy = self.model_copy()
        copy._written = written
        return copy

    def fault(self, need: str, name: str, value: object = None) -> InputError:
        """Bad input in a dotted field, at its file and line."""
        return InputError(need, file=self._written.place(name), field=name, value=value)


Levels.model_rebuild()
