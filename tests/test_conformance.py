"""The conformance test: what is right passes, and each flaw is found by the check that is there for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import polars as pl
import pytest
from conformance_kit import Kiosk, Row
from gymnasium.vector import AutoresetMode
from world_kit import FINITE, named, small_world

import envs
import envs.conformance_checks as checks
from agents.sb3_env import SimulatorVecEnv
from envs.conformance import check_agreement, check_environment, check_face, check_vector_environment
from envs.conformance_checks import Check, Course
from envs.conformance_faces import Nonconformance, SingleFace, Told
from envs.environment import BankEnv
from envs.multi_objective import MOBankEnv, MOBankVectorEnv
from envs.population import TablePopulation
from envs.vector import BankVectorEnv
from envs.world import World, load_world, save_world

assert envs.__doc__  # importing the package registers the environments
CHURN = {"link": "rate", "given": "always", "terms": named({"1": -2.0})}
OPTIONS: dict[str, dict[str, Any]] = {
    "churning": {"world": small_world(churned=CHURN), "horizon": 4},
    "finite": {"world": small_world(FINITE)},
    "strict": {"world": small_world(), "horizon": 4, "strict": True, "random_prices": True, "first_customer": 7},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_worlds_conform_alone_in_a_batch_and_to_each_other(options: dict[str, Any]) -> None:
    check_environment(lambda: BankEnv(**options), steps=8)
    check_vector_environment(lambda rows: BankVectorEnv(rows, **options), steps=8)
    check_agreement(lambda: BankEnv(**options), lambda rows: BankVectorEnv(rows, **options))


def test_the_bank_conforms_as_it_is_made() -> None:
    options = {"world": load_world("bank"), "horizon": 4}
    check_environment(lambda: gymnasium.make("nextbest/Bank-v0", **options), steps=6)
    check_vector_environment(lambda rows: gymnasium.make_vec("nextbest/Bank-v0", num_envs=rows, **options), steps=6)
    check_agreement(
        lambda: gymnasium.make("nextbest/Bank-v0", **options),
        lambda rows: gymnasium.make_vec("nextbest/Bank-v0", num_envs=rows, **options),
    )


def test_a_world_with_a_table_of_customers_conforms(tmp_path: Path) -> None:
    """The form that calibration writes: customers.parquet in the place of a described population."""
    world = small_world(FINITE)
    people = world.population.sample(np.arange(40), seed=3).with_columns(holds_loan=pl.Series([True, False] * 20))
    save_world(
        World(world.catalogue, world.schema, world.rules, world.coefficients, TablePopulation(people, world.schema)),
        tmp_path,
    )
    options = {"world": load_world(tmp_path)}
    check_environment(lambda: gymnasium.make("nextbest/World-v0", **options), steps=7)
    check_vector_environment(lambda rows: gymnasium.make_vec("nextbest/World-v0", num_envs=rows, **options), steps=7)


def test_vector_rewards_conform() -> None:
    options: dict[str, Any] = {**OPTIONS["churning"], "pools": True}
    check_environment(lambda: MOBankEnv(**options), steps=8)
    check_vector_environment(lambda rows: MOBankVectorEnv(rows, **options), steps=8)
    check_agreement(lambda: MOBankEnv(**options), lambda rows: MOBankVectorEnv(rows, **options))


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_gymnasiums_own_vector_environment_of_ours_conforms(mode: AutoresetMode) -> None:
    options = OPTIONS["churning"]

    def several(rows: int) -> gymnasium.vector.SyncVectorEnv:
        return gymnasium.vector.SyncVectorEnv([lambda: BankEnv(**options)] * rows, autoreset_mode=mode)

    check_vector_environment(several, steps=8)
    check_agreement(lambda: BankEnv(**options), several)


class SB3Face:
    """Stable-baselines3's vector environment, told like the others."""

    def __init__(self, env: SimulatorVecEnv) -> None:
        self.env, self.observation_space = env, env.observation_space

    def reset(self, seed: int | None) -> Told:
        self.env.seed(seed)
        seen, nothing = self.env.reset(), np.zeros(self.env.num_envs)
        return Told(seen, self.masks(), nothing, nothing > 0, nothing > 0, {}, {"observation": seen})

    def step(self, actions: np.ndarray) -> Told:
        self.env.step_async(actions)
        seen, reward, done, infos = self.env.step_wait()
        cut = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        last = {row: info["terminal_observation"] for row, info in enumerate(infos) if done[row]}
        handed = {"observation": seen, "reward": reward, "done": done}
        handed |= {f"terminal_observation.{row}": end for row, end in last.items()}
        return Told(seen, self.masks(), reward, done & ~cut, cut, last, handed)

    def masks(self) -> np.ndarray:
        return self.env.action_masks()

    def frames(self) -> None:
        return None


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_face_for_stable_baselines_conforms(options: dict[str, Any]) -> None:
    check_face(lambda: SB3Face(SimulatorVecEnv([BankVectorEnv(2, **options), BankVectorEnv(1, **options)])), steps=8)


def test_a_third_environment_conforms() -> None:
    check_environment(lambda: Kiosk(render_mode="rgb_array"))
    check_environment(lambda: Kiosk("refuses"))
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        check_vector_environment(lambda rows, mode=mode: Row(rows, mode=mode))
        check_agreement(Kiosk, lambda rows, mode=mode: Row(rows, mode=mode))


