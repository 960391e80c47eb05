"""Members of an ensemble around a world whose coefficients are written, not estimated, as the built-in bank's are.

    member k:  each coefficient ~ normal(its value, its standard error), all independent, seeded by (seed, k)

Standard errors stand in `standard_errors.yaml` beside the world: those that a calibration on a log of it has. Of a
coefficient that the log does not tell (hidden states, answers that leave no record) it is `unmeasured` times its size.
None is above `most`. Draws are independent although estimates of one log are not (a head's level and its products move
against each other), so that members differ more than replicates of a calibration would. Hidden states and the spread
of amounts stay as they are, and so do the files of the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from envs.config import Config, load_config
from envs.response import Head, Term
from envs.world import World

FILE = "standard_errors.yaml"


class StandardErrors(Config):
    """How well the coefficients of a world are known."""

    source: str = Field(description="Where the numbers come from.")
    unmeasured: float = Field(ge=0, description="Standard error / size of coefficients that are not named.")
    most: float = Field(gt=0, description="The largest standard error that is used, log odds.")
    heads: dict[str, dict[str, float]] = Field(description="Head -> feature -> standard error.")

    def of(self, head: str, term: Term) -> float:
        """The standard error of a coefficient."""
        measured: Mapping[str, float] = self.heads.get(head, {})
        return min(measured.get(term.feature, self.unmeasured * abs(term.value)), self.most)


def load_standard_errors(folder: Path) -> StandardErrors:
    """Read `standard_errors.yaml` of a world."""
    return load_config(StandardErrors, folder / FILE)


def member(world: World, errors: StandardErrors, k: int, seed: int = 0) -> World:
    """Member k: the same world under other coefficients. The same seed and k give the same member."""
    luck = np.random.default_rng([seed, k])
    drawn = {name: _drawn(name, head, errors, luck) for name, head in world.coefficients.heads.items()}
    name = f"{world.coefficients.name}-{k:02d}"
    return replace(world, coefficients=world.coefficients.model_copy(update={"name": name, "heads": drawn}))


def _drawn(name: str, head: Head, errors: StandardErrors, luck: np.random.Generator) -> Head:
    values = [term.value + errors.of(name, term) * float(luck.standard_normal()) for term in head.terms]
    terms = [term.model_copy(update={"value": value}) for term, value in zip(head.terms, values, strict=True)]
    return head.model_copy(update={"terms": tuple(terms)})
