"""Who decided in the log: the policy itself where it is at hand, else one that is fitted to what it did.

    the policy itself     exact
    a network             where full distributions were logged: fitted to them, by cross-entropy over the allowed
                          treatments; how far it is off is measured on customers it did not learn from
    estimated propensity  where only treatments were logged: evaluation/propensity.py

A replay is as good as the policy that stands in: what the indicators lack may be the policy's, not the world's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.policy import Policy
from evaluation.log import steps_of
from evaluation.propensity import estimate_propensity
from evaluation.propensity_models import fit_frequencies
from evaluation.reading import masks
from training.calibration_rows import Source

if TYPE_CHECKING:
    import torch

Distribution = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
ASIDE = 0.25  # share of customers on which a stand-in is measured
CLOSE = 0.002  # nats from the logged distribution below which nothing finer is looked for; assumed
MOST_ROWS = 20_000  # decisions a network is fitted on
WIDTH, EPOCHS, BATCH, PACE = 128, 40, 512, 2e-3  # of the network; assumed, checked by the distance that is reported


@dataclass(frozen=True)
class StandIn:
    """Who decides in a replay.

    distribution(observation (n, F), mask (n, A), step (n,)) -> (n, A) float64, rows sum to 1, 0 where masked
    """

    name: str
    note: str  # for the report
    distance: float | None  # mean Kullback-Leibler divergence from the logged distribution, nats; None: not known
    distribution: Distribution


def itself(policy: Policy) -> StandIn:
    """The policy that decided."""
    name = f"the policy itself ({policy.name})"
    return StandIn(name, name, 0.0, lambda observation, mask, step: policy.probabilities(observation, mask))


def stand_in(source: Source, seed: int) -> StandIn:
    """A policy that decides as the log shows, fitted to all its decisions."""
    observation, customer = source.observation, source.customer
    mask = masks(source.decisions, source.tables)
    finite = source.tables.schema.task.kind == "finite"
    step = steps_of(customer) if finite else np.zeros(len(customer), np.int64)
    rng = np.random.default_rng(seed)
    logged = source.decisions["probabilities"]
    if logged.null_count():
        model = estimate_propensity(observation, mask, source.treatment, step, customer, rng)
        return StandIn("the estimated propensity", f"the treatment, {model.note}", None, model.distribution)
    behaviour = logged.explode().to_numpy().reshape(len(customer), -1)
    aside = (rng.random(int(customer.max()) + 1) < ASIDE)[customer]
    if aside.all() or not aside.any():
        aside = np.arange(len(customer)) % 4 == 0
    kept = np.flatnonzero(~aside)
    learned = kept if len(kept) <= MOST_ROWS else np.sort(rng.choice(kept, MOST_ROWS, replace=False))
    judged = np.flatnonzero(aside)

    def measured(name: str, fitted: Distribution) -> StandIn:
        distance = divergence(behaviour[judged], fitted(observation[judged], mask[judged], step[judged]))
        note = f"{name} fitted to the logged distributions, {distance:.4f} nats from them on customers set aside"
        return StandIn(name, note, distance, fitted)

    shares = fit_frequencies(observation[kept], mask[kept], source.treatment[kept], step[kept])
    simple = measured("frequencies per step", shares)
    if simple.distance is not None and simple.distance < CLOSE:
        return simple
    network = measured("a network", imitation(observation[learned], mask[learned], behaviour[learned], seed))
    return min(simple, network, key=lambda found: found.distance or 0.0)


def divergence(logged: np.ndarray, other: np.ndarray) -> float:
    """Mean Kullback-Leibler divergence of the other distribution from the logged one, in nats. Each (n, A)."""
    ratio = np.log(np.maximum(logged, 1e-300)) - np.log(np.maximum(other, 1e-12))
    return float(np.where(logged > 0, logged * ratio, 0.0).sum(axis=1).mean())


def imitation(observation: np.ndarray, mask: np.ndarray, behaviour: np.ndarray, seed: int) -> Distribution:
    """A network with two hidden layers from the observation to the logits of all treatments, masked.

    observation: (n, F) float32; mask: (n, A) bool; behaviour: (n, A) logged distributions
    """
    import torch

    center, scale = observation.mean(axis=0), observation.std(axis=0) + 1e-3
    with torch.random.fork_rng():  # the layers' first weights can only come from the global generator
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(observation.shape[1], WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, WIDTH)]
        network = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(WIDTH, mask.shape[1]))

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values, np.float32))

    def log_softmax(x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(network(x).masked_fill(~allowed, -1e9), dim=1)

    x, allowed, target = tensor((observation - center) / scale), torch.as_tensor(mask), tensor(behaviour)
    order = torch.Generator().manual_seed(seed)
    optimizer: Any = torch.optim.Adam(network.parameters(), lr=PACE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(x), generator=order), BATCH):
            loss = -(target[rows] * log_softmax(x[rows], allowed[rows])).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        schedule.step()

    def distribution(observation: np.ndarray, mask: np.ndarray, step: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            logarithm = log_softmax(tensor((observation - center) / scale), torch.as_tensor(mask))
        p = np.where(mask, np.exp(logarithm.numpy().astype(np.float64)), 0.0)
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    return distribution
