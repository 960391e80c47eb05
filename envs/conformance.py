"""Conformance: what any environment with treatments and masks must do, as checks that it can be put through.

    check_environment(lambda: gymnasium.make("nextbest/Bank-v0", horizon=10))
    check_vector_environment(lambda rows: gymnasium.make_vec("nextbest/Bank-v0", num_envs=rows, horizon=10))
    check_agreement(one, several)

Beside Gymnasium's own checker: masks, seeds, resets, ends, reward parts, and that no array is ever handed out twice.
Each check plays fresh environments; the first fault raises `Nonconformance`, which says what was found and where.
Episodes must end within `steps`, or nothing would be learnt about ends; give the environment a short horizon.

After dm_env's `test_utils` (an environment gets its tests for free) and Gymnasium's `env_checker`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.conformance_checks import COMMON, Check, Course
from envs.conformance_faces import Face, Nonconformance, SingleFace, Told, VectorFace, require, same

Make = Callable[[], gymnasium.Env[Any, Any]]
MakeVector = Callable[[int], gymnasium.vector.VectorEnv[Any, Any, Any]]
ROWS = 3  # of a vector environment under test: enough to tell rows apart


def check_environment(make: Make, *, seed: int = 0, steps: int = 40) -> None:
    """Put a single environment through everything. make: builds a new one; steps: of every play."""
    env = make()
    _describes_itself(env.unwrapped, env.observation_space, env.action_space)
    check_face(lambda: SingleFace(make()), seed=seed, steps=steps)


def check_vector_environment(make: MakeVector, *, seed: int = 0, steps: int = 40, rows: int = ROWS) -> None:
    """Put a vector environment through everything. make: builds a new one with so many rows."""
    _is_batched(make(rows), rows)
    check_face(lambda: VectorFace(make(rows)), seed=seed, steps=steps)
    course = Course(lambda: VectorFace(make(rows)), seed, steps)
    for check in (_starts_anew, _rows_are_apart):
        check(course)


def check_face(make: Callable[[], Face], *, seed: int = 0, steps: int = 40, without: Sequence[Check] = ()) -> None:
    """Put anything with a face through the checks that every kind shares, but for those that do not apply."""
    for check in COMMON:
        if check not in without:
            check(Course(make, seed, steps))


def check_agreement(make: Make, make_vector: MakeVector, *, seed: int = 0, steps: int = 40, rows: int = ROWS) -> None:
    """The first episode of a vector environment's first row is that of the single environment of the same seed."""
    name, one, several = "agreement", SingleFace(make()), VectorFace(make_vector(rows))
    a, b = one.reset(seed), several.reset(seed)
    for step in range(steps):
        for part in ("reward", "terminated", "truncated"):
            found, expected = getattr(b, part)[0], getattr(a, part)[0]
            require(np.array_equal(found, expected), name, f"{part} is {found} in the batch, {expected} alone", step)
        if a.last:
            last = b.last.get(0, b.observation[0])
            require(same(last, a.last[0]), name, "the last observation of the batch is another than alone", step)
            return
        for part in ("observation", "mask"):
            require(same(getattr(b, part)[0], getattr(a, part)[0]), name, f"{part} differs from the single one's", step)
        actions = Course.actions(np.array(b.mask), step)
        a, b = one.step(actions[:1]), several.step(actions)
    require(False, name, f"no episode ended within {steps} steps: give it a shorter one")


def _describes_itself(env: Any, observation: Any, action: Any) -> None:
    """Spaces are of the kind that masks and networks need, bounded, and the render modes are told."""
    name = "spaces"
    require(isinstance(observation, gymnasium.spaces.Box), name, f"the observation space is {observation}, no Box")
    require(observation.dtype == np.float32, name, f"the observation space holds {observation.dtype}, not float32")
    require(len(observation.shape) == 1, name, f"observations have the shape {observation.shape}, not (fields,)")
    require(observation.is_bounded(), name, "a field of the observation has no bounds")
    require(isinstance(action, gymnasium.spaces.Discrete), name, f"the action space is {action}, not Discrete")
    require(int(action.start) == 0, name, f"treatments are counted from {action.start}, not 0, silence")
    require("render_modes" in env.metadata, name, "metadata lacks render_modes")
    space = getattr(env, "reward_space", None)
    if space is not None:
        kind = isinstance(space, gymnasium.spaces.Box) and space.dtype == np.float32 and len(space.shape) == 1
        require(kind, name, f"the reward space is {space}, not a Box of (objectives,) float32")


