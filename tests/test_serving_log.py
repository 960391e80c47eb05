"""The ledger is a log: what the service saw can be replayed from it, and it can be handed on."""

import sqlite3
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from serving_kit import CATALOGUE, NOON, PROFILE, SCHEMA, ask, kit_model, rows, tell

from envs.errors import InputError
from envs.profile import encode_profile
from envs.records import positions, records_of
from envs.replay import profile_rows, replay, walk
from envs.rules import Situation
from envs.tables import Tables, read_tables, write_tables
from serving import pages
from serving.engine import Engine, Manners
from serving.export import export_tables
from serving.known import known_tables, load_tables
from serving.ledger import Ledger
from serving.model import fallback_model

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return kit_model(tmp_path_factory.mktemp("kit") / "policy")


@pytest.fixture
def ledger(tmp_path, model):
    ledger = Ledger.open(tmp_path / "ledger.sqlite", model.catalogue, model.schema)
    yield ledger
    ledger.close()


@pytest.fixture
def engine(model, ledger):
    return Engine(model, ledger, np.random.default_rng(0), Manners(seeded_requests=True))


def converse(engine, rng, customers=12, days=12):
    """A month of decisions and events, some of them late."""
    number = 0
    for day in range(days):
        for c in rng.permutation(customers).tolist():
            now = NOON + day * DAY + timedelta(minutes=int(rng.integers(0, 600)))
            trigger = "app_session" if rng.random() < 0.3 else None
            profile = {**PROFILE, "income": 9_000 + 100 * c} if day in (0, 5) else None
            answer = ask(engine, f"c{c}", now, customer=profile, trigger=trigger, prices={"annoyance": day})
            for event in ("engaged", "declined", "converted", "opted_out", "purchased", "contacted"):
                if rng.random() < 0.15:
                    number += 1
                    said = {"event_id": f"e{number}", "customer_id": f"c{c}", "event": event, "value": 5.0}
                    linked = {"decision_id": answer.decision_id}
                    if event != "contacted" and rng.random() < 0.3:
                        linked = {"product": "fund", "channel": "call"}
                    tell(engine, said | linked | {"at": now + timedelta(minutes=1)}, now=now + timedelta(hours=1))


def masks_of(tables, book):
    """Every decision's mask, from the tables alone."""
    decisions, ids = tables.decisions, tuple(tables.customers["customer_id"].unique(maintain_order=True))
    profile = encode_profile(tables.customers, SCHEMA)[profile_rows(tables.customers, decisions)]
    trigger = positions(decisions["trigger"], SCHEMA.triggers)
    out = np.zeros((decisions.height, len(CATALOGUE.treatment_ids)), bool)

    def visit(history, rows):
        out[rows] = book.mask(Situation(profile[rows], history, trigger[rows]))

    walk(CATALOGUE, SCHEMA, records_of(CATALOGUE, ids, decisions, tables.events), len(ids), visit)
    return out


def test_the_service_observes_and_masks_what_a_replay_of_its_ledger_observes_and_masks(engine, tmp_path):
    converse(engine, np.random.default_rng(3))
    tables = export_tables(engine.ledger.file, tmp_path / "tables")
    observation, mask, shares = (
        np.stack(tables.decisions[name].to_list()) for name in ("observation", "mask", "probabilities")
    )
    again = replay(CATALOGUE, SCHEMA, tables.customers, tables.decisions, tables.events)
    np.testing.assert_array_equal(again.observation, observation)
    np.testing.assert_array_equal(masks_of(tables, engine.model.rule_book), mask)
    np.testing.assert_allclose(engine.model.policy.probabilities(observation, mask), shares, rtol=1e-5)
    assert (observation.std(axis=0) > 0).mean() > 0.6  # the conversation touched most fields
    assert 0.1 < mask[:, 1:].mean() < 0.9


