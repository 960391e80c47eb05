"""The Starbucks importer: six waves per customer, every row accounted for, no order of rows matters."""

from __future__ import annotations

import json
import os
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.errors import InputError
from envs.split import is_test
from envs.tables import read_tables
from training.configs import ImportConfig
from training.import_log import ImportedLog, import_log
from training.importers.starbucks_world import ORIGIN, WAVES

DATA = Path(os.environ.get("NEXTBEST_DATA", Path(__file__).parent.parent / ".." / "shared" / "data")) / "starbucks"

A, B, C = "aaaa", "bbbb", "cccc"


def offer(name: str, kind: str, difficulty: float, reward: float, duration: float, *media: str) -> dict[str, Any]:
    terms = {"difficulty": difficulty, "reward": reward, "duration": duration}
    return {"id": name, "offer_type": kind, **terms, "channels": list(media)}


OFFERS = [
    offer("off2", "discount", 7, 3, 7.0, "web", "email"),
    offer("off1", "bogo", 10, 10, 5.0, "email", "mobile"),
    offer("off3", "informational", 0, 0, 3.0, "email"),
]
PEOPLE: list[dict[str, Any]] = [
    {"id": B, "age": 118, "gender": None, "income": None, "became_member_on": "20180726"},
    {"id": A, "age": 37, "gender": "F", "income": 65000.0, "became_member_on": "20180725"},
    {"id": C, "age": 60, "gender": "O", "income": 45000.0, "became_member_on": 20170726},
]


def received(person: str, hour: int, offer: str) -> dict[str, Any]:
    return {"person": person, "event": "offer received", "value": {"offer id": offer}, "time": hour}


def viewed(person: str, hour: int, offer: str) -> dict[str, Any]:
    return {"person": person, "event": "offer viewed", "value": {"offer id": offer}, "time": hour}


def completed(person: str, hour: int, offer: str, reward: float) -> dict[str, Any]:
    value = {"offer_id": offer, "reward": reward}
    return {"person": person, "event": "offer completed", "value": value, "time": hour}


def spent(person: str, hour: int, amount: float) -> dict[str, Any]:
    return {"person": person, "event": "transaction", "value": {"amount": amount}, "time": hour}


STORY = [
    received(A, 0, "off1"),
    viewed(A, 6, "off1"),
    spent(A, 12, 20.0),
    completed(A, 12, "off1", 10),
    spent(A, 167, 1.0),
    received(A, 168, "off2"),
    viewed(A, 168, "off2"),
    spent(A, 168, 8.0),
    completed(A, 168, "off2", 3),
    received(A, 336, "off1"),
    viewed(A, 400, "off1"),
    spent(B, 719, 5.5),
]


