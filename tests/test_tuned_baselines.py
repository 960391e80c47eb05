"""One call tunes them all: the same budget for each, on customers of their own, in any world."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import training
from agents.silos import RHYTHM, scaled
from envs.errors import InputError
from envs.world import load_world
from evaluation.frontier import equal_annoyance
from evaluation.trial import Trial
from training.configs import SimulateConfig
from training.families import BUDGETS
from training.simulate import simulate
from training.tuned import NAMES, BaselinesConfig, TunedBaselines, tuned_baselines

CHEAP = ("coordinated_rules", "coordinated_tuned", "silos_tuned")


@lru_cache(maxsize=1)
def tuned() -> TunedBaselines:
    return tuned_baselines(BaselinesConfig(names=CHEAP, customer_days=52_000, days=10))


def test_every_baseline_has_the_same_budget_and_keeps_it() -> None:
    frame = tuned().frame
    assert frame["baseline"].to_list() == [*CHEAP]
    assert ((frame["learning_days"] + frame["tuning_days"]) <= 52_000).all()
    assert (frame["tuning_days"] > 0.45 * 52_000).all()
    learns = dict(zip(frame["baseline"], frame["learning_days"], strict=True))
    assert learns["coordinated_tuned"] == 0
    assert 0 < learns["silos_tuned"] <= 0.25 * 52_000
    assert "baseline" in tuned()._repr_html_()


@pytest.mark.slow
def test_the_yardstick_gains_more_than_the_frozen_rules() -> None:
    """On other customers, at the annoyance of the rules."""
    names = ("coordinated_rules", "clairvoyant")
    found = tuned_baselines(BaselinesConfig(names=names, customer_days=100_000, days=10))
    trial = Trial(load_world("bank"), np.arange(2000), 10)
    frozen, better = (found.frontiers[name].measured(trial) for name in names)
    assert equal_annoyance(better, frozen, frozen.frontier.reach).difference.lo > 0


def test_silos_stay_silos_whatever_is_tuned() -> None:
    world = load_world("bank")
    frontier = tuned().frontiers["silos_tuned"]
    trial = Trial(world, np.arange(200), 3)
    assert len(frontier.corners) > 1
    for corner in frontier.corners[1:]:
        assert corner.cadence_days == 1
        assert corner.rules is not None
        assert corner.rules != world.rules
        trial.run(corner)
    louder = scaled(RHYTHM, world.catalogue, 10.0, 2.0, 0.5)
    assert louder["app_push"] == ((0, 3), 1.0)
    assert louder["human_call"][1] == 2 * RHYTHM["human_call"][1]
    assert louder["in_app"][1] == 0.5 * RHYTHM["in_app"][1]


@pytest.mark.slow
def test_the_exact_world_is_tuned_as_well_without_silos(tmp_path: Path) -> None:
    """A finite task without a calendar; what is learned comes from tables."""
    tables = tmp_path / "tables"
    simulate(SimulateConfig(world="exact", customers=600, out=tables, test_share=0.1))
    names = ("silos_tuned", "best_fixed", "propensity_margin", "clairvoyant")
    config = BaselinesConfig(world="exact", tables=tables, names=names, customer_days=500_000)
    found = training.tuned_baselines(config)
    assert list(found.frontiers) == ["best_fixed", "propensity_margin", "clairvoyant"]
    assert found.chosen[0].name == "signing"
    assert found.tuned["propensity_margin"].learning_days > 10_000
    assert found.frontiers["clairvoyant"].gain[-1] > found.frontiers["best_fixed"].gain[-1]


def test_too_small_a_budget_and_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"customer-days for clairvoyant == 5000, must be at least"):
        tuned_baselines(BaselinesConfig(names=("clairvoyant",), customer_days=5000))
    with pytest.raises(ValueError, match="names"):
        BaselinesConfig(names=("astrology",))


def test_the_guide_tells_of_every_baseline() -> None:
    guide = (Path(__file__).resolve().parent.parent / "docs" / "baselines.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if not re.search(rf"`{name}`", guide)] == []
    assert str(BUDGETS[0]) in guide


@pytest.mark.slow
def test_the_guides_example_runs() -> None:
    root = Path(__file__).resolve().parent.parent
    guide = (root / "docs" / "baselines.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("Interval(value=")
