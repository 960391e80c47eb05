"""A planted bad candidate of each kind: a real report on a real log, refused by the line that is meant for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from gate_kit import CARD, observations, write_log
from mlflow import MlflowClient
from onnx import helper
from serving_kit import CATALOGUE, ENCODER, NOON, SCHEMA, graph_bytes, write_kit

from agents.artifact import load_policy
from agents.manifest import FILE, read_manifest
from envs.digest import file_digest
from envs.prices import prices_from
from evaluation.demand import Resources
from evaluation.evaluate import evaluate
from evaluation.log import Log, log_from_arrays
from evaluation.settings import EvaluationSettings
from training import registry
from training.configs import PromoteConfig
from training.gate import read_gate
from training.promote import Promotion, promote

FIELDS, TREATMENTS = len(ENCODER.fields), len(CATALOGUE.treatment_ids)
LIKED, UNLIKED = 1, 4  # what the planted policies do most, and what one of the logs never tried
SETTINGS = EvaluationSettings(resamples=200, model="ridge", valid_days=36_500)  # whenever the tests run
EVEN = np.full(TREATMENTS, 1 / TREATMENTS)


def liking(treatment: int) -> bytes:
    """A network that takes one treatment two times in three. Of enormous observations its scores are no numbers."""
    weights = np.zeros((FIELDS, TREATMENTS), np.float32)
    weights[:, treatment] = 4 / FIELDS
    nodes = [
        helper.make_node("MatMul", ["observation", "weights"], ["scores"]),
        helper.make_node("Where", ["mask", "scores", "low"], ["allowed"]),
        helper.make_node("Softmax", ["allowed"], ["soft"], axis=-1),
        helper.make_node("Where", ["mask", "soft", "zero"], ["probabilities"]),
    ]
    constants = {"weights": weights, "low": np.array(-1e9, np.float32), "zero": np.array(0, np.float32)}
    return graph_bytes(nodes, constants, FIELDS, TREATMENTS)


@dataclass(frozen=True)
class Planted:
    """A candidate, the log that it is judged by, and how."""

    line: str | None  # that refuses it; None: none does
    alias: str | None = None  # where it may go all the same
    likes: int = LIKED
    earns: float = 1.0  # CNY more by the treatment that it likes, in the mean
    rarely: float = 1.0  # chance that this treatment earns that at all
    base: float = 1.0  # CNY that every customer earns anyhow, with some noise
    customers: int = 1500
    chosen: np.ndarray = field(default_factory=lambda: EVEN)  # how the logging policy draws
    said: np.ndarray | None = None  # and what it says of that; None: the truth
    annoys_private: float = 0.0  # opt-outs by the treatment that it likes, of private customers
    settings: EvaluationSettings = SETTINGS
    annoyance_price: float = 1.0  # as the schema declares
    another: bool = False  # what is registered is not what was evaluated
    smoked: float = 1.0  # by which the observations of the smoke decisions are multiplied
    adequate: bool | None = None  # what the card says of the world
    today: datetime | None = None  # None: any day on which the tests run

    @property
    def private(self) -> np.ndarray:  # (customers,) bool
        return np.asarray(np.arange(self.customers) % 2 == 0)

    def log(self) -> Log:
        """One decision per customer; what is never drawn is allowed all the same."""
        rng, said = np.random.default_rng(11), self.chosen if self.said is None else self.said
        treatment = rng.choice(TREATMENTS, self.customers, p=self.chosen)
        liked = treatment == self.likes
        base = self.base * rng.normal(1, 0.1, self.customers)
        more = self.earns * (rng.random(self.customers) < self.rarely) / self.rarely
        return log_from_arrays(
            observations(self.customers),
            treatment,
            said[treatment],
            base + more * liked,
            treatments=CATALOGUE.treatment_ids,
            pools=CATALOGUE.pool_ids,
            effort=CATALOGUE.effort[treatment],
            annoyance=self.annoys_private * (liked & self.private),
            behaviour=np.tile(said, (self.customers, 1)),
            mask=np.ones((self.customers, TREATMENTS), bool),
            at=np.full(self.customers, np.datetime64(NOON.replace(tzinfo=None), "us")),
        )


NEVER = np.where(np.arange(TREATMENTS) == UNLIKED, 0.0, 1 / (TREATMENTS - 1))
OFTEN = np.where(np.arange(TREATMENTS) == LIKED, 0.4, 0.15)
CALL = 2  # five minutes of a seat
KINDS = {
    "good": Planted(None, "champion"),
    "worse": Planted("paired difference", earns=-1.0),
    "no better": Planted("paired difference", earns=0.0),
    "without support": Planted("measured, not modelled", "shadow", chosen=NEVER),
    "model-based": Planted(
        "measured, not modelled", "shadow", settings=SETTINGS.model_copy(update={"min_ess": 1400.0})
    ),
    "too few effective customers": Planted(
        "effective sample", customers=120, settings=SETTINGS.model_copy(update={"min_ess": 10.0})
    ),
    "hardly anybody earned": Planted("customers who earned", rarely=0.05, base=0.0),
    "harms a group": Planted("annoyance by group", annoys_private=1.5, earns=4.0),
    "wrong propensities": Planted("propensities", chosen=OFTEN, said=EVEN),
    "above capacity": Planted("capacity", "shadow", likes=CALL),
    "at other prices": Planted("prices fixed beforehand", annoyance_price=0.0),
    "another artifact": Planted("same policy", another=True),
    "world not adequate": Planted("fidelity of the world", adequate=False),
    "invalid answers": Planted("smoke decisions", smoked=3e38),
    "stale report": Planted(
        "report not expired", settings=SETTINGS.model_copy(update={"valid_days": 90}), today=NOON + timedelta(91)
    ),
    "report of its last day": Planted(
        None, "champion", settings=SETTINGS.model_copy(update={"valid_days": 90}), today=NOON + timedelta(90)
    ),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts by what they like, and tables by the size of what was observed: read by every test, changed by none."""
    root = tmp_path_factory.mktemp("house")
    for treatment in (LIKED, CALL, UNLIKED):
        write_kit(root / f"likes-{treatment}", liking(treatment))
    for size in {kind.smoked for kind in KINDS.values()}:
        scaled_tables(root / f"tables-{size:g}", size)
    return root


