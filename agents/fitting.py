"""Fitting a network to rows by Adam: passes in a new order each, the step size falls linearly to zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch

Advance = Callable[[float], None]


class Passes(NamedTuple):
    """How long, and in what steps."""

    epochs: int
    batch: int  # rows per gradient step
    learning_rate: float  # at the start
    seed: int  # of the order


class Loss(NamedTuple):
    """Of a batch of rows: what is made small, and what is told of it."""

    minimised: torch.Tensor
    told: torch.Tensor


def fit_rows(
    parameters: Iterable[torch.nn.Parameter],
    rows: Sequence[torch.Tensor],
    loss_of: Callable[..., Loss],
    passes: Passes,
    advance: Advance | None = None,
) -> list[float]:
    """Fit parameters in place. rows: columns of as many rows each; loss_of: of a batch of them.

    -> what was told of each epoch, mean over rows
    """
    count = len(rows[0])
    generator = torch.Generator().manual_seed(passes.seed)
    optimizer = torch.optim.Adam(parameters, lr=passes.learning_rate)
    steps = passes.epochs * -(-count // passes.batch)
    fall = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    losses: list[float] = []
    for _ in range(passes.epochs):
        order, total = torch.randperm(count, generator=generator), 0.0
        for some in torch.split(order, passes.batch):
            loss = loss_of(*(column.index_select(0, some) for column in rows))
            optimizer.zero_grad()
            loss.minimised.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            fall.step()
            total += float(loss.told.detach()) * len(some)
            if advance is not None:
                advance(len(some))
        losses.append(total / count)
    return losses
