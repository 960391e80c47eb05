"""For tests of bad input: a good log as arrays and as tables, policies, and what a page says first."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluation_kit as kit
import numpy as np
import polars as pl

from envs.tables import write_tables
from evaluation.settings import EvaluationSettings
from training.configs import EvaluateConfig

QUICK = EvaluationSettings(resamples=100, model="ridge", full_horizon=False)
ROW = 3  # that is spoilt: of the arrays, and of the file
CUSTOMERS = 300
EVEN = [1 / 3] * 3
Change = Callable[[pl.DataFrame], pl.DataFrame]


def even(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.asarray(mask / mask.sum(axis=1, keepdims=True))


def always(treatment: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda observation, mask: np.eye(mask.shape[1])[np.full(len(mask), treatment)]


def first_page(page: str) -> str:
    """What a reader sees before any value."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.split("<h1>")[1].split("The lead estimate:")[0]))
    return " ".join(text.split())


PARTS = {"whole_decisions": 0, "part_decisions": 250}


def arrays(customers: int = 300, steps: int = 1, **changed: Any) -> dict[str, Any]:
    """A uniformly randomised log. Its rows stand by falling label: the first are those of the last customer."""
    rng, n = np.random.default_rng(1), customers * steps
    good = {
        "observation": rng.normal(size=(n, 2)), "treatment": rng.integers(0, 3, n), "propensity": np.full(n, 1 / 3),
        "margin": rng.normal(size=n) + 1, "customer": np.repeat(np.arange(customers)[::-1], steps),
        "behaviour": np.full((n, 3), 1 / 3), "mask": np.ones((n, 3), bool), "treatments": ("silence", "a", "b"),
        "decision_id": np.arange(n), "gap_days": np.full(n, 7.0),
        "at": np.datetime64("2026-01-01", "us") + np.tile(np.arange(steps) * 7, customers).astype("timedelta64[D]"),
    }  # fmt: skip
    return good | changed


def write_good(folder: Path) -> Path:
    """Two decisions of each customer, drawn evenly; half of the silent convert. Rows stand by customer, then time."""
    rng, rows, events = np.random.default_rng(1), [], []
    for customer in range(CUSTOMERS):
        for day in (0, 7):
            name, treatment = f"c{customer:03d}", str(rng.choice(["silence", "letter", "call"]))
            more = {"propensity": 1 / 3, "probabilities": EVEN, "mask": [True] * 3}
            rows.append(kit.decision(name, day, treatment, **more))
            if treatment == "silence" and rng.random() < 0.5:
                events.append(kit.event(name, day + 1, "converted", 3.0 + rng.random()))
    write_tables(kit.tables(rows, events), folder)
    return folder


def asked(tables: Path, **more: Any) -> EvaluateConfig:
    more = {"settings": QUICK, "track": False, "out": tables.parent / "out"} | more
    return EvaluateConfig(tables=tables, **more)
