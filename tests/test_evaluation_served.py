"""A policy is evaluated as it is served, by its own rules; where these are not the log's, the report says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_evaluation_report import QUICK, WIDTH, always, campaign

import evaluation
from envs.errors import InputError
from envs.rules import Cap, Rules
from envs.tables import Tables, read_tables
from envs.world import load_world
from evaluation.log import Log
from evaluation.reading import read_log
from evaluation.remask import Apart, Own, remasked
from training.configs import SimulateConfig
from training.simulate import simulate

RULES = load_world("bank").rules


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The bank, whose relationship managers call a day or two late."""
    place = tmp_path_factory.mktemp("served") / "tables"
    simulate(SimulateConfig(customers=250, days=63, randomised_share=0.6, out=place))
    return read_tables(place)


@pytest.fixture(scope="module")
def log(tables: Tables) -> Log:
    return read_log(tables, "all", "randomised")


def test_the_rules_of_the_log_give_its_masks_again(tables: Tables, log: Log) -> None:
    """From profiles, decisions and events alone, bit for bit, contacts that wait among them."""
    assert tables.catalogue.delays.any()
    np.testing.assert_array_equal(remasked(tables, RULES, log), log.mask)


def test_tighter_rules_close_and_looser_ones_open(tables: Tables, log: Log) -> None:
    tighter = RULES.model_copy(update={"caps": (*RULES.caps, Cap(name="none", most=0, days=7))})
    mask = remasked(tables, tighter, log)
    assert mask[:, 0].all()
    assert (mask <= log.mask).all()
    assert mask[:, 1:].mean() < 0.5 * log.mask[:, 1:].mean()  # what serves, and who comes in, no cap closes
    said = Apart.of(log, mask).served("p", 1.0, 0.02, "digest", len(log))
    assert said.apart == (mask != log.mask).any(axis=1).mean() > 0.3
    assert said.opened == 0
    assert 0.1 < said.closed < (log.treatment > 0).mean()
    looser = remasked(tables, Rules(), log)
    assert Apart.of(log, looser).opened > 0.5 * len(log)
    assert (looser >= log.mask).mean() > 0.999


def own(mask: np.ndarray) -> Own:
    return Own(0.5, 0.02, "r" * 64, mask)


def eager(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Treatment 1 wherever it may."""
    return np.eye(WIDTH)[mask[:, 1].astype(int)]


def test_a_policy_decides_under_its_own_rules_and_what_they_open_counts_as_untried() -> None:
    log = campaign(600, 1, 1)
    shut = log.mask.copy()
    shut[::2, 1] = False
    half = evaluation.evaluate(log, {"offer": eager}, rules={"offer": own(shut)}, settings=QUICK)
    assert half.mix[1][1] == pytest.approx(0.5)
    assert half.supports[1].untried == 0
    assert "under its own rules" in half.to_html()
    assert half.to_dict()["served"][0]["apart"] == pytest.approx(0.5)

    narrow = replace(log, mask=shut | (np.arange(WIDTH) == log.treatment[:, None]))
    wide = evaluation.evaluate(narrow, {"offer": eager}, rules={"offer": own(log.mask)}, settings=QUICK)
    assert wide.mix[1][1] == 1
    assert wide.supports[1].untried == pytest.approx((~narrow.mask[:, 1]).mean())


def test_the_same_rules_are_stated_without_a_warning() -> None:
    log = campaign(300, 1, 1)
    report = evaluation.evaluate(log, {"offer": always(1)}, rules={"offer": own(log.mask)}, settings=QUICK)
    page = report.to_html()
    assert "under its own rules" not in page
    assert "temperature 0.5, floor 0.02" in page


def test_rules_of_a_policy_that_is_not_there_are_refused() -> None:
    log = campaign(100, 1, 1)
    with pytest.raises(InputError, match=r"rules.*nobody"):
        evaluation.evaluate(log, {"offer": always(1)}, rules={"nobody": own(log.mask)}, settings=QUICK)
