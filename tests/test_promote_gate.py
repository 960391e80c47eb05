"""The gate: an honest report moves the alias, and each planted fault is refused by its own line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_kit import CARD, altered, write_log, write_report
from mlflow import MlflowClient
from serving_kit import CATALOGUE, NOON, RULES, SCHEMA, kit_network, write_kit

import nextbest
from agents.artifact import load_policy, write_artifact
from envs.catalogue import Catalogue
from envs.errors import InputError
from training import registry
from training.configs import PromoteConfig
from training.gate import Evidence, Group, approval, destination, in_force, judge, read_gate, smoke, trusted
from training.model_card import read_card
from training.promote import promote

GATE = read_gate()
PRICES = {"annoyance": 1.0, "seats": 0.0}
GOOD = Evidence("ppo", "d1", "snips", False, 0.4, 0.95, "logged", "", 500.0, 80.0, PRICES)


def _failed(evidence: Evidence, *, champion: str = "") -> list[str]:
    lines = judge(GATE, evidence, registered_digest="d1", champion_digest=champion, declared_prices=PRICES)
    return [line.name for line in lines if not line.passed]


def test_good_evidence_passes_every_line() -> None:
    assert _failed(GOOD) == []
    assert _failed(replace(GOOD, groups=(Group("region east", 0.1), Group("region west", -1.0)))) == []
    assert _failed(replace(GOOD, reference="old", reference_digest="d0"), champion="d0") == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"policy_digest": "d2"}, "same policy"),
        ({"estimator": "ips"}, "estimator fixed beforehand"),
        ({"confidence": 0.8}, "estimator fixed beforehand"),
        ({"prices": None}, "prices fixed beforehand"),
        ({"prices": {"annoyance": 0.9, "seats": 0.0}}, "prices fixed beforehand"),
        ({"prices": {"annoyance": 1.0, "seats": 0.5}}, "prices fixed beforehand"),
        ({"reference": "silence"}, "reference"),
        ({"ess": 99.9}, "effective sample"),
        ({"ess": float("nan")}, "effective sample"),
        ({"positives": 29.9}, "customers who earned"),
        ({"positives": float("nan")}, "customers who earned"),
        ({"wrong_propensities": ("sms_loan",)}, "propensities"),
        ({"above": ("agents 1,200 of 900",)}, "capacity"),
        ({"groups": (Group("region east", 0.1), Group("special_care 1", 0.3))}, "annoyance by group"),
        ({"groups": (Group("region east", float("nan")),)}, "annoyance by group"),
        ({"lower": 0.0}, "paired difference"),
        ({"lower": -1.0}, "paired difference"),
        ({"lower": float("nan")}, "paired difference"),
        ({"lower": float("inf")}, "paired difference"),
        ({"model_based": True, "estimator": "fqe"}, "measured, not modelled"),
    ],
)
def test_each_planted_fault_fails_its_own_line_only(change: dict[str, Any], line: str) -> None:
    assert _failed(replace(GOOD, **change)) == [line]


def test_a_champion_must_be_what_the_difference_is_measured_against() -> None:
    assert _failed(GOOD, champion="d0") == ["reference"]
    assert _failed(replace(GOOD, reference="old", reference_digest="d9"), champion="d0") == ["reference"]


def test_a_price_that_is_not_named_is_zero() -> None:
    assert _failed(replace(GOOD, prices={"annoyance": 1.0})) == []


def test_what_only_a_model_or_a_simulation_can_tell_goes_to_shadow() -> None:
    modelled = replace(GOOD, model_based=True, estimator="fqe", ess=float("nan"))
    lines = judge(GATE, modelled, registered_digest="d1", champion_digest="", declared_prices=PRICES)
    assert destination(GATE, lines) == "shadow"
    assert destination(GATE.model_copy(update={"model_based": "none"}), lines) is None
    crowded = replace(GOOD, above=("agents 1,200 of 900",))
    for evidence, place in ((crowded, "shadow"), (replace(crowded, lower=-1.0), None)):
        lines = judge(GATE, evidence, registered_digest="d1", champion_digest="", declared_prices=PRICES)
        assert destination(GATE, lines) == place
    worse = replace(modelled, lower=-1.0)
    lines = judge(GATE, worse, registered_digest="d1", champion_digest="", declared_prices=PRICES)
    assert destination(GATE, lines) is None


def test_a_report_is_in_force_until_its_last_day_and_never_without_one() -> None:
    last = date(2026, 5, 31)
    told = [in_force(replace(GOOD, expires=day), last) for day in (None, last - timedelta(1), last)]
    assert [line.passed for line in told] == [False, False, True]
    assert (told[1].name, told[1].value) == ("report not expired", "may be used until 2026-05-30")
    assert told[0].value == "the report does not say until when"


@pytest.mark.parametrize(("asked", "passed"), [("any", "yyyy"), ("known", "nyyy"), ("adequate", "nnny")])
def test_the_world_is_trusted_as_far_as_the_gate_asks(asked: str, passed: str) -> None:
    known = [(None, None), ("It cannot tell.", None), ("Two heads are wrong.", False), ("Adequate.", True)]
    gate = GATE.model_copy(update={"fidelity": asked})
    assert [trusted(gate, *said).passed for said in known] == [answer == "y" for answer in passed]
    assert "not known" in trusted(gate, None, None).value


def test_approval_is_asked_for_only_where_the_gate_says_so() -> None:
    assert approval(GATE, None, "ann").passed
    strict = GATE.model_copy(update={"approval": True})
    assert not approval(strict, None, "ann").passed
    assert approval(strict, "risk officer", "ann").passed


class Answering:
    """A policy that answers with a given array."""

    name = "answering"

    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], 2),
        ([[0.5, 0.4, 0.1], [0.2, 0.3, 0.5]], 1),  # probability on a masked treatment
        ([[0.5, 0.5, 0.0], [0.2, 0.3, 0.4]], 1),  # sums to 0.9
        ([[np.nan, 0.5, 0.0], [0.2, 0.3, 0.5]], 1),
        ([[1.5, -0.5, 0.0], [0.2, 0.3, 0.5]], 1),  # negative
    ],
)
def test_smoke_decisions_are_finite_whole_and_allowed(answer: list[list[float]], valid: int) -> None:
    mask = np.array([[True, True, False], [True, True, True]])
    line = smoke(Answering(np.array(answer)), np.zeros((2, 4), np.float32), mask)
    assert line.value == f"{valid} of 2 valid"
    assert line.passed == (valid == 2)


def test_smoke_without_decisions_or_with_a_wrong_shape_fails() -> None:
    none = smoke(Answering(np.zeros((0, 3))), np.zeros((0, 4), np.float32), np.zeros((0, 3), bool))
    assert not none.passed
    assert not smoke(Answering(np.ones((2, 1))), np.zeros((2, 4), np.float32), np.ones((2, 3), bool)).passed


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact, tables and an honest report that any test may read."""
    root = tmp_path_factory.mktemp("house")
    write_kit(root / "artifact")
    write_log(root / "tables")
    write_report(root / "report", root / "artifact")
    return root