def source(tmp_path: Path, acts: Any = STORY, people: Any = PEOPLE, offers: Any = OFFERS) -> Path:
    """Write the three files; a line is a record, or a text as it stands."""
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    for name, rows in (("portfolio", offers), ("profile", people), ("transcript", acts)):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (folder / f"{name}.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def run(folder: Path, out: Path) -> ImportedLog:
    return import_log(ImportConfig(kind="starbucks", source=folder, out=out))


def seconds_after_start(log: ImportedLog) -> pl.DataFrame:
    return log.tables.events.with_columns(hour=(pl.col("at") - pl.lit(ORIGIN)).dt.total_seconds() / 3600)


def test_everybody_has_six_decisions_and_silence_where_nothing_was_received(tmp_path: Path) -> None:
    log = run(source(tmp_path), tmp_path / "out")
    decisions = log.tables.decisions
    assert decisions.height == 6 * 3 == log.decisions
    assert decisions.filter(customer_id=A)["treatment"].to_list() == ["off1", "off2", "off1", *["silence"] * 3]
    assert set(decisions.filter(customer_id=C)["treatment"]) == {"silence"}
    assert decisions.filter(customer_id=B)["at"].to_list() == [ORIGIN + timedelta(hours=h) for h in WAVES]
    assert decisions["propensity"].null_count() == decisions["mask"].null_count() == 18
    assert set(decisions["assignment"]) == {"randomised"}
    assert decisions["prices"].struct.field("annoyance").to_list() == [0.0] * 18


def test_treatments_are_the_offers_sorted_by_id_after_silence(tmp_path: Path) -> None:
    catalogue = run(source(tmp_path), tmp_path / "out").tables.catalogue
    assert catalogue.treatment_ids == ("silence", "off1", "off2", "off3")
    assert catalogue.channel_ids == ("email", "email+mobile", "email+web")
    assert catalogue.benefit_cost.tolist() == [0, 10, 3, 0]
    assert catalogue.products[0].features["bogo"] == 1


def test_the_reward_of_a_wave_is_what_follows_it_until_the_next(tmp_path: Path) -> None:
    log = run(source(tmp_path), tmp_path / "out")
    tables = log.tables
    starts = tables.decisions.filter(customer_id=A)["at"].to_list()
    ends = [*starts[1:], starts[0] + timedelta(days=tables.schema.task.end_day)]
    spans = [
        tables.events.filter(customer_id=A).filter((pl.col("at") > start) & (pl.col("at") <= end))
        for start, end in zip(starts, ends, strict=True)
    ]
    spend = [span.filter(event="purchased")["value"].sum() for span in spans]
    paid = [span.filter(event="redeemed")["value"].sum() for span in spans]
    assert spend == [21.0, 8.0, 0, 0, 0, 0]
    assert paid == [10.0, 3.0, 0, 0, 0, 0]
    assert log.reward_per_customer == pytest.approx((21 + 8 - 13 + 5.5) / 3)


def test_views_and_completions_belong_to_the_last_receipt_of_their_offer(tmp_path: Path) -> None:
    acts = [*STORY, viewed(B, 100, "off3"), viewed(A, 500, "off2"), completed(A, 330, "off1", 10)]
    events = run(source(tmp_path, acts), tmp_path / "out").tables.events
    first, second, third = f"{A}-000", f"{A}-168", f"{A}-336"
    seen = events.filter(customer_id=A, event="engaged")
    assert seen["decision_id"].to_list() == [first, second, third, second]
    assert seen["channel"].to_list() == ["email+mobile", "email+web", "email+mobile", "email+web"]
    done = events.filter(customer_id=A, event="redeemed")
    assert done["decision_id"].to_list() == [first, second, first]
    assert done["value"].to_list() == [10, 3, 10]
    assert events.filter(customer_id=A, event="converted")["value"].null_count() == 3
    assert events.filter(customer_id=B, event="engaged")["decision_id"].to_list() == [None]
    assert events.filter(event="purchased")["decision_id"].null_count() == 4


def test_a_decision_sees_the_past_but_not_its_own_hour(tmp_path: Path) -> None:
    tables = run(source(tmp_path), tmp_path / "out").tables
    names = tables.encoder.names
    seen = np.array(tables.decisions.filter(customer_id=A)["observation"].to_list())

    def spend(wave: int) -> float:
        return float(np.expm1(seen[wave, names.index("contact:spend")] * 5))

    half = tables.schema.fading.purchase
    assert spend(0) == 0
    assert spend(1) == pytest.approx(20 * 2 ** (-7 / half) + 1 * 2 ** (-1 / half), rel=1e-5)
    assert spend(2) == pytest.approx(20 * 2 ** (-14 / half) + 2 ** (-8 / half) + 8 * 2 ** (-7 / half), rel=1e-5)
    assert seen[:, names.index("task:time_left")] == pytest.approx([1, 23 / 30, 16 / 30, 13 / 30, 9 / 30, 6 / 30])
    assert seen[:, names.index("task:gap")] == pytest.approx([7 / 30, 7 / 30, 3 / 30, 4 / 30, 3 / 30, 6 / 30])


def test_profiles_are_scaled_by_constants_and_unknowns_are_flagged(tmp_path: Path) -> None:
    tables = run(source(tmp_path), tmp_path / "out").tables
    assert tables.customers["customer_id"].to_list() == [A, B, C]
    assert tables.customers["age"].to_list() == [37, None, 60]
    assert tables.customers["membership_days"].to_list() == [1, 0, 366 - 1]
    names = tables.encoder.names
    observed = np.array(tables.decisions.filter(customer_id=B)["observation"].to_list())[0]
    assert [observed[names.index(f"{n}:missing")] for n in ("age", "income", "gender")] == [1, 1, 1]


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    acts = [*STORY, received(A, 168, "off3"), {**PEOPLE[0], "person": "x"}]
    first = run(source(tmp_path, acts), tmp_path / "first")
    for seed in range(3):
        rng = random.Random(seed)
        shuffled = [rng.sample(rows, len(rows)) for rows in (acts, PEOPLE, OFFERS)]
        again = run(source(tmp_path, *shuffled), tmp_path / "again")
        assert again.tables.decisions.equals(first.tables.decisions)
        assert again.tables.events.equals(first.tables.events)
        assert again.tables.customers.equals(first.tables.customers)
        assert again.catalogue_digest == first.catalogue_digest


def test_the_same_offers_give_the_same_digests_whatever_the_customers(tmp_path: Path) -> None:
    first = run(source(tmp_path), tmp_path / "first")
    other = [{**PEOPLE[1], "id": "zzzz", "age": 101, "income": 120000.0}]
    second = run(source(tmp_path, [spent("zzzz", 3, 1000.0)], other, OFFERS[::-1]), tmp_path / "second")
    assert first.catalogue_digest == second.catalogue_digest
    assert first.observation_digest == second.observation_digest
    assert first.tables_digest != second.tables_digest
    third = run(source(tmp_path, offers=[{**OFFERS[1], "reward": 9}, OFFERS[0], OFFERS[2]]), tmp_path / "third")
    assert first.catalogue_digest != third.catalogue_digest


BAD = [
    ("not json", "JSON object on one line"),
    ('["a", "list"]', "JSON object on one line"),
    ({**spent(A, 1, 1.0), "event": "offer eaten"}, "event must be one of"),
    (received(A, 0, "off9"), "offer id must have a good row"),
    (viewed("nobody", 3, "off1"), "person must have a good row"),
    (spent(A, 1, -0.01), "amount must be a finite number >= 0"),
    ('{"person": "aaaa", "event": "transaction", "value": {"amount": NaN}, "time": 3}', "amount must be a finite"),
    ({**spent(A, 1, 1.0), "value": {"amount": "1.0"}}, "amount must be a number"),
    ({**spent(A, 1, 1.0), "value": {"amount": True}}, "amount must be a number"),
    ({**spent(A, 1, 1.0), "value": 1.0}, "value must be a JSON object"),
    ({"person": A, "event": "transaction", "value": {"amount": 1.0}}, "time must be a number"),
    (spent(A, 720, 1.0), "time must be a whole number in \\[0, 719\\]"),
    (spent(A, -1, 1.0), "time must be a whole number"),
    ({**spent(A, 1, 1.0), "time": 1.5}, "time must be a whole number"),
    (received(A, 24, "off1"), "received at one of the hours 0, 168"),
    (received(A, 0, "off2"), "at most one offer in a wave"),
    ({**completed(A, 20, "off1", 10), "value": {"offer_id": "off1"}}, "reward must be a number"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_row_is_quarantined_with_its_reason_and_text(tmp_path: Path, row: Any, reason: str) -> None:
    clean = run(source(tmp_path), tmp_path / "clean")
    log = run(source(tmp_path, [*STORY[:3], row, *STORY[3:]]), tmp_path / "out")
    assert log.quarantined == {"portfolio.json": 0, "profile.json": 0, "transcript.json": 1}
    assert log.accepted["transcript.json"] == len(STORY)
    aside = log.quarantine
    assert aside.select("file", "row").rows() == [("transcript.json", 3)]
    assert pl.Series([aside["reason"][0]]).str.contains(reason)[0], aside["reason"][0]
    assert aside["raw"][0] == (row if isinstance(row, str) else json.dumps(row))
    assert log.tables.events.equals(clean.tables.events)


def test_bad_and_repeated_profiles_and_offers_are_quarantined(tmp_path: Path) -> None:
    people = [
        *PEOPLE,
        PEOPLE[1],
        {**PEOPLE[1], "id": "d1", "age": 200},
        {**PEOPLE[1], "id": "d2", "gender": "X"},
        {**PEOPLE[1], "id": "d3", "income": -1},
        {**PEOPLE[1], "id": "d4", "became_member_on": "20181301"},
        {**PEOPLE[1], "id": "d5", "became_member_on": "20180727"},
        {**PEOPLE[1], "id": None},
    ]
    offers = [*OFFERS, OFFERS[0], {**OFFERS[0], "id": "silence"}, {**OFFERS[0], "id": "x", "channels": ["tv"]}]
    log = run(source(tmp_path, STORY, people, offers), tmp_path / "out")
    assert log.quarantined == {"portfolio.json": 3, "profile.json": 7, "transcript.json": 0}
    assert log.customers == 3
    assert log.catalogue_digest == run(source(tmp_path), tmp_path / "clean").catalogue_digest


def test_identical_rows_all_count(tmp_path: Path) -> None:
    acts = [*STORY, completed(A, 12, "off1", 10), spent(A, 12, 20.0)]
    log = run(source(tmp_path, acts), tmp_path / "out")
    assert log.quarantine.height == 0
    assert log.reward_per_customer == pytest.approx((41 + 8 - 23 + 5.5) / 3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*STORY, *(row for row, _ in BAD), "", "  ", "{"]), max_size=40), st.randoms())
