"""The checks that every kind of environment shares. Each plays fresh environments and raises at the first fault."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from envs.conformance_faces import Face, Told, require, same


@dataclass(frozen=True)
class Course:
    """What a check may do: build environments, and play them from a seed for so many steps."""

    make: Callable[[], Face]
    seed: int
    steps: int

    @staticmethod
    def actions(mask: np.ndarray, step: int) -> np.ndarray:
        """Some allowed treatment per row, (rows,) int64; over time all of them come up."""
        rank = (step * 31 + np.arange(len(mask)) * 7) % mask.sum(axis=1)
        return np.asarray(np.argsort(~mask, axis=1, kind="stable")[np.arange(len(mask)), rank], dtype=np.int64)

    def play(self, face: Face, seed: int | None, steps: int | None = None) -> Iterator[Told]:
        """Reset, then step; nothing is copied."""
        told = face.reset(seed)
        yield told
        for step in range(self.steps if steps is None else steps):
            told = face.step(self.actions(np.array(told.mask), step))
            yield told

    def record(self, face: Face, seed: int | None, steps: int | None = None) -> list[dict[str, np.ndarray]]:
        """A play as copies of everything that was told."""
        return [_copies(told) for told in self.play(face, seed, steps)]


Check = Callable[[Course], None]


def _copies(told: Told) -> dict[str, np.ndarray]:
    own = {name: getattr(told, name) for name in ("observation", "mask", "reward", "terminated", "truncated")}
    return {name: np.array(value) for name, value in {**told.handed, **own}.items()}


def _alike(a: list[dict[str, np.ndarray]], b: list[dict[str, np.ndarray]]) -> str | None:
    """None if two records are the same, else what differs and when."""
    for step, (one, two) in enumerate(zip(a, b, strict=True)):
        if one.keys() != two.keys():
            return f"{sorted(one.keys() ^ two.keys())} told after {step} steps only once"
        for name in one:
            if not same(one[name], two[name]):
                return f"{name} differs after {step} steps"
    return None


def says_what_it_should(course: Course) -> None:
    """Spaces, shapes, kinds: the face looks at everything while it plays. Observations are finite."""
    for told in course.play(course.make(), course.seed):
        require(bool(np.isfinite(told.observation).all()), "contract", "an observation is not finite")


def allows_silence(course: Course) -> None:
    """Treatment 0 is always allowed, and `action_masks()` says what `info["action_mask"]` says."""
    face = course.make()
    for step, told in enumerate(course.play(face, course.seed)):
        require(bool(told.mask[:, 0].all()), "masks", "silence is not allowed", step)
        asked = face.masks().reshape(told.mask.shape)
        require(same(asked, told.mask), "masks", "action_masks() is not info['action_mask']", step)


def blocks_what_is_masked(course: Course) -> None:
    """A masked treatment is carried out as silence, or refused with a ValueError that changes nothing."""
    one, two, tried = course.make(), course.make(), 0
    told, _ = one.reset(course.seed), two.reset(course.seed)
    for step in range(course.steps):
        mask = np.array(told.mask)
        allowed = course.actions(mask, step)
        if step % 2:  # in between, both live on alike, so that rules come to bite
            told, _ = one.step(allowed), two.step(allowed)
            continue
        wish, silence = _masked(mask, last=step % 4 == 2), np.zeros_like(allowed)
        tried += int((wish > 0).sum())
        try:
            told = one.step(wish.copy())
        except ValueError:
            require(same(one.masks().reshape(mask.shape), mask), "masks", "a refusal changed the mask", step)
            told = one.step(silence.copy())
        difference = _alike([_copies(told)], [_copies(two.step(silence))])
        require(difference is None, "masks", f"a masked treatment is neither silence nor refused: {difference}", step)
    require(tried > 0, "masks", "nothing was ever masked: give it a world with rules")


def _masked(mask: np.ndarray, last: bool) -> np.ndarray:
    """The first or last masked treatment of each row, silence where there is none, (rows,) int64."""
    first = (~mask).argmax(axis=1)
    place = mask.shape[1] - 1 - (~mask[:, ::-1]).argmax(axis=1) if last else first
    return np.asarray(np.where(mask.all(axis=1), 0, place), dtype=np.int64)


def repeats_a_seed(course: Course) -> None:
    """A seed gives the same play in a new environment and in a used one; another seed gives another."""
    face = course.make()
    first = course.record(face, course.seed)
    for again, which in ((course.make(), "a new environment"), (face, "the same environment")):
        difference = _alike(first, course.record(again, course.seed))
        require(difference is None, "seeds", f"the same seed in {which} is not the same play: {difference}")
    other = course.record(course.make(), course.seed + 1)
    require(_alike(first, other) is not None, "seeds", "another seed is the same play")


def continues_the_stream(course: Course) -> None:
    """A reset without a seed goes on from the last one: a new play, and the same one whenever it is repeated."""
    plays = []
    for _ in range(2):
        face = course.make()
        plays.append([course.record(face, seed, 3) for seed in (course.seed, None, None)])
    difference = _alike([*plays[0][1], *plays[0][2]], [*plays[1][1], *plays[1][2]])
    require(difference is None, "seeds", f"resets without a seed do not repeat after a seed: {difference}")
    for a, b in ((0, 1), (1, 2)):
        require(
            _alike(plays[0][a], plays[0][b]) is not None, "seeds", "a reset without a seed plays the last one again"
        )


def keeps_its_luck_to_itself(course: Course) -> None:
    """Global random numbers are neither used nor moved, and environments side by side do not meet."""
    alone = course.record(course.make(), course.seed)
    before = random.getstate(), np.random.get_state()  # noqa: NPY002  what must stay untouched
    try:
        random.seed(course.seed + 1)
        np.random.seed(1)  # noqa: NPY002
        states = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
        difference = _alike(alone, course.record(course.make(), course.seed))
        require(difference is None, "seeds", f"global random numbers are used: {difference}")
        unmoved = states == (random.getstate(), repr(np.random.get_state()))  # noqa: NPY002
        require(unmoved, "seeds", "global random numbers are drawn")
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
    mine, theirs = course.play(course.make(), course.seed), course.play(course.make(), course.seed + 1)
    meeting = [(_copies(told), next(theirs))[0] for told in mine]
    difference = _alike(alone, meeting)
    require(difference is None, "seeds", f"another environment changes this one: {difference}")


def ends_one_way(course: Course) -> None:
    """An episode is terminated or truncated, never both, and it ends at all."""
    ends = 0
    for step, told in enumerate(course.play(course.make(), course.seed)):
        require(
            not (told.terminated & told.truncated).any(), "ends", "an episode is both terminated and truncated", step
        )
        ends += int((told.terminated | told.truncated).sum())
    require(ends > 0, "ends", f"no episode ended within {course.steps} steps: give it a shorter one")


def adds_up(course: Course) -> None:
    """The reward is margin - cost - effort x prices - annoyance x price; a vector reward is made of its parts.

    Only where the info tells the parts: reward_vector (margin, cost, annoyance), effort (pools), prices (1 + pools).
    """
    for step, told in enumerate(course.play(course.make(), course.seed)):
        parts = [told.info.get(name) for name in ("reward_vector", "effort", "prices")]
        if any(part is None for part in parts):
            continue
        vector, effort, prices = (np.asarray(part, np.float64) for part in parts)
        if told.reward.ndim == 1:
            total = vector[:, 0] - vector[:, 1] - prices[:, 0] * vector[:, 2] - (effort * prices[:, 1:]).sum(axis=1)
        else:
            total = np.concatenate([vector * [1, -1, -1], -effort], axis=1)[:, : told.reward.shape[1]]
        fits = np.allclose(told.reward, total, rtol=1e-5, atol=1e-6)
        require(fits, "reward", f"the reward {told.reward.tolist()} is not its parts' {total.tolist()}", step)


def hands_out_new_arrays(course: Course) -> None:
    """What was returned never changes later; no two arrays that were returned share memory."""
    kept: list[tuple[str, np.ndarray, np.ndarray]] = []
    face = course.make()
    for step, told in enumerate(course.play(face, course.seed)):
        for name, array, copy in kept:
            require(same(array, copy), "arrays", f"{name} has changed since", step)
        for name, array in {**told.handed, "action_masks()": face.masks()}.items():
            for other, earlier, _ in kept:
                shared = array.size > 0 and np.shares_memory(array, earlier)
                require(not shared, "arrays", f"{name} shares memory with {other}", step)
            kept.append((f"{name} of step {step}", array, array.copy()))
        kept = kept[-64:]


def lets_go_of_arrays(course: Course) -> None:
    """Scribbling on anything returned, or on the actions after the step, changes nothing later."""
    clean, soiled, face = course.record(course.make(), course.seed), [], course.make()
    told = face.reset(course.seed)
    for step in range(course.steps + 1):
        soiled.append(_copies(told))
        actions = course.actions(np.array(told.mask), step)
        for array in (*told.handed.values(), face.masks()):
            _scribble(array)
        if step < course.steps:
            told = face.step(actions)
            _scribble(actions)
    difference = _alike(clean, soiled)
    require(difference is None, "arrays", f"scribbling on what was returned changes what comes: {difference}")


def _scribble(array: np.ndarray) -> None:
    if array.flags.writeable:
        array[...] = False if array.dtype == np.bool_ else 77


def draws_without_touching(course: Course) -> None:
    """Pictures, where it was made to draw any: (height, width, 3) uint8, each new, and drawing changes nothing."""
    face = course.make()
    told = face.reset(course.seed)
    frames = face.frames()
    if frames is None:
        return
    plain, drawn = course.record(course.make(), course.seed, 3), []
    for step in range(4):
        drawn.append(_copies(told))
        again = face.frames()
        for one, two in zip(frames, again or (), strict=True):
            fits = isinstance(two, np.ndarray) and two.dtype == np.uint8 and two.ndim == 3 and two.shape[2] == 3
            require(fits, "pictures", "a picture must be (height, width, 3) uint8", step)
            require(not np.shares_memory(one, two), "pictures", "two pictures share memory", step)
        if step < 3:
            told = face.step(course.actions(np.array(told.mask), step))
    difference = _alike(plain, drawn)
    require(difference is None, "pictures", f"drawing changes what comes: {difference}")


# In an order in which the first fault found is the one to mend: whatever compares two plays needs seeds that hold.
COMMON: tuple[Check, ...] = (
    says_what_it_should,
    allows_silence,
    repeats_a_seed,
    continues_the_stream,
    keeps_its_luck_to_itself,
    ends_one_way,
    adds_up,
    hands_out_new_arrays,
    lets_go_of_arrays,
    blocks_what_is_masked,
    draws_without_touching,
)
