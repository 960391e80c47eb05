"""The ledger: decisions, events and customers in one SQLite file, durable before anything is answered.

A rollback journal with synchronous=EXTRA: a commit has reached the disk, the journal's deletion too
(https://www.sqlite.org/pragma.html#pragma_synchronous). Not WAL, which can lose commits in SQLite before 3.51.3.
A transaction takes the write lock at its start (BEGIN IMMEDIATE): what it reads stays true until it commits.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.observation import Encoder
from envs.schema import Schema
from serving import pages
from serving.records import Answered, Decision, Event, Happened, Taken

FORMAT = "nextbest-ledger/1"
BUSY_SECONDS = 30  # that a transaction waits for another process; assumed


@dataclass(frozen=True)
class Given:
    """An answer that was given, and the digest of the request that it answered."""

    request_digest: str
    answer: str  # JSON


class Ledger:
    """An open ledger. Threads take turns; so do processes."""

    def __init__(self, file: Path, engine: sa.Engine, catalogue: Catalogue, schema: Schema) -> None:
        self.file, self.catalogue, self.schema = file, catalogue, schema
        self._engine, self._turn = engine, threading.Lock()

    @classmethod
    def open(cls, file: Path, catalogue: Catalogue, schema: Schema) -> Ledger:
        """Open a ledger, or begin one. InputError if the file is something else or belongs to another catalogue."""
        with _told(file):
            _check_journal(file)
            file.parent.mkdir(parents=True, exist_ok=True)
            engine = _engine(file)
            with engine.begin() as connection:
                _begin(connection, file, catalogue, schema)
        return cls(file, engine, catalogue, schema)

    @classmethod
    def existing(cls, file: Path) -> Ledger:
        """Open a ledger that is there, by the catalogue and schema that it keeps itself."""
        if not file.is_file():
            raise InputError("must be there: the ledger of a service", file=file)
        engine = _engine(file)
        with _told(file), engine.begin() as connection:
            said = _said(connection, file)
        catalogue, schema = Catalogue(**json.loads(said["catalogue"])), Schema(**json.loads(said["schema"]))
        return cls(file, engine, catalogue, schema)

    @classmethod
    def in_memory(cls, catalogue: Catalogue, schema: Schema) -> Ledger:
        """A ledger for trials, of the thread that opens it: no file, nothing is left when it is closed."""
        engine = sa.create_engine("sqlite://")
        pages.metadata.create_all(engine)
        return cls(Path(":memory:"), engine, catalogue, schema)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """One transaction: all that happens inside is durable when the block ends, or has not happened."""
        with self._turn, self._engine.begin() as connection:
            yield Turn(connection, self.catalogue)


class Turn:
    """What can be read and written inside a transaction."""

    def __init__(self, connection: sa.Connection, catalogue: Catalogue) -> None:
        self._db, self._catalogue = connection, catalogue

    def given(self, request_id: str) -> Given | None:
        """The first answer to a request, if there was one."""
        d = pages.decisions.c
        row = self._db.execute(sa.select(d.request_digest, d.answer).where(d.request_id == request_id)).first()
        return None if row is None else Given(row.request_digest, row.answer)

    def profile(self, customer_id: str, at: int) -> dict[str, Any] | None:
        """The profile valid at an instant: the latest valid_from not after it."""
        c = pages.customers.c
        query = sa.select(c.profile).where(c.customer_id == customer_id, c.valid_from <= at)
        found = self._db.execute(query.order_by(c.valid_from.desc()).limit(1)).scalar()
        return None if found is None else dict(json.loads(found))

    def put_profile(self, customer_id: str, valid_from: int, profile: Mapping[str, Any]) -> None:
        """Keep a profile from an instant on."""
        text = json.dumps(dict(profile), ensure_ascii=False)
        row = {"customer_id": customer_id, "valid_from": valid_from, "profile": text}
        self._db.execute(upsert(pages.customers).values(row).on_conflict_do_update(set_={"profile": text}))

    def decisions_of(self, customer_id: str) -> list[Taken]:
        """All decisions of a customer, by time."""
        d = pages.decisions.c
        query = sa.select(d.at, d.treatment, d.assignment, d.decision_id).where(d.customer_id == customer_id)
        return [Taken(*row) for row in self._db.execute(query.order_by(d.at, d.seq))]

    def events_of(self, customer_id: str, before: int) -> list[Happened]:
        """A customer's events before an instant, by time."""
        e = pages.events.c
        query = sa.select(e.at, e.event, e.channel, e.product, e.value, e.decision_id)
        query = query.where(e.customer_id == customer_id, e.at < before).order_by(e.at, e.seq)
        return [Happened(*row) for row in self._db.execute(query)]

    def add_decision(self, decision: Decision, request_id: str | None, request_digest: str, answer: str) -> None:
        row = pages.decision_row(decision, self._catalogue)
        row |= {"request_id": request_id, "request_digest": request_digest, "answer": answer}
        self._db.execute(sa.insert(pages.decisions).values(row))

    def decision(self, decision_id: str) -> Answered | None:
        """The decision that an event answers to."""
        d = pages.decisions.c
        row = self._db.execute(sa.select(d.customer_id, d.treatment).where(d.decision_id == decision_id)).first()
        return None if row is None else Answered(*row)

    def event(self, event_id: str) -> Event | None:
        """An event that the ledger already has."""
        row = self._db.execute(sa.select(pages.events).where(pages.events.c.event_id == event_id)).first()
        return None if row is None else pages.event_from(row)

    def add_event(self, event: Event) -> None:
        self._db.execute(sa.insert(pages.events).values(pages.event_row(event)))

    def note(self, key: str) -> str | None:
        """A word about the ledger itself."""
        return self._db.execute(sa.select(pages.about.c.value).where(pages.about.c.key == key)).scalar()

    def put_note(self, key: str, value: str) -> None:
        self._db.execute(sa.insert(pages.about).values(key=key, value=value))

    def add_rows(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Many rows at once."""
        if rows:
            self._db.execute(sa.insert(table), rows)

    def columns(self, table: sa.Table, *order: str) -> dict[str, list[Any]]:
        """A whole table, column by column, sorted."""
        rows = self._db.execute(sa.select(table).order_by(*(table.c[name] for name in order))).all()
        names = [column.name for column in table.columns]
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _engine(file: Path) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(file))
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where `begin` below says, not where the driver guesses
        for pragma, value, shown in (("journal_mode", "DELETE", "delete"), ("synchronous", "EXTRA", 3)):
            connection.execute(f"PRAGMA {pragma} = {value}")
            found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
            if found != shown:
                raise InputError(f"must be {value} for a durable ledger", file=file, field=pragma, value=found)

    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", begun)
    return engine


def _check_journal(file: Path) -> None:
    """Refuse a database with a write-ahead log (byte 18 of its header, https://www.sqlite.org/fileformat.html)."""
    if file.is_file():
        with file.open("rb") as content:
            header = content.read(20)
        if header.startswith(b"SQLite format 3") and header[18] == 2:
            raise InputError("must have a rollback journal, it has a write-ahead log", file=file, field="ledger")


@contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, OSError) as fault:
        need = f"must be a SQLite file that can be written ({getattr(fault, 'orig', fault)})"
        raise InputError(need, file=file, field="ledger") from None


def _begin(connection: sa.Connection, file: Path, catalogue: Catalogue, schema: Schema) -> None:
    """Check what the file says it is; a file that holds nothing becomes a ledger."""
    needs = {
        "format": FORMAT,
        "catalogue_digest": catalogue.digest,
        "observation_digest": Encoder(catalogue, schema).digest,
    }
    if sa.inspect(connection).get_table_names():
        said = _said(connection, file)
        for key, need in needs.items():
            if said.get(key) != need:
                raise InputError(f"must be {need}, as the policy has it", file=file, field=key, value=said.get(key))
    else:
        pages.metadata.create_all(connection)
    books = {"catalogue": catalogue.model_dump_json(), "schema": schema.model_dump_json()}
    for key, value in (needs | books).items():  # half-lives and fields stay; the task may have been described anew
        row = upsert(pages.about).values(key=key, value=value)
        connection.execute(row.on_conflict_do_update(set_={"value": value}))


def _said(connection: sa.Connection, file: Path) -> dict[str, str]:
    """What the file says it is."""
    if not sa.inspect(connection).has_table(pages.about.name):
        raise InputError("must be a ledger or a new file; it holds another database", file=file, field="ledger")
    said = {row.key: row.value for row in connection.execute(sa.select(pages.about))}
    if said.get("format") != FORMAT:
        raise InputError(f"must be {FORMAT}", file=file, field="format", value=said.get("format"))
    return said
