"""Calibration: a world whose coefficients are known comes back from its own log; real logs are predicted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from envs.catalogue import Benefit, Catalogue, Channel, Product, Treatment
from envs.errors import InputError
from envs.expectation import Expectation
from envs.population import DescribedPopulation, Marginal, PopulationSpec
from envs.response import Coefficients, Head, Term
from envs.rules import Rules
from envs.schema import Column, PriceRange, Reward, Schema, Split, Task
from envs.simulator import Simulator
from envs.split import is_test
from envs.tables import read_tables, write_tables
from envs.world import World, load_world
from training.calibrate import Calibration, calibrate
from training.calibration_ensemble import ensemble
from training.calibration_rows import head_rows
from training.calibration_source import Source
from training.configs import CalibrateConfig, ImportConfig
from training.import_log import import_log
from training.random_log import random_log

DATA = Path(os.environ.get("NEXTBEST_DATA", Path(__file__).parent.parent / ".." / "shared" / "data"))
CUSTOMERS, STEPS = 3000, 8


def head(link: str, given: str = "always", per: str = "decision", **terms: float) -> Head:
    """A head from feature=value; `X` stands for ` * `, `C` for `channel=`, `P` for `product=`, one for `1`."""
    names = {name: name.replace("one", "1").replace("C_", "channel=").replace("P_", "product=") for name in terms}
    written = tuple(Term(feature=names[name].replace("_X_", " * "), value=value) for name, value in terms.items())
    sigma = 0.5 if link == "lognormal" else None
    return Head.model_validate({"link": link, "given": given, "per": per, "sigma": sigma, "terms": written})


HEADS = {
    "delivered": head("logit", "contacted", one=1.5, C_call=-1.0),
    "engaged": head("logit", "delivered", one=-0.6, C_call=0.8, P_care=0.5, age_X_C_call=0.7),
    "converted": head("logit", "engaged", one=-0.4, P_fund=-0.6, age=0.5, P_care=-30.0),
    "declined": head("logit", "unconverted", one=-0.5),
    "purchased": head("rate", "always", one=-2.0, age=0.4, P_loan=0.5),
    "purchased_value": head("lognormal", "purchased", one=2.0, age=0.3),
    "converted_value": head("lognormal", "converted", "product", one=4.0, P_fund=0.5),
    "trigger:app_session": head("logit", "always", one=-1.0, age=-0.5),
    "organic": head("rate", "always", "product", P_loan=-4.0, P_fund=-3.5, P_care=-30.0),
}


def known_world() -> World:
    catalogue = Catalogue(
        name="known",
        products=(Product(id="loan"), Product(id="fund"), Product(id="care", selling=False)),
        benefits=(Benefit(id="bonus", cost=3.0),),
        channels=(Channel(id="sms", family="online", annoyance=0.02), Channel(id="call", family="remote")),
        treatments=tuple(
            Treatment(id=f"{p}_{c}", product=p, channel=c, benefit="bonus" if p == "fund" else "none")
            for p in ("loan", "fund", "care")
            for c in ("sms", "call")
        ),
    )
    schema = Schema(
        columns=(Column(name="age", type="number", center=40, scale=10),),
        triggers=("app_session",),
        prices={"annoyance": PriceRange(high=10)},
        task=Task(
            kind="continuing",
            window_days=1,
            reward=Reward(margin_per_value={"converted": 1, "purchased": 1}, cost_per_value={"redeemed": 1}),
        ),
        split=Split(salt="calibration"),
    )
    population = PopulationSpec(columns=(Marginal(column="age", mean=40, sd=10),))
    coefficients = Coefficients(name="known", heads=HEADS)
    return World(catalogue, schema, Rules(), coefficients, DescribedPopulation(population, schema))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("log")
    write_tables(random_log(known_world(), CUSTOMERS, STEPS), path)
    return path


@pytest.fixture(scope="module")
def calibration(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibrate(CalibrateConfig(tables=log, replicates=3, out=tmp_path_factory.mktemp("world")))


def test_every_head_of_the_world_is_found_in_its_log_in_its_form(calibration: Calibration) -> None:
    found = {h.name: (h.head.link, h.head.given, h.head.per) for h in calibration.heads}
    assert found == {name: (h.link, h.given, h.per) for name, h in HEADS.items()}


@pytest.mark.parametrize("name", sorted(HEADS))
def test_predictions_are_those_of_the_true_heads(calibration: Calibration, name: str) -> None:
    truth, world = known_world(), calibration.world
    observation = np.array(read_tables_observation(calibration), np.float32)
    true, ours = truth.heads[name], world.heads[name]
    a, b = true.mean(true.linear_all(observation)), ours.mean(ours.linear_all(observation))
    options = slice(0, 2) if HEADS[name].per == "product" else slice(1, 5)
    error = (b - a)[:, options] / a[:, options].mean()
    assert np.abs(error).mean() < (0.20 if name == "organic" else 0.12)


def read_tables_observation(calibration: Calibration) -> list[list[float]]:
    world = calibration.world
    simulator = Simulator(world, 5)
    simulator.reset(np.arange(500))
    rows: list[list[float]] = simulator.view().observation.tolist()
    return rows


def test_coefficients_come_with_standard_errors_that_hold_the_truth(calibration: Calibration) -> None:
    table = calibration.coefficients.filter(head="purchased_value", feature="age").row(0, named=True)
    assert table["se"] < 0.05
    assert abs(table["value"] - 0.3) < 4 * table["se"] + 0.02
    assert (calibration.coefficients["se"].drop_nulls() >= 0).all()


def test_held_out_likelihood_beats_the_base_rates_where_there_is_something_to_know(calibration: Calibration) -> None:
    frame = calibration.frame
    gains = dict(zip(frame["head"], frame["gain"] / frame["gain_se"], strict=True))
    known = [gains[n] for n in ("delivered", "engaged", "converted", "purchased", "purchased_value")]
    assert min(known) > 0
    assert sum(known) / len(known) ** 0.5 > 5
    assert gains["declined"] < 2 or np.isnan(gains["declined"])


def test_care_never_converts(calibration: Calibration) -> None:
    world = calibration.world
    expected = Expectation(world)(np.array(read_tables_observation(calibration), np.float32))
    care = world.catalogue.treatment_ids.index("care_call")
    converted = world.heads["converted"]
    likely = converted.mean(converted.linear_all(np.array(read_tables_observation(calibration), np.float32)))
    assert likely[:, care].max() < 1e-6
    assert expected.margin.shape[1] == len(world.catalogue.treatment_ids)


def test_the_calibrated_world_brings_what_the_true_one_brings(calibration: Calibration) -> None:
    def reward(world: World) -> np.ndarray:
        simulator = Simulator(world, 11)
        simulator.reset(np.arange(4000))
        total, rng = np.zeros(4000), np.random.default_rng(1)
        for _ in range(5):
            tally = simulator.step(rng.integers(0, 7, 4000)).tally
            total += tally.margin - tally.cost
        return total

    true, ours = reward(known_world()), reward(calibration.world)
    se = np.hypot(true.std(), ours.std()) / 4000**0.5
    assert abs(true.mean() - ours.mean()) < 3 * se + 0.05 * true.mean()


def test_the_world_is_written_with_rules_ensemble_account_and_plots(calibration: Calibration) -> None:
    again = load_world(calibration.path)
    assert again.digest == calibration.world.digest
    account = json.loads((calibration.path / "calibration.json").read_text())
    assert account["world_digest"] == again.digest
    assert (calibration.path / "calibration.svg").read_text().lstrip().startswith("<?xml")
    assert len(calibration.figure().axes) == len(calibration.heads)
    assert "purchased_value" in calibration._repr_html_()
    members = ensemble(again, calibration.path)
    assert len(members) == 3
    first, second = (w.coefficients.heads["engaged"].terms[0].value for w in members[:2])
    point = again.coefficients.heads["engaged"].terms[0]
    assert first != second
    assert point.se is not None
    assert abs(first - point.value) < 6 * point.se


def test_customers_of_the_test_part_have_no_say(log: Path, calibration: Calibration, tmp_path: Path) -> None:
    tables = read_tables(log)
    ids = tables.customers["customer_id"]
    test = ids.filter(pl.Series(is_test(ids, tables.schema.split))).implode()
    mine = ~pl.col("customer_id").is_in(test)
    assert 0 < len(test[0]) < tables.customers.height
    spoiled = replace(tables, events=tables.events.filter(mine | (pl.col("event") == "purchased")), path=None)
    write_tables(spoiled, tmp_path / "log")
    other = calibrate(CalibrateConfig(tables=tmp_path / "log", replicates=0, out=tmp_path / "world"))
    for name, fitted in other.world.coefficients.heads.items():
        ours = [(t.feature, t.value) for t in calibration.world.coefficients.heads[name].terms]
        assert ours == [(t.feature, t.value) for t in fitted.terms], name
    assert other.world.population.customers.height == calibration.customers  # type: ignore[attr-defined]


def test_rows_of_answers_by_hand() -> None:
    tables = random_log(known_world(), 40, 3)
    found = {rows.name: rows for rows in head_rows(Source(tables))}
    contacts = tables.decisions.filter(pl.col("treatment") != "silence")
    count = {e: tables.events.filter(pl.col("event") == e) for e in ("delivered", "engaged", "purchased")}
    assert len(found["delivered"].look) == contacts.height
    assert found["delivered"].events == count["delivered"].height == len(found["engaged"].look)
    assert found["engaged"].events == count["engaged"].height
    assert len(found["purchased"].look) == tables.decisions.height
    assert found["purchased"].events == count["purchased"].height
    assert set(found["purchased"].rows.days) == {1.0}
    assert found["purchased_value"].rows.y.sum() == pytest.approx(count["purchased"]["value"].sum())


def test_logs_that_tell_nothing_are_refused(log: Path, tmp_path: Path) -> None:
    tables = read_tables(log)
    silent = replace(tables, events=tables.events.clear(), path=None)
    write_tables(silent, tmp_path / "silent")
    with pytest.raises(InputError, match="must hold answers to contacts, purchases or other events"):
        calibrate(CalibrateConfig(tables=tmp_path / "silent", out=tmp_path / "out"))
    write_tables(replace(tables.of_customers(tables.customers["customer_id"][:30]), path=None), tmp_path / "few")
    with pytest.raises(InputError, match="must have at least 50 training customers"):
        calibrate(CalibrateConfig(tables=tmp_path / "few", out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [pytest.param("starbucks", marks=pytest.mark.slow), "hillstrom"])
def test_real_rewards_are_predicted_on_customers_held_out(kind: str, tmp_path: Path) -> None:
    if not (DATA / kind).is_dir():
        pytest.skip(f"the {kind} data are not there: {DATA / kind}")
    import_log(ImportConfig.model_validate({"kind": kind, "source": DATA / kind, "out": tmp_path / "log"}))
    found = calibrate(CalibrateConfig(tables=tmp_path / "log", replicates=0, out=tmp_path / "world"))
    assert found.reward is not None
    assert found.reward.height == len(found.world.catalogue.treatment_ids)
    n, logged, predicted, se = (found.reward[c].to_numpy() for c in ("decisions", "logged", "predicted", "se"))
    together = (n * (logged - predicted)).sum() / np.sqrt(((n * se) ** 2).sum())
    assert abs(together) < 3.5
    assert np.corrcoef(logged, predicted)[0, 1] > 0.6
    gain = dict(zip(found.frame["head"], found.frame["gain"] / found.frame["gain_se"], strict=True))
    assert gain["engaged"] > 3