def _config(house: Path, out: Path, report: Path | None = None, **more: Any) -> PromoteConfig:
    return PromoteConfig(report=report or house / "report", tables=house / "tables", out=out, **more)


def test_a_good_challenger_becomes_champion(store: Path, house: Path, tmp_path: Path) -> None:
    registered = registry.register(house / "artifact", tags={"trained_by": "ann"})
    promotion = promote(_config(house, tmp_path / "out", approved_by=" risk  officer ", reason="pilot"))
    assert promotion.failed == ()
    assert (promotion.alias, promotion.exit_code, promotion.version) == ("champion", 0, registered.version)
    champion = registry.find_alias("champion")
    assert champion is not None
    assert champion.version == registered.version
    said = {name: champion.tags[f"gate_{name}"] for name in ("verdict", "approved_by", "trained_by", "reason")}
    assert said == {"verdict": "champion", "approved_by": "risk officer", "trained_by": "ann", "reason": "pilot"}
    record = json.loads((tmp_path / "out" / "promotion.json").read_text(encoding="utf-8"))
    assert (record["approved_by"], record["trained_by"], record["reason"]) == ("risk officer", "ann", "pilot")
    assert [line["passed"] for line in record["lines"]] == [True] * len(promotion.lines)
    assert "is champion" in record["verdict"]
    assert "pass" in promotion._repr_html_()


