"""The verb `population`: what it writes, prints and shows is what the run says, and its log is one."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from serving_kit import write_kit

import nextbest
from agents.artifact import load_policy, write_artifact
from agents.baselines import CoordinatedRules
from envs.errors import InputError
from envs.indicators import indicators
from envs.tables import Tables, read_tables
from envs.world import World, load_world
from evaluation.pooled import run_pooled
from evaluation.population_figures import refused, utilisation
from evaluation.population_report import PopulationReport
from evaluation.region import PooledSetting
from training.configs import PopulationConfig
from training.population import SimulatedPopulation, population, setting_of

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "population.md").read_text(encoding="utf-8")
CUSTOMERS, DAYS = 400, 8
CONFIG = PopulationConfig(customers=CUSTOMERS, days=DAYS, by="region", share=0.4, assets="assets")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SimulatedPopulation:
    """A small population that lacks a good deal, with its log."""
    out = tmp_path_factory.mktemp("population")
    return population(CONFIG.model_copy(update={"log": True, "out": out}))


@pytest.fixture(scope="module")
def stored(found: SimulatedPopulation) -> dict[str, list[dict[str, object]]]:
    return json.loads((found.directory / "population.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tables(found: SimulatedPopulation) -> Tables:
    return read_tables(found.directory / "tables")


def test_the_file_holds_the_numbers_of_the_run(found: SimulatedPopulation, stored: dict[str, list[dict]]) -> None:
    run = run_pooled(setting_of(CONFIG))
    assert stored == json.loads(json.dumps(found.report.to_dict()))
    assert sorted(p.name for p in found.directory.iterdir()) == ["population.html", "population.json", "tables"]
    for row, told in zip(stored["regions"], PopulationReport(run, "bank").frame.iter_rows(named=True), strict=True):
        for name in ("region", "pool", "days_exhausted"):
            assert row[name] == told[name]
        for name in ("utilisation", "refused_share", "shadow_value"):
            assert row[name] == (None if told[name] is None else pytest.approx(told[name]))
    whole = indicators(found.report.counts, found.report.catalogue)
    assert [row["value"] for row in stored["indicators"]] == whole["value"].to_list()
    counts = [vars(block) for block in run.counts]
    for block, said in zip(counts, (vars(b) for b in found.report.run.counts), strict=True):
        for name, value in block.items():
            np.testing.assert_array_equal(said[name], value, err_msg=name)


def test_days_and_regions_add_up(stored: dict[str, list[dict]]) -> None:
    for pool in stored["pools"]:
        for name in ("capacity", "granted", "refused", "requests_refused"):
            for part in ("regions", "pool_days", "region_days"):
                parts = [row[name] for row in stored[part] if row["pool"] == pool["pool"]]
                assert sum(parts) == pytest.approx(pool[name]), (pool["pool"], part, name)
        assert pool["utilisation"] == pytest.approx(pool["granted"] / pool["capacity"])
        assert 0 <= pool["utilisation"] <= 1
    assert sum(pool["requests_refused"] for pool in stored["pools"]) > 0


def test_sentences_say_what_the_numbers_say(found: SimulatedPopulation, stored: dict[str, list[dict]]) -> None:
    lines = str(found).splitlines()
    for pool, line in zip(stored["pools"], lines, strict=False):
        assert line.startswith(f"{pool['pool']}: ")
        if pool["granted"] == pool["refused"] == 0:
            assert "nobody asked" in line
        elif pool["days_exhausted"]:
            assert "Requests were refused in " in line
            assert "CNY" in line
        else:
            assert "would have gone unused" in line
    assert str(found.directory / "population.html") in lines[-1]
    assert "shadow_value" in found._repr_html_()


def test_the_page_holds_every_part_and_loads_nothing(found: SimulatedPopulation) -> None:
    page = (found.directory / "population.html").read_text(encoding="utf-8")
    for words in ("A population that shares pools", "Utilisation by day", "Refused demand by day", "Indicators",
                  "Flow of leads", *found.frame["region"], *found.frame["pool"]):  # fmt: skip
        assert words in page
    assert page.count("<svg") == 4
    assert "src=" not in page
    assert 'href="http' not in page
    assert page == found.report.to_html()


def test_pictures_show_the_frames(found: SimulatedPopulation) -> None:
    report = found.report
    dots = 0
    for axes, pool in zip(utilisation(report).axes, report.pools["pool"], strict=True):
        whole = next(line for line in axes.lines if line.get_label() == "all together")
        np.testing.assert_allclose(whole.get_ydata(), report.bank_days.filter(pool=pool)["utilisation"])
        dots += sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "o")
    assert dots == report.days["exhausted"].sum() > 0
    short = report.pools.filter(pl.col("refused") > 0)
    for axes, units in zip(refused(report).axes, short["refused"], strict=True):
        assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(units)


def test_the_log_is_valid_and_was_drawn_under_its_masks(
    found: SimulatedPopulation, tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nextbest.run(["validate", str(found.directory / "tables")]) == 0
    assert "valid set of canonical tables" in capsys.readouterr().out
    mask = np.stack(tables.decisions["mask"].to_numpy())
    probabilities = np.stack(tables.decisions["probabilities"].to_numpy())
    ids = {name: place for place, name in enumerate(tables.catalogue.treatment_ids)}
    chosen = tables.decisions["treatment"].replace_strict(ids).to_numpy()
    assert mask[np.arange(len(mask)), chosen].all()
    assert (probabilities[~mask] == 0).all()
    np.testing.assert_array_equal(probabilities[np.arange(len(mask)), chosen], tables.decisions["propensity"])


def test_the_log_draws_from_the_pools_what_the_run_granted(found: SimulatedPopulation, tables: Tables) -> None:
    effort = pl.DataFrame(tables.catalogue.effort, schema=list(tables.catalogue.pool_ids))
    effort = effort.with_columns(treatment=pl.Series(tables.catalogue.treatment_ids))
    made = tables.decisions.join(effort, on="treatment").join(tables.customers, on="customer_id")
    drawn = made.group_by("region", day=pl.col("at").dt.date()).agg(pl.col(tables.catalogue.pool_ids).sum())
    drawn = drawn.with_columns(day=(pl.col("day") - pl.col("day").min()).dt.total_days())
    long = drawn.unpivot(tables.catalogue.pool_ids, index=["region", "day"], variable_name="pool", value_name="log")
    both = found.report.days.join(long, on=["region", "day", "pool"])
    assert both.height == found.report.days.height
    np.testing.assert_allclose(both["log"], both["granted"], atol=1e-6)


def test_silos_log_a_row_for_each_desk(tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={"customers": 40, "days": 7, "by": None, "policy": "siloed_campaigns", "log": True}
    )
    report = population(config.model_copy(update={"share": 0.1, "out": tmp_path})).report
    decisions = read_tables(tmp_path / "tables").decisions
    rows = decisions.group_by("customer_id", "at").len()["len"]
    assert rows.unique().to_list() == [len(report.catalogue.channels)]
    closed = ~np.stack(decisions["mask"].to_numpy())
    assert (np.stack(decisions["probabilities"].to_numpy())[closed] == 0).all()
    assert report.pools["requests_refused"].sum() > 0
    assert "not told which pools" in (tmp_path / "population.html").read_text(encoding="utf-8")


def with_stock(world: World, pool: str, capacity: float) -> World:
    """The world with a pool turned into a stock."""
    pools = tuple(
        p.model_copy(update={"stock": True, "capacity": capacity}) if p.id == pool else p for p in world.catalogue.pools
    )
    return replace(world, catalogue=world.catalogue.model_copy(update={"pools": pools}))


def test_a_stock_runs_out_once_and_for_all() -> None:
    world = with_stock(load_world("bank"), "counters", 2000.0)
    policy = CoordinatedRules(world.catalogue, world.encoder)
    report = PopulationReport(run_pooled(PooledSetting(world, policy, np.arange(CUSTOMERS), DAYS)), "bank")
    row = report.pools.row(by_predicate=pl.col("pool") == "counters", named=True)
    gone = report.bank_days.filter(pool="counters")
    assert row["capacity"] == pytest.approx(2000.0 * CUSTOMERS / 10_000)
    assert row["utilisation"] == pytest.approx(row["granted"] / row["capacity"]) == gone["utilisation"][-1]
    assert 0.8 < row["utilisation"] <= 1
    assert gone["utilisation"].is_sorted()
    assert gone.filter(pl.col("exhausted"))["day"][0] == row["first_exhausted"]
    line = next(line for line in report.sentences if line.startswith("counters"))
    assert "of the stock of 80 minutes" in line
    assert "the stock" not in next(line for line in report.sentences if line.startswith("agents"))


def test_with_plenty_nothing_is_refused(tmp_path: Path) -> None:
    report = population(
        CONFIG.model_copy(update={"customers": 50, "by": None, "share": 1000.0, "out": tmp_path})
    ).report
    assert report.pools["refused"].sum() == 0
    assert report.pools["shadow_value"].null_count() == report.pools.height
    assert not any("Requests were refused" in line for line in report.sentences)
    page = (tmp_path / "population.html").read_text(encoding="utf-8")
    assert "No request was refused." in page


def test_one_customer_alone_has_no_intervals(found: SimulatedPopulation) -> None:
    setting = replace(found.report.run.setting, customers=np.arange(1), days=1)
    report = PopulationReport(run_pooled(setting), "bank")
    assert report.indicators["low"].null_count() == report.indicators.height
    assert found.report.indicators["low"].null_count() < report.indicators.height


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("--policy nobody", "policy == 'nobody', must be one of: coordinated_rules, siloed_campaigns, silence, random"),
        ("--by age", "by == 'age', must be a column of categories: lifecycle, region"),
        ("--assets region", "assets == 'region', must be a column of numbers: age"),
        ("--log", "log == True, must be false: the log would have 9,000,000 decision rows, at most 500,000"),
        ("--log --processes 2", "processes == 2, must be 1 with log"),
        ("--world exact", "task.kind == 'finite', must be continuing"),
        ("--days 3 --cadence-days 7", "days == 3, must be at least 7, the cadence"),
        ("--share 0", "share == '0', must be greater than 0"),
        ("--pool-prices {nobody:\\ 1}", "prices == 'nobody', must be one of: annoyance, agents"),
    ],
)
def test_bad_input_names_field_and_value_and_writes_nothing(
    flags: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nextbest.run(["population", *shlex.split(flags), "--out", str(tmp_path / "out")]) == 2
    assert line in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_artifact_is_read_again_in_another_process(tmp_path: Path) -> None:
    write_kit(tmp_path / "policy")
    policy = load_policy(tmp_path / "policy")
    again = pickle.loads(pickle.dumps(policy))
    rng = np.random.default_rng(0)
    shape = (64, len(policy.manifest.treatments))
    mask = rng.random(shape) < 0.5
    mask[:, 0] = True
    observation = rng.normal(size=(64, len(policy.manifest.observation_schema))).astype(np.float32)
    np.testing.assert_array_equal(again.probabilities(observation, mask), policy.probabilities(observation, mask))
    sent = pickle.dumps(policy)
    write_kit(tmp_path / "policy", name="another")
    with pytest.raises(InputError, match="as before"):
        pickle.loads(sent)


@pytest.mark.slow
def test_two_processes_give_what_one_gives_and_an_artifact_what_it_holds(
    found: SimulatedPopulation, tmp_path: Path
) -> None:
    world = load_world("bank")
    books = {"catalogue": world.catalogue, "schema": world.schema, "rules": world.rules}
    artifact = tmp_path / "policy"
    write_artifact(artifact, name="coordinated_rules", **books)
    for policy in ("coordinated_rules", str(artifact)):
        update = {"policy": policy, "processes": 2, "out": tmp_path / "out"}
        report = population(CONFIG.model_copy(update=update)).report
        if policy == "coordinated_rules":
            for name in ("population.json", "population.html"):
                assert (tmp_path / "out" / name).read_bytes() == (found.directory / name).read_bytes()
        else:
            assert report.run.days.equals(found.report.run.days)
            assert report.to_dict()["policy_digest"] == load_policy(artifact).digest


@pytest.mark.slow
def test_the_python_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        exec(block, {})
    assert (tmp_path / "runs" / "half" / "utilisation.png").stat().st_size > 1000
    assert "shadow_value" in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_of_the_guide_run_in_their_order(tmp_path: Path) -> None:
    lines = [line for block in re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]
    for line in lines:
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); import nextbest; nextbest.main({shlex.split(line)[1:]!r})"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert {"population.html", "tables"} <= {p.name for p in (tmp_path / "runs" / "logged").iterdir()}
