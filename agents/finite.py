"""Not a number, or infinite: learning stops at once, since nothing that follows would mean anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from agents.network import ScoringPolicy
from envs.errors import InputError


class NotFinite(InputError):
    """Something that is learned from, or learned, is not a finite number."""


def check_finite(what: str, values: np.ndarray) -> None:
    """Raise NotFinite with the first row that is not. values: (rows, ...)."""
    if np.isfinite(values).all():
        return
    row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0])
    worst = np.asarray(values[row]).ravel()
    raise NotFinite("must be finite", field=what, value=float(worst[~np.isfinite(worst)][0]), row=row)


def check_losses(told: dict[str, Any]) -> None:
    """The losses that an update has logged."""
    for name, value in told.items():
        if "loss" in name and not np.isfinite(value):
            raise NotFinite("must be finite", field=name, value=float(value))


def check_learned(policy: ScoringPolicy, observation: np.ndarray, mask: np.ndarray) -> None:
    """Whether learning can go on from these weights: weights, scores, values, and the gradient that they would have.

    The gradient of what losses are made of, the critic's squares and the logarithms of probabilities: weights can be
    finite, and what they say, too, while every step from there is lost. PPO cuts gradients by their norm, so that one
    which overflows would become a step of nothing. Nothing is left behind in the network or its generators.

    observation: (rows, fields) float32; mask: (rows, treatments) bool
    """
    weights = dict(policy.named_parameters())
    for name, weight in weights.items():
        _check_tensor(f"weights of {name}", weight)
    scores, latent = policy.mlp_extractor(torch.as_tensor(observation))  # checked by `watch`
    values = policy.value_net(latent)
    _check_tensor("values", values)
    allowed = torch.as_tensor(mask)
    logarithms = torch.log_softmax(scores.masked_fill(~allowed, -torch.inf), dim=1)[allowed]
    loss = values.square().mean() - logarithms.mean()
    _check_tensor("loss", loss)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    _check_tensor("norm of the gradient", torch.nn.utils.get_total_norm(gradients))


def watch(policy: nn.Module, scorer: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Check the logits of every forward pass and the gradients before every step of the optimizer."""

    def logits(_module: nn.Module, _inputs: Any, found: Any) -> None:
        for part in found:
            _check_tensor("logits", part)

    def gradients(_optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        for name, parameter in policy.named_parameters():
            if parameter.grad is not None:
                _check_tensor(f"gradient of {name}", parameter.grad)

    scorer.register_forward_hook(logits)
    optimizer.register_step_pre_hook(gradients)


def _check_tensor(what: str, values: torch.Tensor) -> None:
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        raise NotFinite("must be finite", field=what, value=float(values.detach()[~finite][0]))
