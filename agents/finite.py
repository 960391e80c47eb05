"""Not a number, or infinite: learning stops at once, since nothing that follows would mean anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

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


def watch(policy: nn.Module, scorer: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Check the logits of every forward pass and the gradients before every step of the optimizer."""

    def logits(_module: nn.Module, _inputs: Any, found: Any) -> None:
        for part in found:
            if not bool(torch.isfinite(part).all()):
                raise NotFinite("must be finite", field="logits", value=float("nan"))

    def gradients(_optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        for name, parameter in policy.named_parameters():
            if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
                raise NotFinite("must be finite", field=f"gradient of {name}", value=float("nan"))

    scorer.register_forward_hook(logits)
    optimizer.register_step_pre_hook(gradients)
