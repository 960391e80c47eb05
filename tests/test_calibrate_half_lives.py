"""Half-lives come back from a log that was written under others, with intervals; a flat profile says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from envs.response import Coefficients, Head, Term
from envs.schema import Fading
from envs.tables import Tables, read_tables, write_tables
from envs.world import World, load_world
from training.calibrate import Calibration, calibrate
from training.configs import CalibrateConfig
from training.half_life_profile import Profile, Profiler, reencoded, sampled
from training.half_lives import QUANTILE, adjusted_ratio, choose_half_lives, fading_of, interval, verdict, vertex
from training.random_log import random_log

WORLD = Path(__file__).parent.parent / "benchmarks" / "worlds" / "recovery"
WRONG = Fading(recency=3, pressure=60, engagement=30, intent=10, refusal=30, complaint=60, purchase=5)


def strong() -> World:
    """Decisions every other day, few heads, and contact pressure that matters much."""
    world = load_world(WORLD)
    task = world.schema.task.model_copy(update={"cadence_days": 2, "window_days": 2})
    heads: dict[str, Head] = {n: h for n, h in world.coefficients.heads.items() if n in ("delivered", "engaged")}
    terms = {"1": -1.0, "channel=call": 0.8, "contact:pressure": -5.0}
    written = tuple(Term(feature=name, value=value) for name, value in terms.items())
    heads["engaged"] = heads["engaged"].model_copy(update={"terms": written})
    schema = world.schema.model_copy(update={"task": task})
    return replace(world, schema=schema, coefficients=Coefficients(name="strong", heads=heads))


@pytest.fixture(scope="module")
def log() -> Tables:
    return random_log(strong(), 900, 15)


def test_encoding_a_log_anew_under_its_own_half_lives_changes_nothing_and_under_others_the_traces_alone(
    log: Tables,
) -> None:
    def matrix(tables: Tables) -> np.ndarray:
        return np.array(tables.decisions["observation"].to_list(), np.float32)

    same = reencoded(log, log.schema.fading)
    np.testing.assert_allclose(matrix(same), matrix(log), atol=1e-5)
    names = log.encoder.names
    moved = {names[k] for k in np.flatnonzero(np.abs(matrix(reencoded(log, WRONG)) - matrix(log)).max(axis=0) > 1e-4)}
    assert {"contact:pressure", "channel:sms:pressure", "product:fund:offered"} <= moved
    assert not {"age", "contact:week", "channel:sms:consent", "product:fund:intent"} & moved
    back = reencoded(reencoded(log, WRONG), log.schema.fading)
    np.testing.assert_allclose(matrix(back), matrix(log), atol=1e-5)


def test_the_vertex_and_the_interval_of_a_parabola() -> None:
    at = np.arange(-1.0, 8.0)
    ratio = 2.0 * (at - 3.3) ** 2
    assert vertex(at, -ratio) == pytest.approx(3.3)
    low, high = interval(at, ratio - ratio.min())
    assert low == pytest.approx(2 ** (3.3 - (QUANTILE / 2) ** 0.5), rel=0.12)
    assert high == pytest.approx(2 ** (3.3 + (QUANTILE / 2) ** 0.5), rel=0.12)
    assert vertex(at, at) == 7.0
    assert interval(at, 9 * (7.0 - at)) == (pytest.approx(2 ** (7 - QUANTILE / 9)), None)


def profile(total: np.ndarray, heads: tuple[str, ...] = ("engaged",), p: float = 0.0, each: int = 400) -> Profile:
    """A profile whose total is shared evenly by customers, with scores that vary as they should."""
    days = 2.0 ** np.arange(-1, 8)
    noise = np.random.default_rng(0).normal(size=each)
    noise = (noise - noise.mean()) / noise.std() / each**0.5
    return Profile(days, total[:, None] / each + np.outer(np.log2(days), noise), heads, p)


def test_verdicts_say_why_a_half_life_is_kept() -> None:
    default, at = Fading(), np.arange(-1.0, 8.0)
    peaked = -4.0 * (at - 4.0) ** 2
    assert verdict("pressure", default, profile(peaked)).chosen == pytest.approx(16.0, rel=0.02)
    assert "holds nothing" in str(verdict("pressure", default, profile(peaked, heads=())))
    assert "no answer visibly depends" in str(verdict("pressure", default, profile(peaked, p=0.2)))
    flat = verdict("pressure", default, profile(-0.01 * (at - 4.0) ** 2))
    assert not flat.identified
    assert flat.chosen == default.pressure
    assert "profile is flat" in str(flat)


def test_scores_that_vary_more_than_the_curvature_widen_the_interval() -> None:
    at = np.arange(-1.0, 8.0)
    calm = profile(-4.0 * (at - 4.0) ** 2)
    wild = replace(calm, worth=calm.worth + np.outer(at, np.where(np.arange(400) % 2, 0.3, -0.3)))
    assert adjusted_ratio(calm).max() > 2 * adjusted_ratio(wild).max()


def test_a_log_whose_history_is_not_complete_keeps_every_half_life_and_says_why(log: Tables) -> None:
    odd = log.decisions.with_columns(pl.col("observation").list.eval(pl.element() + 0.5))
    found = choose_half_lives(Profiler(replace(log, decisions=odd), np.random.default_rng(0)), lambda units: None)
    assert not any(h.identified for h in found)
    assert fading_of(found) == log.schema.fading
    assert all("does not give back the observations" in h.reason for h in found)


def test_a_sample_holds_whole_customers(log: Tables) -> None:
    some = sampled(log, np.random.default_rng(0))
    whole = log.decisions.group_by("customer_id").len().sort("customer_id")
    mine = some.decisions.group_by("customer_id").len().sort("customer_id")
    assert mine.equals(whole.filter(pl.col("customer_id").is_in(mine["customer_id"].implode())))


@pytest.fixture(scope="module")
def found(log: Tables, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    folder = tmp_path_factory.mktemp("half-lives")
    write_tables(reencoded(log, WRONG), folder / "tables")
    form = folder / "form.yaml"
    form.write_text(json.dumps(strong().coefficients.model_dump(mode="json")), encoding="utf-8")
    config = CalibrateConfig(
        tables=folder / "tables", form=str(form), half_lives="estimate", replicates=2, out=folder / "world"
    )
    return calibrate(config)


def test_the_half_life_that_matters_is_found_and_the_others_are_kept(found: Calibration) -> None:
    half_lives = {h.name: h for h in found.half_lives}
    pressure = half_lives["pressure"]
    assert pressure.identified
    assert (pressure.lower or 0) < 14 < (pressure.upper or np.inf)
    assert pressure.default == 60
    assert (pressure.upper or np.inf) < 60
    assert not half_lives["intent"].identified
    assert half_lives["intent"].chosen == WRONG.intent


def test_the_world_has_the_half_lives_and_tables_encoded_with_them(found: Calibration) -> None:
    world = load_world(found.path)
    assert world.schema.fading == fading_of(found.half_lives)
    assert found.tables is not None
    tables = read_tables(found.tables)
    assert tables.encoder.digest == world.encoder.digest
    assert tables.catalogue.digest == world.catalogue.digest
    test = len(found.world.population.sample(np.arange(5), 0))
    assert test == 5
    assert tables.customers["customer_id"].n_unique() == 900


def test_profiles_stand_in_the_account_in_a_figure_and_on_the_screen(found: Calibration) -> None:
    account = json.loads((found.path / "calibration.json").read_text())
    pressure = next(h for h in account["half_lives"] if h["name"] == "pressure")
    assert min(pressure["ratio"]) == 0
    assert len(pressure["ratio"]) == len(pressure["days"]) >= 9
    assert (found.path / "half_lives.svg").stat().st_size > 1000
    assert "half-life pressure: " in str(found)
    assert f"tables with these half-lives, to train and evaluate on: {found.tables}" in str(found)
    assert any(f.subject == "half-life intent" for f in found.identification)
