"""The model card and the term of a policy: what is said stands in all three forms, and days are counted rightly."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from gate_kit import CARD
from hypothesis import given
from hypothesis import strategies as st
from serving_kit import write_kit

from agents.artifact import load_policy
from agents.expiry import last_day, made_on
from envs.errors import InputError
from serving.app import described
from serving.engine import Engine
from serving.ledger import Ledger
from serving.model import Model
from training.gate import Gate, approval, same_name, unexpired
from training.model_card import NO_RESULTS, Result, read_card, sentences

GATE = Gate(name="g", estimators=["snips"])
GAIN = Result(name="gain", value=1.5, low=-0.25, high=None, unit="CNY", source="test customers")


def test_a_card_comes_back_from_its_file(tmp_path: Path) -> None:
    files = CARD.write(tmp_path)
    assert [file.name for file in files] == ["model_card.html", "model_card.md", "model_card.json"]
    assert read_card(tmp_path / "model_card.json") == CARD


def test_both_pages_say_everything_and_nothing_in_it_becomes_markup() -> None:
    card = CARD.evaluated([GAIN], "bo", "pilot\nwent well")
    for text in (card.html(), card.markdown()):
        for said in ("It is young.", "2026-08-29", "ppo", "annoyance", "gain", "1.5", "-0.25 to –", "bo", "not known"):
            assert said in text
        assert "<b>lee</b>" not in text
        assert NO_RESULTS not in text
    row = next(line for line in CARD.markdown().splitlines() if line.startswith("Trained by"))
    assert "\\|" in row


def test_every_field_has_a_sentence() -> None:
    assert all(sentences().values())


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "other"}'])
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"card\.json"):
        read_card(tmp_path / "card.json")


@given(st.dates(date(2000, 1, 1), date(2200, 1, 1)), st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 4000))
def test_a_policy_is_good_until_the_sooner_of_its_own_and_the_gates_term(
    made: date, own: int, most: int, age: int
) -> None:
    gate = GATE.model_copy(update={"max_age_days": most})
    line = unexpired(gate, made, made + timedelta(days=own), made + timedelta(days=age))
    assert line.passed == (age <= min(own, most))
    assert unexpired(gate, made, None, made + timedelta(days=age)).passed == (age <= most)


def test_the_term_counts_from_the_day_it_was_made(tmp_path: Path) -> None:
    write_kit(tmp_path, created=datetime(2026, 3, 2, 23, 59), lineage={"valid_days": 30})
    manifest = load_policy(tmp_path).manifest
    assert (made_on(manifest), last_day(manifest)) == (date(2026, 3, 2), date(2026, 4, 1))
    assert last_day(manifest.model_copy(update={"lineage": {}})) is None


@pytest.mark.parametrize("days", [0, -1, True, "many", 1e300])
def test_a_term_that_is_none_is_refused(tmp_path: Path, days: object) -> None:
    write_kit(tmp_path, lineage={"valid_days": days})
    with pytest.raises(InputError, match=r"lineage.valid_days == .*, must be days, more than 0"):
        last_day(load_policy(tmp_path).manifest)


def test_a_date_of_birth_that_is_none_is_refused(tmp_path: Path) -> None:
    write_kit(tmp_path)
    with pytest.raises(InputError, match="created == 'long ago', must be ISO 8601"):
        made_on(load_policy(tmp_path).manifest.model_copy(update={"created": "long ago"}))


@pytest.mark.parametrize(
    ("approver", "trainer", "passed"),
    [
        ("Bo", "Ann", True),
        ("ann", "Ann", False),
        ("  ANN ", "ann", False),
        ("Ann  Lee", "ann lee", False),
        ("\uff21nn", "Ann", False),  # a full-width A
        ("Bo", "", False),  # nobody knows who trained it
    ],
)
def test_who_approves_did_not_train_it(approver: str, trainer: str, passed: bool) -> None:
    assert approval(GATE, approver, trainer).passed == passed
    assert approval(GATE.model_copy(update={"approval": True}), approver, trainer).passed == passed


@given(st.text(min_size=1))
def test_a_name_compared_is_compared_alike(name: str) -> None:
    assert same_name(f" {name}\t") == same_name(name)


def test_the_service_says_whether_its_policy_is_past_its_last_day(tmp_path: Path) -> None:
    for name, created, expired in (("old", datetime(2020, 1, 1), True), ("new", datetime(2999, 1, 1), False)):
        write_kit(tmp_path / name, created=created, lineage={"valid_days": 30})
        model = Model(load_policy(tmp_path / name), name, "champion")
        ledger = Ledger.open(tmp_path / f"{name}.sqlite", model.catalogue, model.schema)
        said = described(Engine(model, ledger, np.random.default_rng(0)))
        ledger.close()
        assert (said["expired"], said["expires"]) == (expired, f"{created + timedelta(days=30):%Y-%m-%d}")
