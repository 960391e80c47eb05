"""What stands in a benchmark's folder: taken if it is what would be made now, else refused or made beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.artifact import write_artifact
from agents.baselines import parameters
from agents.checkpoint import Checkpoint
from benchmarks.measured_baselines import measured_baselines
from benchmarks.trained import learned
from envs.errors import InputError
from envs.frozen import check_frozen
from envs.world import BUILT_IN, load_world
from evaluation.trial import Trial
from training.configs import TrainConfig
from training.course import CHECKPOINT
from training.resuming import identity

SMALL: dict[str, Any] = {
    "steps": 128, "envs": 16, "rollout": 4, "batch": 64, "epochs": 1, "width": 16, "embedding": 4,
    "imitation_steps": 64, "imitation_epochs": 1, "tuning_customers": 0, "validations": 0, "foresight_customers": 0,
    "track": False, "register_policy": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """What a training in the bank leaves, as far as it is looked at: an artifact with lineage, and a checkpoint."""
    out = tmp_path_factory.mktemp("work") / "training-0"
    world, config = load_world("bank"), TrainConfig(world="bank", out=out, **SMALL)
    books = {"catalogue": world.catalogue, "schema": world.schema, "rules": world.rules}
    lineage = {"world_digest": world.digest, "seed": config.seed}
    write_artifact(out / "policy", name="coordinated_rules", lineage=lineage, **books)
    (out / CHECKPOINT).write_bytes(Checkpoint(identity(config, world), {}).to_bytes())
    return config


def test_a_training_that_stands_there_is_taken_wherever_the_folder_went(config: TrainConfig, tmp_path: Path) -> None:
    assert config.out is not None
    (tmp_path / "elsewhere").symlink_to(config.out)
    assert learned(config.model_copy(update={"out": tmp_path / "elsewhere"})).digest == learned(config).digest


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"seed": 1}, r"lineage\.seed == 0, must be 1"),
        ({"world": "exact"}, r"lineage\.world_digest == "),
        ({"steps": 256}, r"config\.steps == 128, must be 256"),
        ({"learning_rate": 1e-3}, r"config\.learning_rate == 0\.0003, must be 0\.001"),
    ],
)
def test_a_training_of_another_seed_world_or_configuration_is_refused(
    config: TrainConfig, told: dict[str, object], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        learned(config.model_copy(update=told))


def test_a_policy_without_its_checkpoint_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    assert config.out is not None
    shutil.copytree(config.out / "policy", tmp_path / "policy")
    with pytest.raises(InputError, match="must be a checkpoint: it does not exist"):
        learned(config.model_copy(update={"out": tmp_path}))


@pytest.mark.slow
def test_what_is_trained_is_taken_the_next_time(tmp_path: Path) -> None:
    config = TrainConfig(world="exact", out=tmp_path / "training-0", **SMALL)
    first, file = learned(config), tmp_path / "training-0" / "policy" / "manifest.json"
    stood = file.stat().st_mtime_ns
    assert learned(config).digest == first.digest
    assert file.stat().st_mtime_ns == stood


def test_baselines_are_kept_under_the_digest_of_the_frozen_bank(tmp_path: Path) -> None:
    trial, bank = Trial(load_world("bank"), np.arange(40), 7), check_frozen(BUILT_IN / "bank", parameters())
    (first,) = measured_baselines(tmp_path, ["random"], 3000, trial, 0).values()
    (file,) = tmp_path.iterdir()
    assert file.name == f"random-0-3000-7-40-0-{bank.digest[:12]}.npz"
    stood = file.stat().st_mtime_ns
    (again,) = measured_baselines(tmp_path, ["random"], 3000, trial, 0).values()
    assert file.stat().st_mtime_ns == stood
    np.testing.assert_array_equal(again.gain(0.1), first.gain(0.1))


def test_the_digest_of_a_frozen_world_is_that_of_all_that_is_frozen_and_of_nothing_else() -> None:
    bank = check_frozen(BUILT_IN / "bank", parameters())
    assert bank.model_copy(update={"reason": "another", "version": 9}).digest == bank.digest
    for part in ("files", "baselines"):
        for name in getattr(bank, part):
            changed = bank.model_copy(update={part: {**getattr(bank, part), name: "0" * 64}})
            assert changed.digest != bank.digest