def scaled_tables(into: Path, factor: float) -> None:
    """The small bank's tables with other observations."""
    write_log(into)
    decisions = pl.read_parquet(into / "decisions.parquet")
    seen = decisions["observation"].list.eval(pl.element() * factor).cast(decisions.schema["observation"])
    decisions.with_columns(observation=seen).write_parquet(into / "decisions.parquet")


def report_on(kind: Planted, artifact: Path, into: Path) -> Path:
    """What `nextbest evaluate` would write, without the page."""
    prices = prices_from({"annoyance": kind.annoyance_price}, CATALOGUE, SCHEMA)
    report = evaluate(
        kind.log(),
        {"ppo": load_policy(artifact)},
        prices=prices,
        resources=Resources.of(CATALOGUE),
        labels={"segment": np.where(kind.private, "private", "mass")},
        settings=kind.settings,
    )
    into.mkdir()
    (into / "report.json").write_text(report.to_json(), encoding="utf-8")
    return into


def gate_file(into: Path, **changes: object) -> Path:
    """mlflow/promotion.yaml with some rules changed."""
    into.write_text(json.dumps(read_gate().model_copy(update=changes).model_dump(mode="json")), encoding="utf-8")
    return into


def judged(kind: Planted, house: Path, root: Path, gate: Path | None = None) -> Promotion:
    """Evaluated, registered and judged, as a user does it."""
    evaluated = house / f"likes-{kind.likes}"
    registered = house / f"likes-{UNLIKED}" if kind.another else evaluated
    report = report_on(kind, evaluated, root / "report")
    said = {
        "policy_digest": read_manifest(registered / FILE).policy_digest,
        "world_adequate": kind.adequate,
        "fidelity": None if kind.adequate is None else "Two heads are wrong.",
    }
    registry.register(registered, beside=CARD.model_copy(update=said).write(root / "card"))
    tables = house / f"tables-{kind.smoked:g}"
    return promote(PromoteConfig(report=report, tables=tables, out=root / "out", gate=gate), kind.today)


def aliases() -> dict[str, str]:
    """Of the registered model: who has which version."""
    found = MlflowClient().get_registered_model("contact-policy").aliases
    return {alias: str(version) for alias, version in found.items()}


def kept(root: Path) -> tuple[dict[str, Any], Path]:
    """The decision as it is kept with the registered version, and where it was copied to."""
    run, place = registry.find("challenger").tags["gate_record"].split("/", 1)
    files = Path(MlflowClient().download_artifacts(run, place, str(root)))
    return json.loads((files / "promotion.json").read_text(encoding="utf-8")), files


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_refused_by_the_line_that_is_meant_and_kept(
    store: Path, house: Path, tmp_path: Path, name: str
) -> None:
    kind = KINDS[name]
    gate = gate_file(tmp_path / "gate.yaml", fidelity="adequate") if kind.adequate is False else None
    promotion = judged(kind, house, tmp_path, gate)
    meant = [] if kind.line is None else [kind.line]
    assert [line.name for line in promotion.failed] == meant
    assert (promotion.alias, promotion.exit_code) == (kind.alias, int(kind.line is not None))
    assert aliases() == {"challenger": "1"} | ({kind.alias: "1"} if kind.alias else {})
    record, files = kept(tmp_path)
    assert [line["name"] for line in record["lines"] if not line["passed"]] == meant
    if kind.today is not None:
        said = (record["inputs"]["today"], record["inputs"]["evidence"]["expires"])
        assert said == (str(kind.today.date()), "2026-05-31")
    assert (files / "report.json").read_bytes() == (tmp_path / "report" / "report.json").read_bytes()
    assert (files / "promotion.json").read_bytes() == (tmp_path / "out" / "promotion.json").read_bytes()
    assert registry.find("challenger").tags["gate_verdict"] == (kind.alias or "refused")


