"""Where the seconds of a training go: cumulative seconds of its parts, by the standard library's profiler.

The profiler slows what is written in Python a little and compiled code not at all, so that shares lean towards Python.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from pathlib import Path

import polars as pl

from training.configs import TrainConfig
from training.train import train

# What is shown -> (file, function) whose cumulative seconds it is; a part within another one is named "of which".
PARTS = {
    "learning what histories say": ("training/course.py", "_foresee"),
    "tuning the teacher": ("training/teaching.py", "teach"),
    "watching the teacher": ("agents/imitation.py", "demonstrate"),
    "imitating it": ("agents/imitation.py", "imitate"),
    "rollouts": ("sb3_contrib/ppo_mask/ppo_mask.py", "collect_rollouts"),
    "of which the world": ("agents/sb3_env.py", "step_wait"),
    "updates of the network": ("sb3_contrib/ppo_mask/ppo_mask.py", "train"),
    "validations": ("training/course.py", "_validate"),
    "checkpoints": ("training/course.py", "_save"),
    "the artifact": ("agents/onnx_export.py", "export_onnx"),
    "the frontier's picture": ("training/train.py", "_frontier"),
    "everything": ("training/train.py", "train"),
}


def parts_of(config: TrainConfig) -> pl.DataFrame:
    """Seconds and share of every part of a training. -> part, seconds, share"""
    seconds = profiled(lambda: train(config))
    rows = [(part, seconds.get(place, 0.0)) for part, place in PARTS.items()]
    frame = pl.DataFrame(rows, orient="row", schema=["part", "seconds"])
    return frame.with_columns(share=pl.col("seconds") / pl.col("seconds").max())


def profiled(work: Callable[[], object]) -> dict[tuple[str, str], float]:
    """Cumulative seconds by (end of the file's path, function) of `PARTS`."""
    profile = cProfile.Profile()
    profile.runcall(work)
    found: dict[tuple[str, str], float] = {}
    for (file, _, function), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        place = Path(file).as_posix()
        for end, name in PARTS.values():
            if name == function and place.endswith(end):
                found[end, name] = found.get((end, name), 0.0) + cumulative
    return found
