"""The verbs `capacity` and `worth`, and `population --clear`: paired differences of the same customers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from world_kit import small_world

import nextbest
from agents.myopic import Myopic
from agents.without import without_channel
from envs.counts import total
from envs.errors import InputError
from envs.world import save_world
from evaluation.channel_worth import silent
from evaluation.market import Clearing
from evaluation.pooled import PooledRun, run_pooled
from evaluation.region import BLOCKS, PooledSetting
from evaluation.run_differences import AMOUNTS, difference, differences, jackknife
from training.capacity import ClearedCapacity, capacity, units_of
from training.capacity_configs import CapacityConfig, WorthConfig
from training.configs import PopulationConfig
from training.population import population
from training.worth import ChannelWorth, worth

CUSTOMERS, DAYS, SHARE = 1200, 5, 10.0
WORLD = small_world()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory of the small world, which a myopic rule can read."""
    directory = tmp_path_factory.mktemp("world")
    save_world(WORLD, directory)
    return str(directory)


@pytest.fixture(scope="module")
def found(world: str, tmp_path_factory: pytest.TempPathFactory) -> ClearedCapacity:
    more = {"minutes": 60.0}
    out = tmp_path_factory.mktemp("capacity")
    config = CapacityConfig(world=world, customers=CUSTOMERS, days=DAYS, share=SHARE, more=more, out=out)
    return capacity(config)


@pytest.fixture(scope="module")
def lost(world: str, tmp_path_factory: pytest.TempPathFactory) -> ChannelWorth:
    config = WorthConfig(world=world, customers=CUSTOMERS, days=DAYS, share=SHARE, out=tmp_path_factory.mktemp("worth"))
    return worth(config)


def run_of(more: float = 0.0) -> PooledRun:
    setting = PooledSetting(WORLD, Myopic(WORLD), np.arange(CUSTOMERS), DAYS, share=SHARE, clearing=Clearing())
    return run_pooled(replace(setting, more=(more,)))


def test_more_minutes_are_there_every_day(found: ClearedCapacity) -> None:
    base, larger = run_of(), run_of(60.0)
    np.testing.assert_allclose(larger.days["capacity"], base.days["capacity"] + 60)
    assert (larger.days["granted"] <= larger.days["capacity"] + 1e-6).all()
    assert (larger.days["price"] <= base.days["price"] + 0.05).all()
    assert_frame_equal(base.days, found.report.run.days)
    assert found.what_if is not None
    assert found.what_if.units == 60 * DAYS


def test_differences_are_those_of_the_runs(found: ClearedCapacity) -> None:
    base, larger = run_of(), run_of(60.0)
    whole = [total(side.counts) for side in (larger, base)]
    rows = {row["amount"]: row for row in found.frame.iter_rows(named=True)}
    for name, amount in AMOUNTS.items():
        assert rows[name]["this"] == pytest.approx(amount(whole[0]) / CUSTOMERS)
        assert rows[name]["difference"] == pytest.approx((amount(whole[0]) - amount(whole[1])) / CUSTOMERS)
        assert rows[name]["lo"] <= rows[name]["difference"] <= rows[name]["hi"]
    price = WORLD.schema.prices["annoyance"].default
    assert rows["value"]["difference"] == pytest.approx(
        rows["gain"]["difference"] - price * rows["annoyance"]["difference"]
    )
    each = found.what_if.worth if found.what_if else None
    assert each is not None
    assert each.value == pytest.approx(rows["value"]["difference"] * CUSTOMERS / (60 * DAYS))


def test_a_run_differs_from_itself_by_nothing() -> None:
    base = run_of()
    assert (differences(base, base, 2.0).select("difference", "lo", "hi").to_numpy() == 0).all()


def test_the_jackknife_of_a_mean_is_students_interval() -> None:
    values = np.random.default_rng(0).normal(size=BLOCKS)
    found = jackknife(lambda kept: float(values[kept].mean()), BLOCKS)
    half = 2.0930240544 * values.std(ddof=1) / np.sqrt(BLOCKS)  # t with 19 degrees of freedom
    assert (found.value, found.hi) == pytest.approx((values.mean(), values.mean() + half))


def test_other_customers_cannot_be_paired() -> None:
    base = run_of()
    fewer = run_pooled(replace(base.setting, customers=np.arange(CUSTOMERS - 50)))
    with pytest.raises(InputError, match="must be two runs of the same customers"):
        difference(base, fewer, AMOUNTS["gain"])


