"""A region's market on the bank: scarce pools are used and never exceeded, by the policy's own demand."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agents.baselines import Scored, Silence
from agents.clearing import DEFAULT_RULE
from agents.manifest import Manifest
from agents.policy import softened
from envs.catalogue import Pool
from envs.errors import InputError
from envs.prices import Prices, price_of
from envs.world import World, load_world
from evaluation.market import Clearing, price_limits
from evaluation.pooled import run_pooled
from evaluation.population_report import PopulationReport
from evaluation.region import PooledSetting

BANK = load_world("bank")
WIDE = {"annoyance": (0, 1000), "agents": (0, 5), "advisers": (0, 3.0), "counters": (0, 1)}  # of a manifest


@dataclass(frozen=True)
class Asking(Scored):
    """Asks for people whose minutes are worth more than they cost; what they are worth is a customer's own taste."""

    world: World
    worth: float = 5.0  # of a minute, at most
    temperature: float = 0.0
    name: str = "asking"

    def scores(self, observation: np.ndarray) -> np.ndarray:
        encoder, catalogue = self.world.encoder, self.world.catalogue
        columns = list(encoder.price_columns.values())
        prices = price_of(observation[:, columns].astype(np.float64), encoder.price_highs)
        taste = np.mod(np.sqrt(2) * observation[:, :40].astype(np.float64).sum(axis=1, keepdims=True), 1) ** 3
        worth = 10.0 + (self.worth * taste * np.ones(3) - prices[:, 1:]) @ catalogue.effort.T
        worth[:, 0] = 10.0
        return np.asarray(worth)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if not self.temperature:
            return super().probabilities(observation, mask)
        return softened(self.scores(observation), mask, self.temperature, 0.0)


SCARCE = PooledSetting(BANK, Asking(BANK), np.arange(3000), 6, share=0.5, clearing=Clearing())


def used(days: pl.DataFrame, pool: str) -> np.ndarray:
    some = days.filter(pool=pool)
    return (some["granted"] / some["capacity"]).to_numpy()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scarce_pools_are_used_and_never_exceeded(temperature: float) -> None:
    run = run_pooled(replace(SCARCE, policy=Asking(BANK, temperature=temperature)))
    assert (run.days["granted"] <= run.days["capacity"] + 1e-6).all()
    agents = run.days.filter(pool="agents")
    assert (agents["price"] > 0).all()
    assert used(run.days, "agents").mean() >= 0.95
    refused = agents["refused"].sum() / agents["capacity"].sum()
    without = run_pooled(replace(SCARCE, clearing=None)).days.filter(pool="agents")
    assert refused < 0.5 * without["refused"].sum() / without["capacity"].sum()


def test_prices_are_nothing_where_there_is_enough() -> None:
    run = run_pooled(replace(SCARCE, share=1e5, days=2))
    assert (run.days["price"] == 0).all()
    assert not run.days["short"].any()


def test_nobody_asks_and_nothing_costs() -> None:
    run = run_pooled(replace(SCARCE, policy=Silence(), days=3, prices=Prices(20.0, (4.0, 4.0, 4.0))))
    assert (run.days["price"] == 0).all()
    assert (run.days["expected"] == 0).all()


def test_more_capacity_lowers_the_price() -> None:
    prices = [
        run_pooled(replace(SCARCE, share=share, days=2)).days.filter(pool="agents")["price"].mean()
        for share in (0.25, 1.0, 4.0)
    ]
    assert prices[0] >= prices[1] - 0.05
    assert prices[1] >= prices[2] - 0.05
    assert prices[0] > prices[2]


def test_a_pool_that_does_not_clear_at_the_top_is_told() -> None:
    """Minutes worth 50 CNY, of which there are few: more is asked for than there is, whatever they cost."""
    run = run_pooled(replace(SCARCE, policy=Asking(BANK, worth=50.0), share=0.05, days=2))
    lacking = run.days.filter("short")
    assert lacking.height > 0
    assert lacking["price"].to_numpy() == pytest.approx(BANK.encoder.price_highs[1])
    assert (lacking["expected"] > lacking["capacity"] * (1 + DEFAULT_RULE.tolerance)).all()


