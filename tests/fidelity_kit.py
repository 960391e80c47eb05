"""Rows of a head whose truth is known, without a log behind them; and a small log of one head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit

from benchmarks.fidelity_truths import CATALOGUE, SCHEMA, world_of
from envs.features import treatment_options
from envs.observation import Encoder
from envs.response import Coefficients, Head, Term, compile_head
from envs.world import World
from training.calibration_rows import HeadRows
from training.fidelity_rows import Sample
from training.glm import Rows

ENCODER = Encoder(CATALOGUE, SCHEMA)


def sample_of(
    y: np.ndarray, eta: np.ndarray, customer: np.ndarray, link: str = "logit", sigma: float | None = None
) -> Sample:
    """Rows of a head that says eta."""
    count = len(y)
    head = Head.model_validate({"link": link, "given": "always", "sigma": sigma, "terms": [Term(feature="1", value=0)]})
    rows = Rows(y.astype(np.float64), np.ones(count), np.ones(count), customer)
    zeros = np.zeros(count, np.int64)
    data = HeadRows("engaged", head.link, "always", "decision", zeros, zeros, rows)  # type: ignore[arg-type]
    model = compile_head(head, treatment_options(CATALOGUE), ENCODER)
    return Sample(model, data, np.ones(count), eta, np.arange(count))


def drawn(eta: np.ndarray, seed: int) -> np.ndarray:
    """Answers with these log odds."""
    return (np.random.default_rng(seed).random(len(eta)) < expit(eta)).astype(np.float64)


def one_head(world: World, *names: str) -> World:
    """The world with these heads alone."""
    heads = {name: head for name, head in world.coefficients.heads.items() if name in names}
    return replace(world, coefficients=Coefficients(name="small", heads=heads))


def small_world(process: str) -> World:
    """Deliveries and answers of a process, nothing else."""
    return one_head(world_of(process), "delivered", "engaged")