def _is_batched(env: Any, rows: int) -> None:
    """The spaces of the batch are those of one row, so many times; the kind of autoreset is told."""
    _describes_itself(env.unwrapped, env.single_observation_space, env.single_action_space)
    require(env.num_envs == rows, "batch", f"num_envs is {env.num_envs}, {rows} were asked for")
    for kind in ("observation", "action"):
        whole, one = getattr(env, f"{kind}_space"), getattr(env, f"single_{kind}_space")
        require(whole == batch_space(one, rows), "batch", f"{kind}_space is not single_{kind}_space, {rows} times")
    mode = env.metadata.get("autoreset_mode")
    known = (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP)
    require(mode in known, "batch", f"metadata['autoreset_mode'] is {mode}, must be one of {known}")


def _starts_anew(course: Course) -> None:
    """Autoreset: the last observation is told, a new episode stands in its place, and no step is lost or added."""
    name, face = "autoreset", course.make()
    assert isinstance(face, VectorFace)
    told, ends, alike = face.reset(course.seed), 0, 0
    for step in range(course.steps):
        before, told = told, face.step(course.actions(told.mask, step))
        ended = told.terminated | told.truncated
        if face.mode is AutoresetMode.NEXT_STEP:
            waiting = before.terminated | before.truncated
            require(not (ended & waiting).any(), name, "the step after an end ends again, it must only reset", step)
            require(not told.reward[waiting].any(), name, "the step after an end has a reward, it must be 0", step)
            ends += int(ended.sum())
            continue
        _last_words(face, ended, step)
        for row in np.flatnonzero(ended):
            ends, alike = ends + 1, alike + same(told.last[int(row)], told.observation[row])
    require(ends > 0, name, f"no episode ended within {course.steps} steps: give it a shorter one")
    require(alike < ends, name, "the observation returned after an end is the last one, not a new episode's")


def _last_words(face: VectorFace, ended: np.ndarray, step: int) -> None:
    """What a same-step autoreset must say of the rows that ended, as Gymnasium's own environments do."""
    info, name = face.info, "autoreset"
    if not ended.any():
        require("final_obs" not in info, name, "info tells final_obs though nothing ended", step)
        return
    for key in ("final_obs", "_final_obs", "final_info", "_final_info"):
        require(key in info, name, f"info lacks {key!r} though an episode ended", step)
    for key in ("_final_obs", "_final_info"):
        require(same(info[key], ended), name, f"info[{key!r}] does not name the rows that ended", step)
    final, space = info["final_obs"], face.env.single_observation_space
    kind = isinstance(final, np.ndarray) and final.dtype == object and final.shape == ended.shape
    require(kind, name, f"final_obs must be {ended.shape} objects", step)
    there = np.array([end is not None for end in final])
    require(same(there, ended), name, "final_obs must hold an observation where a row ended, else None", step)
    require(all(map(space.contains, final[ended])), name, "a last observation is outside its space", step)
    require("action_mask" in info["final_info"], name, "info['final_info'] lacks the last action_mask", step)


def _rows_are_apart(course: Course) -> None:
    """What is done in one row does not touch the others' first episodes."""
    quiet, busy = course.make(), course.make()
    a, b = quiet.reset(course.seed), busy.reset(course.seed)
    over = np.zeros(a.rows, bool)
    over[0] = True  # the row that is treated differently
    for step in range(course.steps):
        actions = course.actions(a.mask, step)
        other = actions.copy()
        actions[0], other[0] = 0, int(np.flatnonzero(b.mask[0])[-1])
        a, b = quiet.step(actions), busy.step(other)
        for part in ("reward", "terminated", "truncated"):
            found, expected = getattr(b, part)[~over], getattr(a, part)[~over]
            require(same(found, expected), "rows apart", f"{part} of a row changed with what was done in another", step)
        over |= a.terminated | a.truncated
        require(same(b.observation[~over], a.observation[~over]), "rows apart", "observations of rows mix", step)
        if over.all():
            return


__all__ = [
    "Face",
    "Nonconformance",
    "Told",
    "check_agreement",
    "check_environment",
    "check_face",
    "check_vector_environment",
]