def test_rows_in_are_rows_accepted_plus_rows_quarantined(tmp_path: Path, extra: list[Any], luck: Any) -> None:
    acts = [*STORY, *extra]
    luck.shuffle(acts)
    log = run(source(tmp_path, acts), tmp_path / "out")
    rows = [row for row in acts if not (isinstance(row, str) and not row.strip())]
    assert log.rows_in["transcript.json"] == len(rows)
    assert log.accepted["transcript.json"] + log.quarantined["transcript.json"] == len(rows)
    kept = log.tables.events.filter(pl.col("event") != "redeemed").height
    kept += log.tables.decisions.filter(pl.col("treatment") != "silence").height
    assert kept == log.accepted["transcript.json"]
    assert log.quarantine.filter(file="transcript.json")["row"].is_unique().all()


def test_missing_empty_and_hopeless_files_end_in_one_line(tmp_path: Path) -> None:
    folder = source(tmp_path)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"nowhere: must be a directory that holds portfolio.json"):
        run(tmp_path / "nowhere", out)
    (folder / "profile.json").unlink()
    with pytest.raises(InputError, match=r"profile.json: must be a file that can be read"):
        run(folder, out)
    (folder / "profile.json").write_text("\n")
    with pytest.raises(InputError, match=r"profile.json: must hold at least one row"):
        run(folder, out)
    people = [{k: v for k, v in person.items() if k != "income"} for person in PEOPLE]
    with pytest.raises(InputError, match=r"profile.json: income, is a column"):
        run(source(tmp_path, STORY, people), out)
    with pytest.raises(InputError, match=r"transcript.json: must hold at least one good row; of 2 the first"):
        run(source(tmp_path, ["{", "}"]), out)
    assert not out.exists()