def test_the_exported_ledger_is_a_log_like_any_other(engine, tmp_path):
    converse(engine, np.random.default_rng(4), customers=3, days=4)
    tell(engine, {"event_id": "lone", "customer_id": "stranger", "event": "app_session", "at": NOON})
    answered = ask(engine, "c0", NOON + 5 * DAY)
    early = {"event_id": "early", "customer_id": "c0", "event": "engaged", "decision_id": answered.decision_id}
    tell(engine, early | {"at": NOON + 4 * DAY}, now=NOON + 5 * DAY)
    export_tables(engine.ledger.file, tmp_path / "tables")
    tables = read_tables(tmp_path / "tables")
    assert tables.decisions.height == 13
    assert tables.decisions["propensity"].to_list() == rows_in_order(engine, tables)
    aside = pl.read_parquet(tmp_path / "tables" / "quarantine.parquet")
    assert sorted(aside["reason"]) == ["at must not be before its decision's", "customer_id must have a profile"]
    assert tables.events.height + aside.height == len(rows(engine, pages.events)["seq"])
    with pytest.raises(InputError, match="must be a new or empty directory"):
        export_tables(engine.ledger.file, tmp_path / "tables")


def rows_in_order(engine, tables):
    ledger = dict(zip(rows(engine)["decision_id"], rows(engine)["propensity"], strict=True))
    return [ledger[name] for name in tables.decisions["decision_id"]]


def test_a_service_that_is_given_a_log_goes_on_where_the_log_ends(engine, model, tmp_path):
    converse(engine, np.random.default_rng(5), customers=4, days=6)
    export_tables(engine.ledger.file, tmp_path / "tables")
    other = Ledger.open(tmp_path / "other.sqlite", model.catalogue, model.schema)
    tables = known_tables(tmp_path / "tables", model.catalogue, model.encoder.digest)
    assert load_tables(other, tables)
    assert not load_tables(other, tables)
    heir = Engine(model, other, np.random.default_rng(0), Manners(seeded_requests=True))
    for c in range(4):
        now = NOON + 8 * DAY
        fields = {"customer": None, "explain": True, "seed": 1}
        one, two = ask(engine, f"c{c}", now, **fields), ask(heir, f"c{c}", now, **fields)
        assert one.observation == two.observation
        assert one.mask_reasons == two.mask_reasons
        assert one.treatment == two.treatment
    other.close()


def test_tables_of_another_catalogue_are_refused(engine, model, tmp_path):
    ask(engine)
    export_tables(engine.ledger.file, tmp_path / "tables")
    tables = read_tables(tmp_path / "tables")
    other = type(CATALOGUE)(**CATALOGUE.model_dump() | {"name": "else"})
    write_tables(Tables(other, SCHEMA, tables.customers, tables.decisions, tables.events), tmp_path / "else")
    with pytest.raises(InputError, match=r"catalogue.yaml: digest == .*, as the policy has it"):
        known_tables(tmp_path / "else", model.catalogue, model.encoder.digest)


def test_the_ledger_has_a_rollback_journal_and_syncs_to_the_disk(ledger):
    with ledger.turn() as turn:
        pragmas = [turn._db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert pragmas == ["delete", 3]


def test_a_ledger_of_another_catalogue_and_another_database_are_refused(model, ledger, tmp_path):
    other = fallback_model()
    with pytest.raises(InputError, match=r"ledger.sqlite: catalogue_digest == .*, must be .*, as the policy has it"):
        Ledger.open(ledger.file, other.catalogue, other.schema)
    (tmp_path / "text").write_text("dear diary, " * 100)
    with pytest.raises(InputError, match=r"text: ledger, must be a SQLite file that can be written \(file is not"):
        Ledger.open(tmp_path / "text", model.catalogue, model.schema)
    with pytest.raises(InputError, match="must be a SQLite file that can be written"):
        Ledger.open(tmp_path / "text" / "ledger.sqlite", model.catalogue, model.schema)


def test_a_database_with_a_write_ahead_log_is_refused_and_left_as_it_is(model, tmp_path):
    with sqlite3.connect(tmp_path / "wal.sqlite") as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE t (x)")
    other.close()
    before = (tmp_path / "wal.sqlite").read_bytes()
    with pytest.raises(InputError, match="must have a rollback journal"):
        Ledger.open(tmp_path / "wal.sqlite", model.catalogue, model.schema)
    assert (tmp_path / "wal.sqlite").read_bytes() == before
