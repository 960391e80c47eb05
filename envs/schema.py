"""The schema: what is known of a customer, how history fades, what the task is. One YAML file, `schema.yaml`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from envs.config import Config, load_config


class Column(Config):
    """One column of `customers.parquet`."""

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="Name of the column.")
    type: Literal["number", "category", "flag"] = Field(description="number, category or flag (0 or 1).")
    meaning: str = Field("", description="One phrase for people.")
    unit: str = Field("", description="Unit of a number.")
    role: Literal["feature", "reference"] = Field(
        "feature", description="feature: observed by policies and rules; reference: kept for reports."
    )
    sensitivity: Literal["public", "internal", "personal", "special"] = Field(
        "personal", description="How closely it must be guarded."
    )
    purpose: str = Field("contact decisions", description="What it may be used for.")
    nullable: bool = Field(False, description="True if it may be missing; a field `NAME:missing` then says so.")
    center: float = Field(0.0, description="Subtracted from a number before scaling.")
    scale: float = Field(1.0, gt=0, description="A number is divided by this, then clipped to [-5, 5].")
    categories: tuple[str, ...] = Field((), description="The values of a category, in the order of their fields.")

    @model_validator(mode="after")
    def _categories_given(self) -> Column:
        if (self.type == "category") != bool(self.categories):
            raise ValueError(f"column {self.name!r}: categories must be listed for a category, and only there")
        return self


class Fading(Config):
    """Half-lives, in days, with which the traces of past events fade. Assumed; calibration may choose others."""

    recency: float = Field(7.0, gt=0, description="Of the last contact on a channel and the last offer of a product.")
    pressure: float = Field(7.0, gt=0, description="Of contact pressure: contacts add 1 and fade.")
    engagement: float = Field(30.0, gt=0, description="Of engagements on a channel.")
    intent: float = Field(10.0, gt=0, description="Of evidence of intent for a product (engaged, browsed, abandoned).")
    refusal: float = Field(30.0, gt=0, description="Of refusals of a product.")
    complaint: float = Field(60.0, gt=0, description="Of complaints.")
    purchase: float = Field(14.0, gt=0, description="Of purchases and amounts spent.")
    break_point: float = Field(1.0, gt=0, description="Of an application that was broken off.")


class Reward(Config):
    """Which events make margin and cost: weight x the event's value, or weight per event."""

    margin_per_value: dict[str, float] = Field(default_factory=dict, description="Event -> weight on its value.")
    margin_per_event: dict[str, float] = Field(default_factory=dict, description="Event -> amount for each occurrence.")
    cost_per_value: dict[str, float] = Field(default_factory=dict, description="Event -> weight on its value.")


class Task(Config):
    """The decision task: when decisions are taken, and until when their outcomes count."""

    kind: Literal["finite", "continuing"] = Field(
        description="finite: terminates and observes the time left; continuing: truncates."
    )
    gamma: float = Field(0.99, gt=0, le=1, description="Discount per day.")
    cadence_days: int = Field(1, ge=1, description="Days between two decisions of a continuing task.")
    days: tuple[int, ...] = Field((), description="Decision days of a finite task, counted from the first.")
    end_day: int = Field(0, ge=0, description="Last day of a finite task (exclusive), counted from the first decision.")
    window_days: int = Field(
        30, ge=1, description="Outcome window after the last decision of a continuing task, in days."
    )
    calendar: str | None = Field(
        None, description="Country of the holiday calendar (e.g. CN); null: no calendar fields."
    )
    reward: Reward = Field(default_factory=Reward)
    annoyance_events: dict[str, float] = Field(
        default_factory=lambda: {"opted_out": 1.0, "complained": 5.0, "blocked": 2.0},
        description="Annoyance per event, one opt-out being 1 (complaint 5, block 2: assumed).",
    )
    annoyance_missing: tuple[str, ...] = Field((), description="Components of annoyance that this log does not record.")
    observed_until: datetime | None = Field(
        None,
        description="Until when events are complete, UTC; null: until the last. Windows that reach beyond are open.",
    )

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is not said is not written: files and digests of logs that do not say it stay as they are."""
        said: dict[str, Any] = write(self)
        return said if self.observed_until else {k: v for k, v in said.items() if k != "observed_until"}

    @field_validator("observed_until")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        """A time without a zone is UTC, as everywhere."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @model_validator(mode="after")
    def _days_make_sense(self) -> Task:
        if self.kind == "finite":
            if not self.days or list(self.days) != sorted(set(self.days)) or self.days[0] != 0:
                raise ValueError("task.days must start at 0 and rise, for a finite task")
            if self.end_day <= self.days[-1]:
                raise ValueError(f"task.end_day == {self.end_day}, must be after the last decision day {self.days[-1]}")
        return self

    @property
    def gaps(self) -> tuple[int, ...]:
        """Days from each decision of a finite task to the next, or to the end."""
        ends = (*self.days[1:], self.end_day)
        return tuple(end - start for start, end in zip(self.days, ends, strict=True))


class PriceRange(Config):
    """A price: its usual level and the range on which policies are trained."""

    default: float = Field(0.0, ge=0, description="Used where no price is given.")
    high: float = Field(1.0, gt=0, description="Upper end of the range; the observed field is price / high.")


class Split(Config):
    """The one split of customers into training and test, by a named hash of the id."""

    name: Literal["sha256"] = Field("sha256", description="The hash.")
    salt: str = Field("nextbest", description="Put before the id.")
    test_share: float = Field(0.3, gt=0, lt=1, description="Share of customers that only evaluation may read.")


class Schema(Config):
    """Everything that the tables need besides the catalogue."""

    columns: tuple[Column, ...] = Field(
        (), description="Columns of customers.parquet besides customer_id and valid_from."
    )
    triggers: tuple[str, ...] = Field(
        (), description="Moments at which a customer comes in: app_session, inbound_call ..."
    )
    stages: tuple[str, ...] = Field((), description="Lifecycle stages; events `stage_changed` move a customer.")
    stage_column: str | None = Field(None, description="Category column with the stage at the start.")
    key_day_column: str | None = Field(None, description="Number column: the customer's key day of the month, 1 to 28.")
    credit_column: str | None = Field(None, description="Number column: the credit grade, 1 (best), 2 ...")
    fading: Fading = Field(default_factory=Fading)
    prices: dict[str, PriceRange] = Field(
        default_factory=lambda: {"annoyance": PriceRange(default=0.0, high=1.0)},
        description="`annoyance` and one entry per pool.",
    )
    task: Task
    split: Split = Field(default_factory=Split)

    @model_validator(mode="after")
    def _columns_exist(self) -> Schema:
        columns = {c.name: c for c in self.columns}
        for field in ("stage_column", "key_day_column", "credit_column"):
            name = getattr(self, field)
            if name is None:
                continue
            if name not in columns:
                raise ValueError(f"{field} == {name!r}, must be a column of the schema: {', '.join(columns)}")
            kind = "category" if field == "stage_column" else "number"
            if columns[name].type != kind:
                raise ValueError(f"{field} == {name!r}, must be of type {kind}")
            if kind == "number" and (columns[name].role != "feature" or columns[name].nullable):
                raise ValueError(f"{field} == {name!r}, must be an observed column that is never missing")
        if self.stage_column is not None and set(columns[self.stage_column].categories) - set(self.stages):
            raise ValueError(f"stages must hold the categories of {self.stage_column!r}")
        return self


def load_schema(path: Path) -> Schema:
    """Read `schema.yaml`; raise InputError that names file, field and need."""
    return load_config(Schema, path)
