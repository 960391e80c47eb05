"""The bank as a citizen of Gymnasium: ids, infos as its own vector environments tell them, options, wrappers, masks."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from world_kit import FINITE, named, small_world

import envs
from envs.environment import BankEnv
from envs.errors import InputError
from envs.multi_objective import MOBankEnv, MOBankVectorEnv
from envs.registration import WORLDS, register_worlds
from envs.vector import BankVectorEnv
from envs.world import save_world

assert envs.__doc__  # importing the package registers the environments
CHURN = {"link": "rate", "given": "always", "terms": named({"1": -2.0})}
NO_CHURN: dict[str, Any] = {"churned": None, "churned_value": None}


def test_every_world_has_its_ids() -> None:
    names = {file.parent.name.title().replace("_", "") for file in WORLDS.glob("*/catalogue.yaml")}
    assert "Bank" in names
    ours = {spec.name for spec in gymnasium.registry.values() if spec.namespace == "nextbest"}
    assert ours == {prefix + name for name in (*names, "World") for prefix in ("", "MO")}


@pytest.mark.parametrize(
    ("name", "single", "several"),
    [("Bank", BankEnv, BankVectorEnv), ("MOBank", MOBankEnv, MOBankVectorEnv)],
)
def test_make_and_make_vec_give_the_native_environments(name: str, single: type, several: type) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(f"nextbest/{name}-v0", horizon=2)
        batch = gymnasium.make_vec(f"nextbest/{name}-v0", num_envs=3, horizon=2)
        for made in (env, batch):
            made.reset(seed=0)
            made.step(made.action_space.sample())
    assert type(env.unwrapped) is single
    assert type(batch.unwrapped) is several
    assert batch.single_observation_space == env.observation_space
    again = gymnasium.make(env.spec)
    assert type(again.unwrapped) is single
    assert again.unwrapped.terms.horizon == 2


def test_a_fresh_process_needs_no_import_of_ours() -> None:
    code = (
        "import gymnasium\n"
        "env = gymnasium.make('envs:nextbest/Bank-v0', horizon=3)\n"
        "batch = gymnasium.make_vec('envs:nextbest/Bank-v0', num_envs=2)\n"
        "print(env.reset(seed=0)[0].shape == batch.reset(seed=0)[0].shape[1:])"
    )
    root = Path(envs.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_any_directory_with_a_world_can_be_made_and_a_folder_of_them_registered(tmp_path: Path) -> None:
    save_world(small_world(), tmp_path / "two_shops")
    env = gymnasium.make("nextbest/World-v0", world=tmp_path / "two_shops")
    assert env.action_space.n == 7
    with pytest.raises(InputError, match="world, must be given"):
        gymnasium.make("nextbest/World-v0")
    shutil.copytree(WORLDS / "bank", tmp_path / "bank")
    known = dict(gymnasium.registry)
    try:
        for spec in [name for name in gymnasium.registry if name.startswith("nextbest/")]:
            del gymnasium.registry[spec]
        register_worlds(tmp_path)
        assert gymnasium.spec("nextbest/TwoShops-v0").kwargs == {"world": "two_shops"}
        assert gymnasium.spec("nextbest/MOBank-v0").kwargs == {"world": "bank"}
    finally:
        gymnasium.registry.clear()
        gymnasium.registry.update(known)


def test_infos_are_those_of_gymnasiums_own_vector_environment() -> None:
    """Keys, kinds and shapes at resets, steps and ends; at the top level ours says more of the rows that ended."""
    options: dict[str, Any] = {"world": small_world(churned=CHURN), "horizon": 4}
    theirs = SyncVectorEnv([lambda: BankEnv(**options)] * 5, autoreset_mode=AutoresetMode.SAME_STEP)
    ours = BankVectorEnv(5, **options)
    a, b = theirs.reset(seed=0)[1], ours.reset(seed=0)[1]
    ends = 0
    for _ in range(9):
        assert kinds(a) == kinds(b)
        *_, te, tr, a = theirs.step(np.zeros(5, int))
        *_, te, tr, b = ours.step(np.zeros(5, int))
        ended = te | tr
        if "final_obs" in a and "final_obs" in b:
            ends += 1
        else:  # not the same luck in every row, so not the same rows end
            a, b = ({k: v for k, v in told.items() if "final" not in k} for told in (a, b))
        if ended.any() and "final_info" in b:
            for key in ("reward_vector", "effort", "prices"):
                np.testing.assert_array_equal(b["final_info"][key][ended], b[key][ended])
                assert not b["final_info"][key][~ended].any()
    assert ends > 0


def kinds(info: dict[str, Any]) -> dict[str, Any]:
    """Kind and shape of everything in an info."""
    return {k: kinds(v) if isinstance(v, dict) else (v.dtype.kind, v.shape) for k, v in info.items()}


def test_gymnasiums_vector_wrappers_work_on_the_batch() -> None:
    options: dict[str, Any] = {"world": small_world(**NO_CHURN), "horizon": 3}
    plain = gymnasium.make_vec("nextbest/Bank-v0", num_envs=4, **options)
    wrapped: Any = gymnasium.wrappers.vector.DictInfoToList(
        gymnasium.wrappers.vector.RecordEpisodeStatistics(gymnasium.make_vec("nextbest/Bank-v0", num_envs=4, **options))
    )
    plain.reset(seed=1)
    wrapped.reset(seed=1)
    total = np.zeros(4)
    for step in range(3):
        total += plain.step(np.full(4, 1))[1]
        *_, infos = wrapped.step(np.full(4, 1))
        assert [("episode" in info, "final_obs" in info) for info in infos] == [(step == 2, step == 2)] * 4
    np.testing.assert_allclose([info["episode"]["r"] for info in infos], total, rtol=1e-6)
    assert {info["episode"]["l"] for info in infos} == {3}
    assert set(infos[0]["final_info"]) == {"action_mask", "reward_vector", "effort", "prices", "blocked_by"}


def test_a_batch_names_the_rules_in_the_way_row_by_row() -> None:
    batch = BankVectorEnv(40, small_world(**NO_CHURN))
    _, info = batch.reset(seed=0)
    wish = np.full(40, 4)  # a call for a fund, which is not for the cautious
    *_, told = batch.step(wish)
    blocked = ~info["action_mask"][:, 4]
    assert 0 < blocked.sum() < 40
    assert [bool(rules) for rules in told["blocked_by"]] == blocked.tolist()
    assert {rules for rules in told["blocked_by"] if rules} == {("suitability",)}


def test_a_strict_batch_refuses_and_stays_where_it_was() -> None:
    batch = BankVectorEnv(40, small_world(**NO_CHURN), strict=True)
    seen, info = batch.reset(seed=0)
    row = int(np.argmin(info["action_mask"][:, 4]))
    with pytest.raises(InputError, match=rf"'call-fund' \(row {row}\), must be allowed; blocked by: suitability"):
        batch.step(np.full(40, 4))
    np.testing.assert_array_equal(batch.simulator.view().observation, seen)
    batch.step(np.where(info["action_mask"][:, 4], 4, 0))


def test_every_row_lives_as_the_single_environment_of_its_customer() -> None:
    options: dict[str, Any] = {"world": small_world(**NO_CHURN), "horizon": 5}
    batch = BankVectorEnv(4, **options, first_customer=100)
    alone = [BankEnv(**options, first_customer=100 + row) for row in range(4)]
    seen, info = batch.reset(seed=8)
    for row, env in enumerate(alone):
        np.testing.assert_array_equal(env.reset(seed=8)[0], seen[row])
    for step in range(4):
        actions = np.array([np.flatnonzero(mask)[step % mask.sum()] for mask in info["action_mask"]])
        seen, reward, *_, info = batch.step(actions)
        for row, env in enumerate(alone):
            one, pay, *_, told = env.step(actions[row])
            np.testing.assert_array_equal(one, seen[row])
            assert pay == reward[row]
            np.testing.assert_array_equal(told["action_mask"], info["action_mask"][row])


@pytest.mark.parametrize(("make", "silence"), [(BankEnv, 0), (BankVectorEnv, np.zeros(1))], ids=["single", "batch"])
def test_options_of_a_reset_hold_until_the_next(make: Any, silence: Any) -> None:
    world = small_world()
    env, usual = make(world=world), make(world=world)
    other = make(world=world, first_customer=17, prices={"annoyance": 7.0})
    told = env.reset(seed=3, options={"first_customer": 17, "prices": {"annoyance": 7.0}})[0]
    np.testing.assert_array_equal(told, other.reset(seed=3)[0])
    assert np.ravel(env.step(silence)[4]["prices"]).tolist() == [7.0, 0.5]
    np.testing.assert_array_equal(env.reset(seed=3, options={})[0], usual.reset(seed=3)[0])
    assert np.ravel(env.step(silence)[4]["prices"]).tolist() == [2.0, 0.5]


@pytest.mark.parametrize("make", [BankEnv, BankVectorEnv])
def test_a_refused_reset_changes_nothing(make: Any) -> None:
    env, twin = make(world=small_world()), make(world=small_world())
    env.reset(seed=3)
    twin.reset(seed=3)
    for wrong, said in (
        ({"customer": 1}, "options == 'customer', must be one of: first_customer, prices"),
        ({"prices": {"gold": 1.0}}, "prices == 'gold', must be one of: annoyance, minutes"),
    ):
        with pytest.raises(InputError, match=said):
            env.reset(seed=9, options=wrong)
    np.testing.assert_array_equal(env.reset()[0], twin.reset()[0])


def test_what_makes_no_sense_is_refused_at_the_door() -> None:
    world = small_world()
    for options, said in (
        ({"num_envs": 0}, "num_envs == 0, must be at least 1"),
        ({"num_envs": 2, "render_customer": 2}, "render_customer == 2, must be from 0 to 1"),
        ({"num_envs": 2, "cadence_days": 0}, "cadence_days == 0, must be at least 1 day"),
        ({"num_envs": 2, "render_mode": "ansi"}, "render_mode == 'ansi', must be one of: human, rgb_array, or None"),
    ):
        with pytest.raises(InputError, match=said):
            BankVectorEnv(world=world, **options)
    batch = BankVectorEnv(3, world)
    with pytest.raises(InputError, match=r"seed == \[1, 2, 3\], must be one int"):
        batch.reset(seed=[1, 2, 3])  # type: ignore[arg-type]
    batch.reset(seed=0)
    with pytest.raises(InputError, match="actions == 2, must hold 3 actions, one per row"):
        batch.step(np.zeros(2, int))
    env = BankEnv(world)
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"action == 1\.5, must be a position from 0 to 6"):
        env.step(1.5)  # type: ignore[arg-type]


def test_nothing_is_stepped_before_a_reset_or_after_an_end() -> None:
    env, batch = BankEnv(small_world(FINITE, **NO_CHURN)), BankVectorEnv(2, small_world())
    for early in (lambda: env.step(np.int64(0)), env.action_masks, lambda: batch.step(np.zeros(2)), batch.action_masks):
        with pytest.raises(gymnasium.error.ResetNeeded, match=r"call reset\(\) first"):
            early()
    env.reset(seed=0)
    assert [env.step(np.int64(0))[2] for _ in range(3)] == [False, False, True]
    with pytest.raises(gymnasium.error.ResetNeeded, match="has ended"):
        env.step(np.int64(0))
    assert env.action_masks().shape == (7,)  # of the last observation
    env.reset()
    env.step(np.int64(0))


def test_stable_baselines_finds_the_masks_of_a_made_environment_and_trains_with_them() -> None:
    from sb3_contrib import MaskablePPO
    from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

    env = gymnasium.make("nextbest/Bank-v0", world=small_world(), horizon=10, strict=True)
    assert is_masking_supported(env)
    env.reset(seed=0)
    np.testing.assert_array_equal(get_action_masks(env), env.unwrapped.action_masks())
    model = MaskablePPO("MlpPolicy", env, n_steps=32, batch_size=16, n_epochs=1, seed=0, device="cpu")
    assert is_masking_supported(model.get_env())
    model.learn(64)  # strict: it would raise at the first masked treatment
    assert model.num_timesteps == 64
