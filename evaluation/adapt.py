"""Anything that decides, as one policy: artifacts and baselines, stable-baselines3 models, plain callables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.errors import InputError
from envs.prices import Prices
from evaluation.log import Log

TOLERANCE = 1e-5  # of the sum of a row: what float32 softmax leaves
BATCH = 8192  # rows per call of a policy

Probabilities = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Adapted:
    """A policy by name; `function(observation (n, F), mask (n, A)) -> (n, A)`."""

    name: str
    function: Probabilities
    digest: str | None = None

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(batch, fields) float32, (batch, treatments) bool -> (batch, treatments) float64, checked."""
        parts = [
            self._checked(observation[i : i + BATCH], mask[i : i + BATCH], i) for i in range(0, len(observation), BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros(mask.shape)

    def _checked(self, observation: np.ndarray, mask: np.ndarray, start: int) -> np.ndarray:
        p = np.asarray(self.function(observation, mask), dtype=np.float64)
        if p.shape != mask.shape:
            raise InputError(f"must have shape {mask.shape}", field=f"policy {self.name}", value=p.shape)
        finite = np.asarray((np.isfinite(p) & (p >= 0)).all(axis=1))
        self._refuse(finite, p, "must be finite and >= 0", start)
        forbidden = np.where(mask, 0.0, p).max(axis=1, initial=0.0)
        self._refuse(forbidden == 0, forbidden, "must be 0 where the mask forbids", start)
        total = p.sum(axis=1)
        self._refuse(np.abs(total - 1) <= TOLERANCE, total, "must sum to 1", start)
        return np.asarray(p / total[:, None])

    def _refuse(self, right: np.ndarray, values: np.ndarray, need: str, start: int) -> None:
        if not right.all():
            row = int(np.flatnonzero(~right)[0])
            shown = values[row] if values.ndim == 1 else float(values[row].min())
            raise InputError(need, field=f"probabilities of policy {self.name}", value=shown, row=start + row)


def adapted(policies: Iterable[object] | Mapping[str, object]) -> tuple[Adapted, ...]:
    """Policies in order, each under a name of its own; raise InputError for what cannot decide."""
    if isinstance(policies, Mapping):
        found = tuple(adapt(policy, name) for name, policy in policies.items())
    else:
        found = tuple(adapt(policy) for policy in policies)
    names = [policy.name for policy in found]
    for name in names:
        if names.count(name) > 1 or name == LOGGED:
            need = "must be unique among the policies, and not the logging policy's"
            raise InputError(need, field="name", value=name)
    if not found:
        raise InputError("must name at least one policy", field="policies")
    return found


LOGGED = "logged"  # the logging policy's name in every comparison


def adapt(policy: Any, name: str | None = None) -> Adapted:
    """One policy. A Policy is taken as it declares itself; a stable-baselines3 model by its distribution.

    An SB3 model that knows no masks is evaluated as the environment executes it: what it would put on a
    forbidden treatment falls to silence. One without a distribution (DQN) is evaluated as its argmax.
    """
    if hasattr(policy, "probabilities"):
        digest = getattr(getattr(policy, "manifest", None), "policy_digest", None)
        return Adapted(name or str(policy.name), policy.probabilities, digest)
    if hasattr(policy, "policy") and hasattr(policy, "predict"):
        return Adapted(name or type(policy).__name__, _of_model(policy))
    if callable(policy):
        return Adapted(name or str(getattr(policy, "__name__", type(policy).__name__)), policy)
    raise InputError(
        "must be a policy, a stable-baselines3 model or a callable (observation, mask) -> probabilities",
        field="policy",
        value=type(policy).__name__,
    )


def on_log(
    policy: Adapted, log: Log, prices: Prices | None, mask: np.ndarray | None = None
) -> np.ndarray:  # (n, A) float64
    """What a policy would have done at every decision of a log, as declared and at these prices.

    mask: what its own rules would have allowed, (n, A) bool; None: what the log's did. InputError names the decision
    """
    try:
        return policy.probabilities(log.observation_at(prices), log.mask if mask is None else mask)
    except InputError as fault:
        if fault.row is None:
            raise
        where = f"{fault.field} at decision {log.decision_id[fault.row]}"
        row = fault.row if log.steps is None else None  # rows of a part say nothing
        raise InputError(fault.need, file=fault.file, field=where, value=fault.value, row=row) from None


def _of_model(model: Any) -> Probabilities:
    def probabilities(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        expected = model.observation_space.shape
        if expected != observation.shape[1:]:
            raise InputError(
                f"must be {observation.shape[1:]}, as in the log", field="observation space", value=expected
            )
        if not hasattr(model.policy, "get_distribution"):
            return _executed(_argmax(model, observation, mask), mask)
        return _executed(_distribution(model.policy, observation, mask), mask)

    return probabilities


def _distribution(network: Any, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    import inspect

    tensor, _ = network.obs_to_tensor(observation)
    masked = "action_masks" in inspect.signature(network.get_distribution).parameters
    chosen = network.get_distribution(tensor, action_masks=mask) if masked else network.get_distribution(tensor)
    inner: Any = getattr(chosen, "distribution", None)
    if not hasattr(inner, "probs"):
        raise InputError("must be discrete, one action per treatment", field="action space", value=str(inner))
    return np.asarray(inner.probs.detach().cpu().numpy(), dtype=np.float64)


def _argmax(model: Any, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    actions, _ = model.predict(observation, deterministic=True)
    return np.eye(mask.shape[1])[np.asarray(actions, dtype=np.int64)]


def _executed(p: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Probability on a forbidden treatment falls to silence, as the environment executes it."""
    if p.shape != mask.shape:
        raise InputError(f"must have {mask.shape[1]} actions, as the catalogue", field="action space", value=p.shape)
    kept = np.where(mask, p, 0.0)
    kept[:, 0] += np.where(mask, 0.0, p).sum(axis=1)
    return kept