def test_a_log_without_support_says_so_itself(store: Path, house: Path, tmp_path: Path) -> None:
    """A gate that lets no model into shadow refuses altogether; the report tells never tried from too few."""
    gate = gate_file(tmp_path / "gate.yaml", model_based="none")
    promotion = judged(KINDS["without support"], house, tmp_path, gate)
    assert (promotion.alias, aliases()) == (None, {"challenger": "1"})
    few = report_on(KINDS["model-based"], house / f"likes-{LIKED}", tmp_path / "few")
    said = [json.loads((place / "report.json").read_text(encoding="utf-8")) for place in (tmp_path / "report", few)]
    never, short = (one["lead"] for one in said)
    assert (never["untried"] > SETTINGS.max_untried, never["ess"] > never["threshold"]) == (True, True)
    assert (short["untried"], short["ess"] < short["threshold"]) == (0.0, True)


def test_who_tries_many_on_the_same_customers_must_compare_them(store: Path, house: Path, tmp_path: Path) -> None:
    """The second candidate on the same customers is refused, unless one report bounds both; again is no second one."""
    first, second = (house / f"likes-{treatment}" for treatment in (UNLIKED, LIKED))
    log, tables = KINDS["good"].log(), house / "tables-1"

    def asked(name: str, *candidates: Path) -> Promotion:
        policies = {f"ppo-{number}": load_policy(one) for number, one in enumerate(candidates)}
        report = evaluate(log, policies, prices=prices_from(None, CATALOGUE, SCHEMA), settings=SETTINGS)
        into = report.write(tmp_path / name)
        return promote(PromoteConfig(report=into, tables=tables, out=tmp_path / f"{name}-out"))

    registry.register(first)
    assert [line.name for line in asked("first", first).failed] == ["paired difference"]
    registry.register(second)
    alone = asked("second", second)
    assert ([line.name for line in alone.failed], alone.alias) == (["one candidate"], None)
    assert read_manifest(first / FILE).policy_digest[:12] in alone.failed[0].value
    again = asked("again", second, first)
    assert (again.failed, again.alias) == ((), "champion")
    assert asked("once more", second, first).alias == "champion"
    fresh = KINDS["good"].log().select(np.arange(KINDS["good"].customers) < 1400)  # other customers
    log = fresh
    assert asked("fresh", second).alias == "champion"


def test_every_decision_is_kept_with_all_that_it_was_taken_on(store: Path, house: Path, tmp_path: Path) -> None:
    """A laxer gate admits what was refused: both decisions stay, each with its rules, and the tags tell of the last."""
    judged(KINDS["worse"], house, tmp_path)
    first, files = kept(tmp_path)
    tags = registry.find("challenger").tags
    lax = gate_file(tmp_path / "lax.yaml", min_lower_bound=-10.0, name="lax")
    again = PromoteConfig(
        report=tmp_path / "report", tables=house / "tables-1", out=tmp_path / "again", gate=lax
    )  # fmt: skip
    assert promote(again).alias == "champion"
    second, _ = kept(tmp_path)
    version, inputs = registry.find("challenger"), first["inputs"]
    assert len(MlflowClient().list_artifacts(version.run_id, "promotions")) == 2
    assert (inputs["gate"]["min_lower_bound"], second["inputs"]["gate"]["min_lower_bound"]) == (0.0, -10.0)
    assert tags["gate_digest"] == inputs["gate_digest"] != version.tags["gate_digest"]
    assert tags["gate_report_digest"] == inputs["report_digest"] == file_digest(files / "report.json")
    assert inputs["declared_prices"] == {"annoyance": 1.0, "seats": 0.0}
    assert (inputs["policy_tags"]["policy_digest"], inputs["champion_digest"]) == (version.policy_digest, "")
    row = json.loads((files / "report.json").read_text(encoding="utf-8"))["table"][1]
    assert (inputs["evidence"]["lower"], inputs["evidence"]["ess"]) == (row["difference_lower"], row["ess"])
    assert [group["name"] for group in inputs["evidence"]["groups"]] == ["segment mass", "segment private"]
