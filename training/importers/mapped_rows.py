"""Rows of a bank's own files, one by one: a row becomes a record, or BadRowError says what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Mapping as Named
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from envs.catalogue import SILENCE, Catalogue
from envs.digest import digest_of
from envs.history import EVENTS
from envs.schema import Column, Schema
from envs.table_checks import LEAST_PROPENSITY
from envs.tables import ASSIGNMENTS
from training.importers.rows import BadRowError, Row, choice, floating, number
from training.mapping import Mapping

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)  # valid_from of a customer row that names none
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2046, 1, 1, tzinfo=UTC)  # of decisions: the calendar's
EVENT_NAMES = tuple(sorted(EVENTS))
INSTANTLY = timedelta(microseconds=1)
DIGITS = 20  # of an event's id where the bank has none: 80 bits, so that ten million events do not meet


class Known(NamedTuple):
    """A row of customers."""

    customer_id: str
    valid_from: datetime
    profile: tuple[float | str | None, ...]  # as schema.columns


class Decided(NamedTuple):
    """A row of decisions."""

    decision_id: str
    customer_id: str
    at: datetime
    trigger: str | None
    treatment: str
    propensity: float | None
    assignment: str


class Happened(NamedTuple):
    """A row of events."""

    event_id: str
    customer_id: str
    at: datetime
    event: str
    channel: str | None
    product: str | None
    value: float | None
    decision_id: str | None


class RowReader:
    """Parses rows of canonical cells (text, stripped) and remembers what later rows must agree with."""

    def __init__(self, mapping: Mapping, catalogue: Catalogue, schema: Schema) -> None:
        self.mapping, self.catalogue, self.schema = mapping, catalogue, schema
        self.lost: dict[str, set[str]] = {table: set() for table in mapping.sources}  # ids of rows put aside
        self._since: dict[str, datetime] = {}  # customer -> first valid_from
        self._decisions: dict[str, Decided] = {}
        self._seen: set[tuple[object, ...]] = set()

    def remember_customer(self, known: Known) -> None:
        """Later tables may name this customer, from then on."""
        self._since[known.customer_id] = min(known.valid_from, self._since.get(known.customer_id, known.valid_from))

    def remember_decision(self, decided: Decided) -> None:
        """Events may answer to this decision."""
        self._decisions[decided.decision_id] = decided

    def customer(self, row: Row) -> Known:
        """A row of customers."""
        cells = row.fields
        start = self._instant(cells, "valid_from") if cells.get("valid_from") else ALWAYS
        customer = _word(cells, "customer_id")
        profile = tuple(_profile(cells, column) for column in self.schema.columns)
        self._once("customer_id and valid_from must be unique", customer, start)
        return Known(customer, start, profile)

    def decision(self, row: Row) -> Decided:
        """A row of decisions."""
        cells = dict(row.fields)
        cells["treatment"] = self.mapping.treatments.get(cells["treatment"], cells["treatment"])
        decided = Decided(
            _word(cells, "decision_id"),
            self._customer(cells),
            self._moment(cells),
            choice(cells, "trigger", self.schema.triggers) if cells.get("trigger") else None,
            choice(cells, "treatment", self.catalogue.treatment_ids),
            _propensity(cells),
            choice(cells, "assignment", ASSIGNMENTS) if cells.get("assignment") else "champion",
        )
        if decided.at < self._since[decided.customer_id]:
            raise BadRowError("at must not be before the customer's first valid_from")
        what = (decided.customer_id, decided.at, decided.treatment, decided.assignment)
        if decided.treatment != SILENCE and what in self._seen:
            raise BadRowError("customer_id, at and treatment must be unique: one contact, one decision")
        self._once("decision_id must be unique", decided.decision_id)
        self._seen.add(what)
        return decided

    def event(self, row: Row) -> Happened:
        """A row of events; one without an id of its own is named after its content."""
        cells = dict(row.fields)
        cells["event"] = self.mapping.event_names.get(cells["event"], cells["event"])
        customer, decision = self._customer(cells), self._decision(cells)
        at = self._moment(cells, date_ends=True)
        if decision is not None and at < decision.at:
            raise BadRowError("at must not be before its decision's")
        happened = Happened(
            cells.get("event_id", ""),
            customer,
            # A clock that ticks in seconds: an answer comes after its decision, or it would count to the one before.
            at + INSTANTLY if decision is not None and at == decision.at else at,
            choice(cells, "event", EVENT_NAMES),
            choice(cells, "channel", self.catalogue.channel_ids) if cells.get("channel") else None,
            choice(cells, "product", self.catalogue.product_ids) if cells.get("product") else None,
            number({"value": floating(cells["value"])}, "value", -math.inf) if cells.get("value") else None,
            decision.decision_id if decision is not None else None,
        )
        if happened.event_id:
            self._once("event_id must be unique", happened.event_id)
            return happened
        self._once("must differ from every row before it (or map event_id: each event has its own)", happened)
        content = [happened.at.isoformat() if name == "at" else value for name, value in happened._asdict().items()]
        return happened._replace(event_id=f"event-{digest_of(content)[:DIGITS]}")

    def _once(self, need: str, *key: object) -> None:
        if (need, *key) in self._seen:
            raise BadRowError(need)
        self._seen.add((need, *key))

    def _customer(self, cells: Named[str, str]) -> str:
        customer = _word(cells, "customer_id")
        if customer in self._since:
            return customer
        lost = customer in self.lost["customers"]
        raise BadRowError("its customer was put aside" if lost else "customer_id must be among the customers")

    def _decision(self, cells: Named[str, str]) -> Decided | None:
        """The decision that an event answers to, if it names one."""
        name = cells.get("decision_id")
        if not name:
            return None
        decision = self._decisions.get(name)
        if decision is None and name in self.lost["decisions"]:
            raise BadRowError("its decision was put aside")
        if decision is None or decision.customer_id != cells["customer_id"]:
            raise BadRowError("decision_id must be a decision of the same customer, or empty")
        return decision

    def _moment(self, cells: Named[str, str], *, date_ends: bool = False) -> datetime:
        at = self._instant(cells, "at", date_ends=date_ends)
        if not EARLIEST <= at < LATEST:
            raise BadRowError(f"at must lie between {EARLIEST.year} and {LATEST.year - 1}")
        return at

    def _instant(self, cells: Named[str, str], name: str, *, date_ends: bool = False) -> datetime:
        """In UTC. A date without a time stands for its first instant, or for its last one if `date_ends`."""
        try:
            at = datetime.fromisoformat(cells[name])
            if date_ends and _is_date(cells[name]):
                at = datetime.combine(at, time.max)
            return (at if at.tzinfo else at.replace(tzinfo=self.mapping.zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise BadRowError(f"{name} must be a time such as 2026-03-02 12:00:00") from None


def _is_date(cell: str) -> bool:
    try:
        date.fromisoformat(cell)
    except ValueError:
        return False
    return True


def _word(cells: Named[str, str], name: str) -> str:
    if not cells[name]:
        raise BadRowError(f"{name} must not be empty")
    return cells[name]


def _propensity(cells: Named[str, str]) -> float | None:
    if not cells.get("propensity"):
        return None
    value = floating(cells["propensity"])
    if value is None or not LEAST_PROPENSITY <= value <= 1:
        raise BadRowError("propensity must be in (0, 1]")
    return value


def _profile(cells: Named[str, str], column: Column) -> float | str | None:
    """A cell of a profile column, as the schema declares it."""
    cell = cells[column.name]
    if not cell:
        if column.nullable:
            return None
        raise BadRowError(f"{column.name} must not be empty")
    if column.type == "category":
        return choice(cells, column.name, column.categories)
    high = 1.0 if column.type == "flag" else math.inf
    low = 0.0 if column.type == "flag" else -math.inf
    return number({column.name: floating(cell)}, column.name, low, high, whole=column.type == "flag")