def test_what_is_written_is_what_is_told(found: ClearedCapacity) -> None:
    names = {path.name for path in found.directory.iterdir()}
    assert names == {"capacity.json", "population.html", "population.json"}
    stored = json.loads((found.directory / "capacity.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(found.to_dict()))
    assert stored["more"]["units"] == {"minutes": 60.0}
    text = str(found)
    for words in ("Its price was", "Gain over silence:", "With 60 minutes a day more of minutes", "before,"):
        assert words in text
    assert found._repr_html_().startswith("<ul><li>")


def test_people_are_counted_by_their_shift(world: str) -> None:
    catalogue = WORLD.catalogue.model_copy(
        update={"pools": (WORLD.catalogue.pools[0].model_copy(update={"unit": "minutes"}),)}
    )
    ten = CapacityConfig(world=world, more={"minutes": 10}, shift_minutes=360)
    assert units_of(ten, catalogue) == {"minutes": 3600}
    pool = catalogue.pools[0].model_copy(update={"unit": "appointments"})
    with pytest.raises(InputError, match="counted in appointments"):
        units_of(ten, catalogue.model_copy(update={"pools": (pool,)}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seats": 3}, "more == 'seats', must be one of: minutes"),
        ({"minutes": -3}, "more.minutes == -3.0, must be above"),
    ],
)
def test_more_of_nothing_is_refused(world: str, more: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        capacity(CapacityConfig(world=world, customers=100, days=1, more=more))


def test_the_command_line_takes_pairs(world: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--world", world, "--customers", "200", "--days", "2", "--share", "10", "--out", str(tmp_path)]
    assert nextbest.run(["capacity", *words, "--more", "minutes=20"]) == 0
    assert "With 20 minutes a day more" in capsys.readouterr().out
    assert nextbest.run(["capacity", *words, "--more", "minutes"]) == 2
    assert "must read name=value" in capsys.readouterr().err


def test_a_channel_is_worth_what_is_lost_without_it(lost: ChannelWorth) -> None:
    """By hand: the run without calls, everything else the same."""
    whole = run_of()
    less = run_pooled(replace(whole.setting, policy=without_channel(whole.setting.policy, WORLD.catalogue, "call")))
    row = lost.frame.row(by_predicate=pl.col("channel") == "call", named=True)
    assert row["gain"] == pytest.approx(difference(whole, less, AMOUNTS["gain"]).value)
    made = [sum(block.number("contacted", 1) for block in side.counts) for side in (whole, less)]
    assert made[0] > 0 == made[1]
    assert row["contacts"] == pytest.approx(made[0] / CUSTOMERS)
    silence = run_pooled(silent(whole.setting))
    assert lost.found.gain.value == pytest.approx(difference(whole, silence, AMOUNTS["gain"]).value)
    assert (less.days["price"] == 0).all()  # nobody else asks for minutes


def test_one_row_per_channel_the_largest_loss_first(lost: ChannelWorth) -> None:
    assert set(lost.frame["channel"]) == set(WORLD.catalogue.channel_ids)
    assert lost.frame["gain"].is_sorted(descending=True)
    assert "was not retrained" in str(lost)
    stored = json.loads((lost.directory / "worth.json").read_text(encoding="utf-8"))
    assert stored["channels"] == json.loads(json.dumps(lost.frame.to_dicts()))


def test_strange_channels_are_refused(world: str) -> None:
    with pytest.raises(InputError, match="channels == 'fax', must be one of: sms, call, app"):
        worth(WorthConfig(world=world, channels=["fax"], customers=10, days=1))
    with pytest.raises(InputError, match="retrained == 'sms', must be one of: call"):
        worth(WorthConfig(world=world, channels=["call"], retrained={"sms": "x"}, customers=10, days=1))


def test_silos_cannot_be_told_prices(world: str) -> None:
    with pytest.raises(InputError, match="must make one choice per customer"):
        capacity(CapacityConfig(world=world, policy="siloed_campaigns", customers=10, days=1))


def test_a_population_clears_if_it_is_told_to(world: str, tmp_path: Path) -> None:
    config = PopulationConfig(
        world=world, policy="myopic", customers=CUSTOMERS, days=DAYS, share=SHARE, clear=True, out=tmp_path
    )
    assert_frame_equal(population(config).report.run.days, run_of().days)
    assert json.loads((tmp_path / "population.json").read_text(encoding="utf-8"))["prices_cleared"]
