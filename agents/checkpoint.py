"""A checkpoint: everything that the next update depends on, in one file of arrays and JSON; nothing in it runs.

Network, optimizer, random generators of torch and numpy, the simulated customers, and what has been learned so far.
Whoever goes on from it on one thread gets, bit for bit, what would have come without the stop.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO

from agents.sb3_env import SimulatorVecEnv
from envs.errors import InputError

FORMAT = "nextbest-checkpoint/1"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """What stands in the file."""

    said: dict[str, Any]  # plain JSON: what it belongs to, and what the trainer keeps beside
    arrays: Arrays = field(repr=False)

    def to_bytes(self) -> bytes:
        """The file's content: an uncompressed .npz whose first entry is the JSON."""
        text = json.dumps({"format": FORMAT, **self.said}).encode()
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, said=np.frombuffer(text, np.uint8), **self.arrays)
        return file.getvalue()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file, nothing in it is executed; InputError for one that is broken or of another version."""
    if not path.is_file():
        raise InputError("must be a checkpoint: it does not exist", file=path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        said = json.loads(arrays.pop("said").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
        raise InputError(f"must be a whole checkpoint ({str(fault)[:80]})", file=path) from None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        found = said.get("format") if isinstance(said, dict) else said
        raise InputError(f"must be {FORMAT}", file=path, field="format", value=found)
    return Checkpoint({name: value for name, value in said.items() if name != "format"}, arrays)


def weights(learner: MaskablePPO) -> Arrays:
    """The network's weights, by name, copied."""
    return {name: value.detach().numpy().copy() for name, value in learner.policy.state_dict().items()}


def put_weights(learner: MaskablePPO, arrays: Mapping[str, np.ndarray], file: Path | None = None) -> None:
    """Give the network these weights; InputError that names the first one that does not fit."""
    own = learner.policy.state_dict()
    for name in sorted(own.keys() | arrays.keys()):
        if name not in arrays or name not in own or tuple(own[name].shape) != arrays[name].shape:
            found = arrays[name].shape if name in arrays else "missing"
            need = f"must be of shape {tuple(own[name].shape)}" if name in own else "must not be there"
            raise InputError(need, file=file, field=name, value=found)
    learner.policy.load_state_dict({name: torch.as_tensor(value.copy()) for name, value in arrays.items()})


def snapshot(learner: MaskablePPO, environment: SimulatorVecEnv) -> Arrays:
    """All arrays of a learner and its environment, between two updates."""
    found = {f"network/{name}": value for name, value in weights(learner).items()}
    for number, moments in learner.policy.optimizer.state_dict()["state"].items():
        found |= {f"optimizer/{number}/{name}": value.detach().numpy().copy() for name, value in moments.items()}
    # stable-baselines3 shuffles its mini-batches by numpy's global generator
    _, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    found["random/numpy"], found["random/numpy_place"] = np.asarray(keys), np.array([place, has_gauss])
    found["random/numpy_gauss"], found["random/torch"] = np.array([gauss]), torch.get_rng_state().numpy()
    found["learner/counters"] = np.array([learner.num_timesteps, learner._n_updates])
    found["learner/last_obs"] = np.asarray(learner._last_obs)
    found["learner/last_starts"] = np.asarray(learner._last_episode_starts)
    found["environment/scale"] = np.array([environment.reward_scale])
    return found | {f"environment/{name}": value for name, value in environment.snapshot().items()}


def restore(learner: MaskablePPO, environment: SimulatorVecEnv, arrays: Mapping[str, np.ndarray], file: Path) -> None:
    """Put a learner and its environment where a snapshot was taken."""
    put_weights(learner, _below(arrays, "network/"), file)
    _restore_optimizer(learner, _below(arrays, "optimizer/"))
    place, has_gauss = (int(n) for n in arrays["random/numpy_place"])
    gauss = float(arrays["random/numpy_gauss"][0])
    np.random.set_state(("MT19937", arrays["random/numpy"], place, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(torch.as_tensor(arrays["random/torch"].copy()))
    learner.num_timesteps, learner._n_updates = (int(n) for n in arrays["learner/counters"])
    learner._last_obs, learner._last_episode_starts = arrays["learner/last_obs"], arrays["learner/last_starts"]
    environment.reward_scale = float(arrays["environment/scale"][0])
    environment.restore(_below(arrays, "environment/"), file)


def _restore_optimizer(learner: MaskablePPO, arrays: Mapping[str, np.ndarray]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for place, value in arrays.items():
        number, name = place.split("/")
        state.setdefault(int(number), {})[name] = torch.as_tensor(value.copy())
    learner.policy.optimizer.load_state_dict({**learner.policy.optimizer.state_dict(), "state": state})


def _below(arrays: Mapping[str, np.ndarray], folder: str) -> Arrays:
    return {name.removeprefix(folder): value for name, value in arrays.items() if name.startswith(folder)}