def test_the_account_is_written_beside_the_tables_and_prints(tmp_path: Path) -> None:
    log = run(source(tmp_path, [*STORY, "{"]), tmp_path / "out")
    account = json.loads((tmp_path / "out" / "import.json").read_text())
    assert account["rows_in"]["transcript.json"] == len(STORY) + 1
    assert account["accepted"]["transcript.json"] == len(STORY)
    assert account["split"] == {"name": "sha256", "salt": "nextbest-1", "test_share": 0.3}
    assert account["catalogue_digest"] == read_tables(tmp_path / "out").catalogue.digest
    assert "1 quarantined" in str(log)
    assert "quarantined" in log._repr_html_()
    assert log.frame["rows"].sum() == log.frame["accepted"].sum() + log.frame["quarantined"].sum()


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the Starbucks data are not there: {DATA}")
def test_the_real_log_reconciles(tmp_path: Path) -> None:
    log = run(DATA, tmp_path / "out")
    tables = log.tables
    assert log.frame["quarantined"].sum() == 0
    assert tables.decisions.height == 6 * log.customers
    assert tables.catalogue.treatment_ids[1:] == tuple(sorted(tables.catalogue.treatment_ids[1:]))
    lines = [json.loads(line) for line in (DATA / "transcript.json").open()]
    spend = sum(line["value"]["amount"] for line in lines if line["event"] == "transaction")
    paid = sum(line["value"]["reward"] for line in lines if line["event"] == "offer completed")
    assert log.reward_per_customer == pytest.approx((spend - paid) / log.customers)
    test = is_test(tables.customers["customer_id"], tables.schema.split)
    assert log.test_customers == test.sum()
    assert test.mean() == pytest.approx(0.3, abs=0.03)
    silent = (tables.decisions["treatment"] == "silence").mean()
    assert silent == pytest.approx(0.25, abs=0.02)