@pytest.mark.parametrize(
    ("flaw", "said"),
    {
        "unbounded": "spaces: a field of the observation has no bounds",
        "counts from one": "spaces: treatments are counted from 1",
        "wide": "contract: .* float64",
        "outside": "contract: reset.* outside its space",
        "no mask": "contract: info.'action_mask'",
        "int mask": "contract: info.'action_mask'",
        "no number": "contract: the reward is nan",
        "counts ends": "contract: terminated is a int",
        "no silence": "masks: silence is not allowed",
        "old masks": "masks: action_masks.. is not info",
        "no rules": "masks: nothing was ever masked",
        "goes ahead": "masks: a masked treatment is neither silence nor refused",
        "counts refusals": "masks: a refusal changed the mask",
        "deaf to seeds": "seeds: the same seed in a new environment",
        "leftovers": "seeds: the same seed in the same environment",
        "one seed": "seeds: another seed is the same play",
        "starts again": "seeds: a reset without a seed plays the last one again",
        "fresh luck": "seeds: ",
        "global luck": "seeds: global random numbers are",
        "crowd": "seeds: ",
        "ends both ways": "ends: an episode is both terminated and truncated",
        "never ends": "ends: no episode ended within 40 steps",
        "annoyance is free": "reward: the reward .* is not its parts'",
        "one buffer": "arrays: observation of step 0 has changed since",
        "one mask": "arrays: info.action_mask shares memory with info.action_mask of step",
        "bare state": "arrays: scribbling",
        "bare mask": "arrays: scribbling",
        "real colours": "pictures: a picture must be .* uint8",
        "one canvas": "pictures: two pictures share memory",
        "draws luck": "pictures: drawing changes what comes",
    }.items(),
)
def test_every_flaw_of_a_single_environment_is_found(flaw: str, said: str) -> None:
    with pytest.raises(Nonconformance, match=said):
        check_environment(lambda: Kiosk(flaw, render_mode="rgb_array"))


@pytest.mark.parametrize(
    ("flaw", "said"),
    {
        "no mode": "batch: metadata.'autoreset_mode'. is None",
        "not batched": "batch: observation_space is not single_observation_space, 3 times",
        "fewer rows": "batch: num_envs is 2, 3 were asked for",
        "column of rewards": r"contract: rewards must be \(3,\) floats",
        "no final_obs": "autoreset: info lacks 'final_obs'",
        "always final": "autoreset: info tells final_obs though nothing ended",
        "everybody ended": "autoreset: info.'_final_obs'. does not name the rows that ended",
        "no last mask": "autoreset: .* lacks the last action_mask",
        "the next one's": "autoreset: the observation returned after an end is the last one",
        "still the last": "autoreset: the observation returned after an end is the last one",
        "rows mix": "rows apart: ",
        "one reward": "arrays: reward of step 1 has changed since",
        "keeps actions": "arrays: scribbling",
    }.items(),
)
def test_every_flaw_of_a_vector_environment_is_found(flaw: str, said: str) -> None:
    with pytest.raises(Nonconformance, match=said):
        check_vector_environment(lambda rows: Row(rows, flaw))


def test_a_reset_that_pays_is_found() -> None:
    with pytest.raises(Nonconformance, match=r"autoreset: the step after an end has a reward|reward: "):
        check_vector_environment(lambda rows: Row(rows, "pays at a reset", AutoresetMode.NEXT_STEP))


@pytest.mark.parametrize("flaw", ["other seeds", "the next one's"])
def test_a_batch_that_goes_its_own_way_is_found(flaw: str) -> None:
    with pytest.raises(Nonconformance, match="agreement: "):
        check_agreement(Kiosk, lambda rows: Row(rows, flaw))


def test_an_end_that_never_comes_is_not_taken_for_agreement() -> None:
    with pytest.raises(Nonconformance, match="agreement: no episode ended within 40 steps"):
        check_agreement(lambda: Kiosk("never ends"), lambda rows: gymnasium.vector.SyncVectorEnv([_endless] * rows))


def _endless() -> Kiosk:
    return Kiosk("never ends")


ALONE: dict[Check, str] = {
    checks.says_what_it_should: "outside",
    checks.allows_silence: "no silence",
    checks.repeats_a_seed: "deaf to seeds",
    checks.continues_the_stream: "fresh luck",
    checks.keeps_its_luck_to_itself: "global luck",
    checks.ends_one_way: "never ends",
    checks.adds_up: "annoyance is free",
    checks.hands_out_new_arrays: "one buffer",
    checks.lets_go_of_arrays: "bare state",
    checks.blocks_what_is_masked: "goes ahead",
    checks.draws_without_touching: "one canvas",
}


def test_every_check_is_tried_alone() -> None:
    assert set(ALONE) == set(checks.COMMON)


@pytest.mark.parametrize(("check", "flaw"), ALONE.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_a_check_alone_finds_its_flaw_and_passes_without_it(check: Check, flaw: str) -> None:
    check(Course(lambda: SingleFace(Kiosk(render_mode="rgb_array")), 0, 40))
    with pytest.raises(Nonconformance):
        check(Course(lambda: SingleFace(Kiosk(flaw, render_mode="rgb_array")), 0, 40))


def test_checks_that_do_not_apply_can_be_left_out() -> None:
    check_face(lambda: SingleFace(Kiosk("never ends")), without=[checks.ends_one_way])
    check_face(lambda: SingleFace(Kiosk("no rules")), without=[checks.blocks_what_is_masked])
