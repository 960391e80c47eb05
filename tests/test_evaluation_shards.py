"""A log in parts: whatever the parts, the report is the one of the whole log."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_evaluation_demand import resources

import evaluation
from envs.errors import InputError
from envs.prices import Prices
from evaluation.log import Digest, Log, log_from_arrays
from evaluation.protected import Protected
from evaluation.remask import Own
from evaluation.report import Report
from evaluation.resampling import EXACT, Resamples
from evaluation.settings import EvaluationSettings
from evaluation.shards import Shards, divided
from evaluation.terms import mean_of, ratio_of

WIDTH, CUSTOMERS = 3, 90
CUTS = st.lists(st.integers(1, CUSTOMERS - 1), unique=True, max_size=6).map(sorted)


def log_of(seed: int, steps: int, kind: str) -> Log:
    """Customers with one to `steps` decisions each over some weeks, a mask, whole distributions, open windows."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, steps + 1, CUSTOMERS)
    counts[7] = steps
    n = int(counts.sum())
    customer = np.repeat(np.arange(CUSTOMERS), counts)
    mask = np.column_stack([np.ones(n, bool), rng.random((n, 2)) < 0.9])
    mu = rng.dirichlet(np.full(WIDTH, 5.0), n) * mask
    mu /= mu.sum(axis=1, keepdims=True)
    treatment = (mu.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, WIDTH - 1)
    trait = rng.normal(size=n)
    return log_from_arrays(
        np.stack([trait, np.zeros(n)], axis=1), treatment, mu[np.arange(n), treatment],
        5 + trait * treatment + rng.normal(size=n), customer=np.array([f"{seed}-{c:03d}" for c in customer]),
        behaviour=mu, mask=mask, gamma=0.98, kind=kind, cost=0.5 * (treatment > 0), annoyance=1.0 * (treatment == 2),
        gap_days=np.full(n, 7.0), seen_days=np.where(np.arange(n) % 11, 7.0, 2.0), currency="CNY",
        at=np.datetime64("2026-01-01", "us") + (np.arange(n) * 960 // n).astype("timedelta64[h]"),
        price_columns={"annoyance": 1}, price_scales={"annoyance": 2.0},
    )  # fmt: skip


def eager(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    wished = np.exp(np.stack([0 * observation[:, 0], observation[:, 0], 0.5 + observation[:, 1]], axis=1)) * mask
    return np.asarray(wished / wished.sum(axis=1, keepdims=True))


def report_of(log: Log | Shards, steps: int, kind: str, **more: Any) -> Report:
    asked = EvaluationSettings(
        resamples=100, model="ridge", min_ess=10, min_positives=1, reward_range=(-60.0, 60.0) if steps == 1 else None
    )
    found: Report = evaluation.evaluate(
        log, {"eager": eager, "even": lambda o, m: m / m.sum(axis=1, keepdims=True)}, settings=asked,
        training_log=log_of(99, steps, kind), prices=Prices(annoyance=0.3), kinds=("silence", "offer", "offer"),
        resources=resources(1.0), **more,
    )  # fmt: skip
    return found


def rules(mask: np.ndarray | None, training: np.ndarray) -> dict[str, Own]:
    return {"even": Own(0.5, 0.02, "r" * 64, mask, training)}


def close(one: Any, other: Any, where: str = "") -> None:
    """Equal, numbers to 1e-9 of their size."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            close(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            close(a, b, f"{where}[{place}]")
    elif isinstance(one, float) and other is not None:
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9), where
    else:
        assert one == other, where


WHOLE: dict[tuple[int, str], tuple[Log, dict[str, np.ndarray], np.ndarray, Report]] = {}
TRAITS = np.random.default_rng(3).normal(size=CUSTOMERS)
GUARDED = {
    "grade": Protected(np.where(TRAITS > 0, 2.0, 1.0), "points"),
    "care": Protected(np.where(TRAITS > 0, "yes", "no"), only="yes"),
}


def whole(steps: int, kind: str) -> tuple[Log, dict[str, np.ndarray], np.ndarray, Report]:
    """A log, labels, masks of rules of their own, and the report of all of it at once."""
    if (steps, kind) not in WHOLE:
        log = log_of(1, steps, kind)
        labels = {"region": np.where(np.arange(CUSTOMERS) % 3, "north", "south"), "old": np.full(CUSTOMERS, "0")}
        mask = log.mask.copy()
        mask[::5, 1] ^= True
        found = report_of(
            log, steps, kind, labels=labels, protected=GUARDED, rules=rules(mask, log_of(99, steps, kind).mask)
        )
        WHOLE[steps, kind] = log, labels, mask, found
    return WHOLE[steps, kind]


@pytest.mark.parametrize(("steps", "kind"), [(1, "finite"), (3, "finite"), (4, "continuing")])
@settings(max_examples=2, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(cuts=CUTS)
def test_any_parts_make_the_report_of_the_whole(steps: int, kind: str, cuts: list[int]) -> None:
    log, labels, mask, expected = whole(steps, kind)
    shards = divided(log, cuts, labels, {"even": mask}, GUARDED)
    found = report_of(shards, steps, kind, rules=rules(None, log_of(99, steps, kind).mask))
    assert found.parts == len(cuts) + 1
    told = replace(
        expected, changed=tuple(replace(one, examples=()) for one in expected.changed) if cuts else expected.changed
    )
    close(replace(found, parts=1).to_dict(), told.to_dict())
    assert ("There are no examples" in found.to_html()) == bool(cuts)


def test_the_whole_has_everything_that_could_be_lost_in_parts() -> None:
    """So that the test above compares something."""
    for steps, kind, leads in ((1, "finite", "one-step"), (3, "finite", "k-step"), (4, "continuing", "k-step")):
        report = whole(steps, kind)[-1]
        assert report.lead.kind == leads
        assert report.slices
        assert {one.dimension for one in report.fairness} == {"grade", "care"}
        assert report.misspecifications
        assert report.changed[0].groups
        assert report.sensitivities
        assert report.demands
        assert report.served
        assert report.check is not None
        assert {"caught_up", "margin"} <= {e.amount for e in report.estimates}
    assert whole(1, "finite")[-1].guaranteed
    assert "mips" in whole(1, "finite")[-1].estimators
    assert {"blend", "marginal_dr", "snpddr", "kstep_dr"} <= set(whole(3, "finite")[-1].estimators)


def test_many_customers_are_drawn_alike_in_any_parts() -> None:
    """Beyond as many as are counted beforehand, whatever the blocks that the draws are made in."""
    size = EXACT + 5_000
    values, weight = np.random.default_rng(0).normal(size=(2, size))
    both = [mean_of(values), ratio_of((values * weight**2)[:, None], (weight**2)[:, None])]
    resamples = Resamples(size, 100, 3)
    ends = [0, 1, 4_000, 4_097, 20_000, size]
    parts = [[one.taken(np.arange(a, b)) for one in both] for a, b in pairwise(ends)]
    for one, other in zip(resamples.of_parts(parts), resamples.of_all(both), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)
    with pytest.raises(ValueError, match="the parts hold"):
        resamples.of_parts(parts[:-1])


def test_a_digest_knows_no_parts() -> None:
    log, digest = log_of(2, 3, "finite"), Digest()
    for shard in divided(log, [1, 30]).shards:
        digest.read(shard.log)
    assert digest.hexdigest() == log.digest
    assert replace(log, margin=log.margin + 1).digest != log.digest


def test_what_cannot_be_in_parts_is_refused() -> None:
    log = log_of(1, 2, "finite")
    with pytest.raises(InputError, match=r"training_log.*models are not fitted across shards"):
        evaluation.evaluate(divided(log, [40]), {"eager": eager})
    with pytest.raises(InputError, match=r"training_log == '1-041'.*evaluated log"):
        evaluation.evaluate(divided(log, [40]), {"eager": eager}, training_log=log.select(np.arange(CUSTOMERS) == 41))
    with pytest.raises(InputError, match=r"mask of eager"):
        evaluation.evaluate(log, {"eager": eager}, rules={"eager": Own(1.0, 0.0, "r")})
    for starts in ([0], [CUSTOMERS], [5, 5]):
        with pytest.raises(InputError, match="must rise strictly"):
            divided(log, starts)
