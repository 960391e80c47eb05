"""How a bank's own files map to the canonical tables: `mapping.yaml`, one frozen model."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator

from envs.config import Config

KEYS = {
    "customers": {"customer_id"},
    "decisions": {"decision_id", "customer_id", "at", "treatment"},
    "events": {"customer_id", "at", "event"},
}  # canonical columns without which a table means nothing
OPTIONAL = {
    "customers": {"valid_from"},
    "decisions": {"trigger", "propensity", "assignment"},
    "events": {"event_id", "channel", "product", "value", "decision_id"},
}


class Source(Config):
    """One of the bank's files."""

    file: str
    """CSV file with a header, in the source directory."""
    columns: dict[str, str] = Field(min_length=1)
    """Canonical column -> the column's name in this file."""


class Mapping(Config):
    """Which of the bank's files and columns become customers, decisions and events."""

    customers: Source
    """One row per customer: customer_id and the profile columns that schema.yaml declares."""
    decisions: Source
    """One row per decision, silence included: decision_id, customer_id, at, treatment."""
    events: Source
    """One row per thing that happened: customer_id, at, event."""
    timezone: str = "UTC"
    """Time zone of times that carry none."""
    treatments: dict[str, str] = {}
    """The bank's code of a contact -> id of a treatment in catalogue.yaml; codes not named are ids already."""
    event_names: dict[str, str] = {}
    """The bank's code of an event -> name of an event; codes not named are names already."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} must be a time zone such as Asia/Shanghai")
        return value

    @field_validator("customers", "decisions", "events")
    @classmethod
    def _has_keys(cls, value: Source, info: object) -> Source:
        table = str(getattr(info, "field_name", ""))
        missing = sorted(KEYS[table] - set(value.columns))
        if missing:
            raise ValueError(f"{table}.columns must name {', '.join(missing)}")
        unknown = set(value.columns) - KEYS[table] - OPTIONAL[table]
        if table != "customers" and unknown:
            known = ", ".join(sorted(KEYS[table] | OPTIONAL[table]))
            raise ValueError(f"{table}.columns: {min(unknown)} is not a column, must be one of: {known}")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)
