"""Registered ids: what `gymnasium.make` and `gymnasium.make_vec` can be asked for once `envs` is imported.

Every built-in world NAME gets `nextbest/Name-v0`, whose reward is a number, and `nextbest/MOName-v0`, whose reward is a
vector; `nextbest/World-v0` and `nextbest/MOWorld-v0` take any other world by its directory: `world="runs/world"`.
"""

from __future__ import annotations

from pathlib import Path

import gymnasium

WORLDS = Path(__file__).parent / "worlds"


def register_worlds(folder: Path = WORLDS) -> None:
    """Register every world of a folder, and the two ids that are told their world."""
    _register("World", {"world": None})  # must be given
    for file in sorted(folder.glob("*/catalogue.yaml")):
        name = file.parent.name
        _register("".join(part.capitalize() for part in name.split("_")), {"world": name})


def _register(name: str, options: dict[str, object]) -> None:
    gymnasium.register(
        id=f"nextbest/{name}-v0",
        entry_point="envs.environment:BankEnv",
        vector_entry_point="envs.vector:BankVectorEnv",
        kwargs=dict(options),
    )
    gymnasium.register(
        id=f"nextbest/MO{name}-v0",
        entry_point="envs.multi_objective:MOBankEnv",
        vector_entry_point="envs.multi_objective:MOBankVectorEnv",
        disable_env_checker=True,  # it takes rewards for numbers, as mo_gymnasium.make knows
        kwargs=dict(options),
    )
