"""What goes over the wire: requests and answers of the service."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from envs.table_checks import LARGEST_AMOUNT

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Cell = bool | int | float | str | None  # a value of a profile column


class Wire(BaseModel):
    """Base of requests and answers: unknown fields are refused, numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class DecisionRequest(Wire):
    """What next for this customer?"""

    customer_id: Name
    """Pseudonymous id of the customer."""
    customer: dict[str, Cell] | None = None
    """Profile columns, if the customer is new or something changed; columns left out keep what is known."""
    trigger: str | None = None
    """How the customer comes in (a trigger of the schema); null: an outbound decision."""
    at: AwareDatetime | None = None
    """Moment of the decision, with a time zone; null: now."""
    prices: dict[str, float] = {}
    """Prices by name, annoyance or a pool; those left out take the schema's default."""
    request_id: Name | None = None
    """Name of this request; a repetition gets the first answer again and decides nothing."""
    explain: bool = False
    """Also answer with all probabilities and the observation."""
    seed: int | None = Field(None, ge=0)
    """Seed of the draw; refused unless the service was started for it."""


class Contact(Wire):
    """What the treatment is."""

    product: str
    """Id of the product."""
    channel: str
    """Id of the channel."""
    benefit: str
    """Id of the benefit, or none."""
    format: str
    """Form of the contact."""
    daypart: str
    """Time of day of the contact."""
    message: str | None
    """Id of the copy or script."""
    external_id: str | None
    """Id of the treatment in the campaign tool it came from."""


class DecisionResponse(Wire):
    """The decision, as the ledger keeps it."""

    decision_id: str
    """Name it in events that answer to this decision."""
    customer_id: str
    """The customer."""
    at: AwareDatetime
    """Moment of the decision, UTC."""
    treatment: str
    """Id of the treatment; `silence` is one."""
    contact: Contact | None
    """What the treatment is; null for silence."""
    probability: float
    """With which the treatment was drawn."""
    policy: str
    """Name of the policy."""
    policy_digest: str
    """Digest of the policy."""
    rules_digest: str
    """Digest of the rule book."""
    prices: dict[str, float]
    """At which it was decided."""
    prices_clamped: dict[str, float] = {}
    """What was asked of the prices that lay outside the range of training, and were taken to its end."""
    mask_reasons: dict[str, list[str]]
    """Treatment -> names of the rules that forbid it now."""
    assignment: str
    """Role under which the customer was decided."""
    probabilities: dict[str, float] | None = None
    """Of each allowed treatment, if asked to explain."""
    observation: dict[str, float] | None = None
    """What the policy saw, if asked to explain."""


class EventIn(Wire):
    """Something that happened to a customer."""

    event_id: Name
    """Unique name of the event; a repetition is taken once."""
    customer_id: Name
    """The customer it happened to."""
    at: AwareDatetime | None = None
    """When, with a time zone; null: now. Late events are welcome."""
    event: str
    """delivered, engaged, declined, converted, opted_out, complained ..."""
    channel: str | None = None
    """Id of the channel; by default the decision's."""
    product: str | None = None
    """Id of the product; by default the decision's."""
    value: float | None = Field(None, ge=-LARGEST_AMOUNT, le=LARGEST_AMOUNT)
    """converted: margin net of expected loss; redeemed: cost; purchased: spend; cancelled: margin clawed back."""
    decision_id: str | None = None
    """The decision it answers to; null for what the customer did unasked."""


class EventsRequest(Wire):
    """Several events at once: all are taken or none."""

    events: list[EventIn] = Field(min_length=1, max_length=10_000)
    """The events, in the order in which they happened where instants are equal."""

    @model_validator(mode="before")
    @classmethod
    def _one_alone(cls, body: Any) -> Any:
        """An event sent by itself is a list of one."""
        return {"events": [body]} if isinstance(body, dict) and "event_id" in body else body


class EventsResponse(Wire):
    """What became of the events."""

    accepted: int
    """New events, now in the ledger."""
    duplicates: list[str]
    """Ids of events that the ledger already had."""


class Problem(BaseModel):
    """What is wrong with a request (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