@pytest.mark.parametrize("trainer", [{"trained_by": "Ann"}, {}])
def test_nobody_approves_what_they_trained(store: Path, house: Path, tmp_path: Path, trainer: dict[str, str]) -> None:
    registry.register(house / "artifact", tags=trainer)
    promotion = promote(_config(house, tmp_path / "out", approved_by=" aNN ", reason="it is mine"))
    assert [line.name for line in promotion.failed] == ["approval"]
    assert (promotion.alias, promotion.exit_code) == (None, 1)
    assert registry.find_alias("champion") is None
    record = json.loads((tmp_path / "out" / "promotion.json").read_text(encoding="utf-8"))
    assert (record["approved_by"], record["trained_by"]) == ("aNN", trainer.get("trained_by", ""))
    assert registry.find("challenger").tags["gate_failed"] == "approval"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"approved_by": "bo"}, "reason must be given with approved_by"),
        ({"approved_by": "  ", "reason": "x"}, "must not be blank"),
        ({"approved_by": "bo", "reason": "\t"}, "must not be blank"),
    ],
)
def test_an_approval_has_a_name_and_a_reason(house: Path, tmp_path: Path, said: dict[str, str], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        _config(house, tmp_path / "out", **said)


@pytest.mark.parametrize(
    ("made", "days", "tags"),
    [
        (NOON - timedelta(31), 30, {}),  # past its own term
        (NOON - timedelta(366), None, {}),  # no term of its own, but too old for the gate
        (NOON, 30, {"expires": "2026-03-01"}),  # the registry says otherwise than `created`
    ],
)
def test_an_expired_policy_is_refused(
    store: Path, house: Path, tmp_path: Path, made: datetime, days: int | None, tags: dict[str, str]
) -> None:
    lineage = {} if days is None else {"valid_days": days}
    digest = write_kit(tmp_path / "artifact", created=made, lineage=lineage).policy_digest
    registered = registry.register(tmp_path / "artifact")
    registry.tag(registered, tags)
    report = altered(house / "report", tmp_path / "report", **{"policies.1.digest": digest})
    promotion = promote(_config(house, tmp_path / "out", report), NOON)
    assert [line.name for line in promotion.failed] == ["not expired"]
    assert registry.find_alias("champion") is None


def test_the_card_of_a_promoted_policy_tells_its_figures_and_who_approved(
    store: Path, house: Path, tmp_path: Path
) -> None:
    digest = load_policy(house / "artifact").digest
    card = CARD.model_copy(update={"policy_digest": digest})
    registry.register(house / "artifact", tags={"trained_by": "ann"}, beside=card.write(tmp_path / "card"))
    promotion = promote(_config(house, tmp_path / "out", approved_by="bo", reason="pilot"))
    found = read_card(tmp_path / "out" / "model_card.json")
    assert (promotion.alias, found.approved_by, found.approval_reason) == ("champion", "bo", "pilot")
    assert [result.name for result in found.results] == ["value", "difference to logged"]
    report = json.loads((house / "report" / "report.json").read_text(encoding="utf-8"))
    row = next(row for row in report["table"] if row["policy"] == "ppo")
    assert [(r.value, r.low, r.high) for r in found.results] == [
        (row["value"], row["lo"], row["hi"]),
        (row["difference"], row["difference_lo"], row["difference_hi"]),
    ]
    described = MlflowClient().get_model_version("contact-policy", promotion.version).description
    assert described == found.markdown()


def test_the_card_of_another_policy_is_refused(store: Path, house: Path, tmp_path: Path) -> None:
    registry.register(house / "artifact", beside=CARD.write(tmp_path / "card"))
    promotion = promote(_config(house, tmp_path / "out"))
    smoked = next(line for line in promotion.failed if line.name == "smoke decisions")
    assert "model_card.json: policy_digest" in smoked.value


@pytest.mark.parametrize(
    ("change", "failed", "alias"),
    [
        ({"table.1.difference_lower": -0.01}, "paired difference", None),
        ({"table.1.difference_lower": None}, "paired difference", None),
        ({"table.1.ess": 12}, "effective sample", None),
        ({"prices.annoyance": 3.0}, "prices fixed beforehand", None),
        ({"prices": None}, "prices fixed beforehand", None),
        ({"lead.estimator": "ips"}, "estimator fixed beforehand", None),
        ({"settings.confidence": 0.9}, "estimator fixed beforehand", None),
        ({"lead.model_based": True, "lead.estimator": "fqe"}, "measured, not modelled", "shadow"),
        ({"reliability": {"bins": [{"treatment": "sms-deposit", "wrong": True}]}}, "propensities", None),
    ],
)
def test_a_planted_report_is_refused_and_the_champion_stays(
    store: Path, house: Path, tmp_path: Path, change: dict[str, Any], failed: str, alias: str | None
) -> None:
    registry.register(house / "artifact")
    planted = altered(house / "report", tmp_path / "planted", **change)
    promotion = promote(_config(house, tmp_path / "out", planted))
    assert [line.name for line in promotion.failed] == [failed]
    assert (promotion.alias, promotion.exit_code) == (alias, 1)
    assert failed in promotion.verdict
    assert registry.find_alias("champion") is None
    assert (registry.find_alias("shadow") is not None) == (alias == "shadow")
    assert registry.find("challenger").tags["gate_failed"] == failed


def test_a_second_challenger_is_measured_against_the_champion(store: Path, house: Path, tmp_path: Path) -> None:
    registry.register(house / "artifact")
    assert promote(_config(house, tmp_path / "first")).alias == "champion"
    write_kit(tmp_path / "second", kit_network(seed=1, gain=0.3))
    second = registry.register(tmp_path / "second")
    to_log = write_report(tmp_path / "to_log", tmp_path / "second")
    refused = promote(_config(house, tmp_path / "refused", to_log))
    assert [line.name for line in refused.failed] == ["reference"]
    to_champion = write_report(tmp_path / "to_champion", tmp_path / "second", champion=house / "artifact")
    admitted = promote(_config(house, tmp_path / "admitted", to_champion))
    champion = registry.find_alias("champion")
    assert admitted.failed == ()
    assert champion is not None
    assert champion.version == second.version


def test_the_champion_registered_again_is_not_its_own_rival(store: Path, house: Path, tmp_path: Path) -> None:
    registry.register(house / "artifact")
    assert promote(_config(house, tmp_path / "first")).alias == "champion"
    again = registry.register(house / "artifact")
    promotion = promote(_config(house, tmp_path / "again"))
    assert (promotion.alias, promotion.version) == ("champion", again.version)


def test_a_champion_of_another_catalogue_is_no_rival(store: Path, house: Path, tmp_path: Path) -> None:
    other = Catalogue.model_validate(CATALOGUE.model_dump() | {"name": "another"})
    write_artifact(
        tmp_path / "other", name="other", catalogue=other, schema=SCHEMA, rules=RULES, onnx=kit_network(seed=3)
    )
    registry.set_alias(registry.register(tmp_path / "other"), "champion")
    registered = registry.register(house / "artifact")
    assert promote(_config(house, tmp_path / "out")).failed == ()
    champion = registry.find_alias("champion")
    assert champion is not None
    assert champion.version == registered.version


def test_tampered_files_are_refused(store: Path, house: Path, tmp_path: Path) -> None:
    registered = registry.register(house / "artifact")
    Path(registered.source.removeprefix("file://"), "policy", "policy.onnx").write_bytes(kit_network(seed=9))
    promotion = promote(_config(house, tmp_path / "out"))
    smoked = next(line for line in promotion.failed if line.name == "smoke decisions")
    assert "onnx_sha256" in smoked.value
    assert registry.find_alias("champion") is None


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"table.1.ess": "many"}, "ess == 'many', must be a number"),
        ({"table": []}, "table, must hold a row of ppo"),
        ({"format": "other"}, "must be the report.json of an evaluation"),
    ],
)
def test_a_report_that_cannot_be_read_changes_nothing(
    store: Path, house: Path, tmp_path: Path, change: dict[str, Any], line: str
) -> None:
    registry.register(house / "artifact")
    planted = altered(house / "report", tmp_path / "planted", **change)
    with pytest.raises(InputError, match=line):
        promote(_config(house, tmp_path / "out", planted))
    assert not (tmp_path / "out").exists()
    assert "gate" not in registry.find("challenger").tags


def test_missing_report_and_tables_are_told(store: Path, house: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; make one with `nextbest evaluate`"):
        promote(_config(house, tmp_path / "out", tmp_path / "nothing"))
    registry.register(house / "artifact")
    with pytest.raises(InputError, match="give --tables"):
        promote(PromoteConfig(report=house / "report", out=tmp_path / "out"))


def test_the_command_line_says_which_line_failed(
    store: Path, house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.register(house / "artifact")
    words = ["promote", "--tables", str(house / "tables"), "--out", str(tmp_path / "out")]
    assert nextbest.run([*words, "--report", str(house / "report")]) == 0
    assert "is champion" in " ".join(capsys.readouterr().out.split())
    planted = altered(house / "report", tmp_path / "planted", **{"table.1.ess": 3})
    assert nextbest.run([*words, "--report", str(planted)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "FAIL" in out
    assert "effective sample" in out
