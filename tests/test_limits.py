"""Limits: the lowest price that keeps to one, on one population, and what another one says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import small_world

import nextbest
from agents.myopic import Myopic
from envs.errors import InputError
from envs.prices import Prices
from envs.world import save_world
from evaluation.limits import HOLDS, MISSED, OPEN, Limit, Search, check_price, lowest_price, parse_limit
from evaluation.simulation import Totals, simulate
from training.capacity_configs import LimitConfig
from training.limit import CHECKED, SEARCHED, KeptLimit, limit

WORLD = small_world()
CONFIG = LimitConfig(world="bank", limit="cost=1", lowest=0.0, customers=300, days=30, cadence_days=5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("world")
    save_world(WORLD, directory)
    return str(directory)


@pytest.fixture(scope="module")
def found(world: str, tmp_path_factory: pytest.TempPathFactory) -> KeptLimit:
    out = tmp_path_factory.mktemp("limit")
    return limit(CONFIG.model_copy(update={"world": world, "out": out}))


def totals(amount: np.ndarray, contacts: np.ndarray | None = None) -> Totals:
    """Customers with this much of everything that a limit can be set on."""
    nothing = np.zeros(len(amount))
    parts = dict.fromkeys(("margin", "conversions", "value"), nothing)
    parts |= dict.fromkeys(("cost", "annoyance", "opt_outs", "complaints"), amount)
    return Totals(**parts, contacts=amount if contacts is None else contacts, effort=np.zeros((len(amount), 0)))


def made_by(curve: Callable[[float], float], customers: int = 1000) -> Callable[[float], Totals]:
    """A policy whose customers cost so much at a price, each the same times own luck."""
    luck = np.random.default_rng(0).uniform(0.5, 1.5, customers)
    return lambda price: totals(curve(price) * luck / luck.mean())


@pytest.mark.parametrize(
    ("text", "quantity", "most", "per", "words"),
    [
        ("complaints=2/10k", "complaints", 2, 10_000, "complaints at most 2 per 10,000 contacts"),
        ("opt_outs = 5/1000", "opt_outs", 5, 1000, "opt-outs at most 5 per 1,000 contacts"),
        ("cost=3.5", "cost", 3.5, 1, "cost at most 3.5 per customer"),
        ("annoyance=1e-1", "annoyance", 0.1, 1, "annoyance at most 0.1 per customer"),
        ("Complaints=0.0002", "complaints", 0.0002, 1, "complaints at most 0.0002 per contact"),
    ],
)
def test_limits_are_read(text: str, quantity: str, most: float, per: float, words: str) -> None:
    said = parse_limit(text)
    assert (said.quantity, said.most, said.per, said.words) == (quantity, most, per, words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("complaints", "must read quantity=number"),
        ("anger=2/10k", "limit == 'anger', must be one of: annoyance, cost, contacts, opt_outs, complaints"),
        ("cost=-1", "must be a number >= 0"),
        ("cost=1/0", "per a number above 0"),
        ("cost=1e", "must hold numbers"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_limit(text)


def test_a_rate_is_a_ratio_of_sums() -> None:
    many = totals(np.array([1.0, 0, 0, 1]), np.array([10.0, 30, 0, 60]))
    assert Limit("complaints", 1, 100).measured(many).value == pytest.approx(2)
    assert Limit("cost", 1).measured(many).value == pytest.approx(0.5)
    assert Limit("complaints", 1, 100).measured(totals(np.zeros(3))).hi == 0  # nobody was contacted


def test_what_did_not_happen_may_happen_yet() -> None:
    """No complaint in 1,000 contacts: up to 3.69 for every 1,000 at 95 %; of many complaints customers tell more."""
    none = Limit("complaints", 1, 1000).measured(totals(np.zeros(100), np.full(100, 10.0)))
    assert (none.value, none.lo) == (0, 0)
    assert none.hi == pytest.approx(3.689, abs=1e-3)
    clustered = np.where(np.arange(100) % 10 == 0, 20.0, 0.0)
    many = Limit("complaints", 1, 1000).measured(totals(clustered, np.full(100, 10.0)))
    assert many.hi - many.value == pytest.approx(1.96 * 1000 * clustered.std(ddof=1) / 10 / 10, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 5.0), st.floats(0.05, 3.0))
def test_the_search_finds_the_crossing(most: float, slope: float) -> None:
    """Cost 4 exp(-slope price): the price found is the analytic one, to the last halving, from above."""
    search = Search(0.0, 20.0, steps=20, caution=0.0)
    measure = made_by(lambda price: 4.0 * np.exp(-slope * price))
    exact = max(0.0, float(np.log(4.0 / most) / slope))
    if exact > 20.0:
        with pytest.raises(InputError, match="the highest price the policy knows"):
            lowest_price(measure, Limit("cost", most), search)
        return
    price, tried = lowest_price(measure, Limit("cost", most), search)
    assert price == pytest.approx(exact, rel=1e-3, abs=1e-3)
    assert price >= exact - 1e-9
    assert [one for one in tried if one.price == price][-1].kept


def test_caution_asks_for_more() -> None:
    measure, told = made_by(lambda price: 4.0 / (1 + price)), Limit("cost", 1.0)
    bold, careful = (lowest_price(measure, told, Search(0.0, 20.0, 12, caution))[0] for caution in (0.0, 2.0))
    assert careful > bold


def test_a_policy_that_reads_no_price_is_told_so() -> None:
    with pytest.raises(InputError, match="policy that reads the price: from 0 to 20 nothing changes"):
        lowest_price(made_by(lambda price: 4.0), Limit("cost", 1.0), Search(0.0, 20.0))


@pytest.mark.parametrize(("most", "verdict"), [(9.0, HOLDS), (1.0, MISSED), (2.0, OPEN)])
def test_the_verdict_is_the_intervals(most: float, verdict: str) -> None:
    measure = made_by(lambda price: 2.0, customers=50)
    checked = check_price(measure, totals(np.zeros(50)), Limit("cost", most), 3.0, 1.0)
    assert checked.verdict == verdict
    assert checked.lost.value == 0


def test_the_verb_searches_on_some_and_checks_on_others(found: KeptLimit) -> None:
    told = parse_limit(CONFIG.limit)

    def at(first: int, price: float) -> Totals:
        numbers, prices = first + np.arange(CONFIG.customers), Prices(price, (0.5,))
        return simulate(WORLD, Myopic(WORLD), numbers, CONFIG.days, seed=0, prices=prices, cadence_days=5)

    price = found.checked.price
    kept = told.measured(at(SEARCHED, price))
    assert kept.value + kept.se <= told.most
    lower = max(row["price"] for row in found.frame.iter_rows(named=True) if not row["kept"])
    assert lower < price
    missed = told.measured(at(SEARCHED, lower))
    assert missed.value + missed.se > told.most
    other = at(CHECKED, price)
    assert found.checked.found.value == pytest.approx(told.measured(other).value)
    paired = other.profit - at(CHECKED, 2.0).profit
    assert found.checked.lost.value == pytest.approx(paired.mean())
    assert found.checked.usual == 2.0


def test_what_is_written_is_what_is_told(found: KeptLimit) -> None:
    stored = json.loads((found.directory / "limit.json").read_text(encoding="utf-8"))
    assert stored["checked"]["price"] == found.checked.price
    assert stored["verdict"] == found.checked.verdict
    text = str(found)
    for words in ("cost at most 1 per customer", "On other customers the limit", found.checked.verdict, "per customer"):
        assert words in text


def test_all_prices_can_be_scaled(world: str, tmp_path: Path) -> None:
    """The lever is then a factor of all of them, at most what takes the first price to the end of its range."""
    config = CONFIG.model_copy(update={"world": world, "lever": "all", "out": tmp_path, "steps": 3})
    scaled = limit(config)
    assert scaled.checked.usual == 1.0
    assert 0 < scaled.checked.price <= 4.0  # minutes cost .5 of at most 2
    assert "scale of all prices" in str(scaled)


def test_a_usual_price_that_keeps_to_the_limit_stays(world: str, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"world": world, "limit": "cost=100", "lowest": None, "out": tmp_path})
    kept = limit(config)
    assert kept.checked.price == kept.checked.usual == 2.0
    assert (len(kept.tried), kept.checked.lost.value) == (1, 0.0)
    assert "the usual price of annoyance, 2 EUR per opt-out, keeps to it" in str(kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": "cost=0"}, "must be at least"),
        ({"highest": 11.0}, "highest == 11.0, must be at most 10"),
        ({"lowest": 10.0}, "lowest == 10.0, must be below 10"),
        (
            {"lever": "all", "annoyance_price": 0.0, "pool_prices": {"minutes": 0.0}},
            "lever == 'all', must be annoyance",
        ),
        ({"policy": "silence", "limit": "annoyance=0"}, ""),
    ],
)
def test_impossible_limits_are_refused(world: str, change: dict[str, object], message: str, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"world": world, "steps": 2, "out": tmp_path, **change})
    if not message:  # silence keeps to every limit, at the lowest price
        assert limit(config).checked.price == 0
        return
    with pytest.raises(InputError, match=message):
        limit(config)


def test_the_command_line_says_why(world: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["limit", "--world", world, "--customers", "50", "--days", "10", "--out", str(tmp_path)]
    assert nextbest.run([*words, "--limit", "anger=2/10k"]) == 2
    assert "must be one of: annoyance, cost, contacts, opt_outs, complaints" in capsys.readouterr().err
    assert nextbest.run([*words, "--limit", "cost=5", "--steps", "2"]) == 0
    assert "cost at most 5 per customer" in capsys.readouterr().out
