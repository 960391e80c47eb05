"""The network: a trunk reads the customer, and one shared scorer scores every treatment by its features.

A treatment's score comes from the trunk, the treatment's attributes, and the fields of its own product and channel,
through weights that all treatments share; there are no identity inputs and no biases per treatment. The value has its
own head on the same trunk.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from torch import nn

from agents.layout import Layout


class TreatmentScorer(nn.Module):
    """Scores of all treatments and the latent of the value, from the observation."""

    def __init__(self, layout: Layout, fields: int, width: int, layers: int, embedding: int) -> None:
        """fields: of the observation; width, layers: of the trunk; embedding: units of the shared scorer."""
        super().__init__()
        self.latent_dim_pi, self.latent_dim_vf = layout.attributes.shape[0], width
        for name in ("product", "channel", "product_of", "channel_of"):
            self.register_buffer(f"_{name}", torch.as_tensor(getattr(layout, name)))
        self.register_buffer("_attributes", torch.as_tensor(layout.attributes))
        sizes = [fields, *[width] * layers]
        blocks = [[nn.Linear(a, b), nn.ReLU()] for a, b in pairwise(sizes)]
        self.trunk = nn.Sequential(*[layer for block in blocks for layer in block])
        self.from_trunk = nn.Linear(width, embedding)
        self.from_attributes = nn.Linear(layout.attributes.shape[1], embedding, bias=False)
        self.from_product = nn.Linear(layout.product.shape[1], embedding, bias=False)
        self.from_channel = nn.Linear(layout.channel.shape[1], embedding, bias=False)
        self.gate = nn.Linear(width, embedding)
        self.score = nn.Linear(embedding, 1, bias=False)
        self.blend = nn.Linear(layout.attributes.shape[1], embedding, bias=False)

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, fields) -> scores (batch, treatments), latent of the value (batch, width)."""
        latent = self.trunk(observation)
        return self._scores(observation, latent), latent

    def forward_actor(self, observation: torch.Tensor) -> torch.Tensor:
        return self._scores(observation, self.trunk(observation))

    def forward_critic(self, observation: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.trunk(observation)
        return out

    def _scores(self, observation: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Customer and treatment meet twice: through a hidden layer, and as a product of two embeddings."""
        products = self._own(self.from_product, observation, self._product, self._product_of)
        channels = self._own(self.from_channel, observation, self._channel, self._channel_of)
        hidden = self.from_trunk(latent)[:, None] + self.from_attributes(self._attributes) + products + channels
        meeting = torch.relu(hidden)
        scores = self.score(meeting).squeeze(-1)
        product: torch.Tensor = scores + self.gate(latent) @ self.blend(self._attributes).T
        return product

    def _own(self, layer: nn.Linear, observation: torch.Tensor, columns: Any, owner: Any) -> torch.Tensor:
        """Each treatment's own block of fields, embedded; silence gets zeros. -> (batch, treatments, embedding)."""
        blocks = layer(observation[:, columns])
        padded = torch.nn.functional.pad(blocks, (0, 0, 0, 1))
        return padded[:, owner]


class ScoringPolicy(MaskableActorCriticPolicy):
    """MaskablePPO's policy with the treatment-scoring network; masks stay exact."""

    def __init__(self, *args: Any, layout: Layout, width: int, layers: int, embedding: int, **kwargs: Any) -> None:
        self._make = partial(TreatmentScorer, layout, width=width, layers=layers, embedding=embedding)
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = self._make(self.features_dim)  # type: ignore[assignment]  # any module with its two heads

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        self._build_mlp_extractor()
        scorer = self.mlp_extractor
        self.action_net = nn.Identity()
        self.value_net = nn.Linear(scorer.latent_dim_vf, 1)
        for module in (scorer, self.value_net):
            module.apply(partial(self.init_weights, gain=float(np.sqrt(2))))
        for last in ("score", "blend"):
            self.init_weights(scorer.get_submodule(last), gain=0.1)
        options = {"lr": lr_schedule(1), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **options)


class Exported(nn.Module):
    """The graph that leaves: observation and mask in, probabilities out, with temperature and floor."""

    def __init__(self, scorer: TreatmentScorer, temperature: float, floor: float) -> None:
        super().__init__()
        self.scorer, self.temperature, self.floor = scorer, temperature, floor

    def forward(self, observation: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(batch, fields) float32, (batch, treatments) bool -> (batch, treatments) float32."""
        scores = self.scorer.forward_actor(observation) / self.temperature
        chosen = torch.softmax(torch.where(mask, scores, torch.full_like(scores, -1e9)), dim=1)
        allowed = mask.to(scores.dtype)
        even = allowed / allowed.sum(dim=1, keepdim=True)
        return ((1 - self.floor) * chosen + self.floor * even) * allowed
