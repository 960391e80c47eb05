"""How a bank's own files map to the canonical tables: `mapping.yaml`, one frozen model."""

from __future__ import annotations

import codecs
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator

from envs.catalogue import Catalogue
from envs.config import Config
from envs.errors import InputError
from envs.history import EVENTS
from envs.schema import Schema

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
    in_time_order: bool = True
    """Rows of one customer stand in the order of time, and one that runs backwards is wrong; false: they are sorted."""
    delimiter: str = Field(",", min_length=1, max_length=1)
    """What stands between two cells."""
    encoding: str = "utf-8"
    """How the files write their text, e.g. gb18030."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"{value!r} must be an encoding such as utf-8 or gb18030") from None

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

    @property
    def sources(self) -> dict[str, Source]:
        """Table -> the file it comes from."""
        return {"customers": self.customers, "decisions": self.decisions, "events": self.events}

    def label(self, table: str) -> str:
        """What the file of a table is called in the account: its name, and the table if it serves several."""
        file = self.sources[table].file
        shared = [part.file for part in self.sources.values()].count(file) > 1
        return f"{file} as {table}" if shared else file


def check_mapping(file: Path, mapping: Mapping, catalogue: Catalogue, schema: Schema) -> None:
    """The mapping names every profile column of the schema and no other, treatments of the catalogue, known events."""
    named = set(mapping.customers.columns) - {"customer_id", "valid_from"}
    declared = {column.name for column in schema.columns}
    for name in sorted(declared - named):
        raise InputError("must be mapped: schema.yaml declares it", file=file, field=f"customers.columns.{name}")
    for name in sorted(named - declared):
        need = f"is not a column of schema.yaml, must be one of: {', '.join(sorted(declared))}"
        raise InputError(need, file=file, field=f"customers.columns.{name}")
    known = {"treatments": catalogue.treatment_ids, "event_names": tuple(sorted(EVENTS))}
    for field, choice in known.items():
        for code, target in getattr(mapping, field).items():
            if target not in choice:
                raise InputError(
                    f"must be one of: {', '.join(choice)}", file=file, field=f"{field}.{code}", value=target
                )