def test_a_stock_lasts_until_the_last_day() -> None:
    """A budget of agents' minutes for six days: about as much is used on each of them, and hardly anything is left."""
    stock = Pool(id="agents", unit="minutes", capacity=6 * 900, stock=True)
    catalogue = BANK.catalogue.model_copy(update={"pools": (stock, *BANK.catalogue.pools[1:])})
    run = run_pooled(replace(SCARCE, world=replace(BANK, catalogue=catalogue)))
    agents = run.days.filter(pool="agents")
    total = agents["offered"].sum()
    assert agents["granted"].sum() <= total + 1e-6
    assert agents["granted"].sum() >= 0.9 * total
    assert agents["granted"].max() <= 2.5 * total / 6
    free = run_pooled(replace(SCARCE, world=replace(BANK, catalogue=catalogue), clearing=None)).days
    assert free.filter(pool="agents")["granted"][0] > agents["granted"].max()


def test_a_sample_of_the_customers_says_nearly_the_same() -> None:
    whole = run_pooled(replace(SCARCE, days=2)).days.filter(pool="agents")
    some = run_pooled(replace(SCARCE, days=2, clearing=Clearing(most=1500))).days.filter(pool="agents")
    np.testing.assert_allclose(some["price"], whole["price"], rtol=0.3)


def test_the_range_is_the_policys_own() -> None:
    class Trained(Silence):
        manifest = Manifest.model_construct(price_range=WIDE | {"agents": (0.5, 2.0)})

    low, high = price_limits(Trained(), BANK)
    np.testing.assert_allclose(low, [0.5, 0, 0])
    np.testing.assert_allclose(high, [2, 3, 1])
    np.testing.assert_allclose(price_limits(Silence(), BANK)[1], BANK.encoder.price_highs[1:])
    run = run_pooled(replace(SCARCE, policy=Trained(), days=1))
    assert run.days["price"].to_list() == [0.5, 0, 0]


def test_a_policy_of_one_price_cannot_be_cleared() -> None:
    class Narrow(Silence):
        manifest = Manifest.model_construct(price_range=WIDE | {"agents": (0, 0)})

    with pytest.raises(InputError, match="must leave room for a price that clears"):
        run_pooled(replace(SCARCE, policy=Narrow()))


@pytest.mark.slow
def test_processes_change_nothing_where_prices_are_cleared() -> None:
    setting = replace(SCARCE, by="region", days=3)
    one, two = run_pooled(setting), run_pooled(setting, processes=2)
    assert_frame_equal(one.days, two.days)


def test_the_report_tells_the_price_path() -> None:
    """Prices stand in frames, sentences, JSON and page; without clearing nothing is said of them."""
    report = PopulationReport(run_pooled(replace(SCARCE, by="region", days=2, customers=np.arange(800))), "bank")
    for row in report.pools.iter_rows(named=True):
        days = report.run.days.filter(pool=row["pool"])
        assert row["price_low"] == days["price"].min()
        assert row["price_high"] == days["price"].max()
        weighted = (days["price"] * days["capacity"]).sum() / days["capacity"].sum()
        assert row["price"] == pytest.approx(weighted)
    texts = report.texts()
    told = json.loads(texts["population.json"])
    assert told["prices_cleared"]
    assert [row["price"] for row in told["pool_days"]] == pytest.approx(report.bank_days["price"].to_list())
    assert "Prices by day" in texts["population.html"]
    assert "price was" in report.sentences[0]
    without = PopulationReport(run_pooled(replace(report.run.setting, clearing=None, days=1)), "bank")
    assert "Prices by day" not in without.to_html()
    assert "price was" not in without.sentences[0]
    assert without.bank_days["expected"].null_count() == without.bank_days.height


def test_annoyance_is_priced_within_the_policys_range() -> None:
    class Trained(Silence):
        manifest = Manifest.model_construct(price_range=WIDE | {"annoyance": (5.0, 50.0)})

    with pytest.raises(InputError, match=r"prices.annoyance == 60.0, must be in \[5, 50\]"):
        run_pooled(replace(SCARCE, policy=Trained(), prices=Prices(60.0, (0.0, 0.0, 0.0))))
