"""The network: a trunk reads the customer, and shared weights score every treatment by what it is.

    p_j  = relu(product j's fields and features, and the trunk)           one embedding per product
    c_k  = relu(channel k's fields and features, and the trunk)           one embedding per channel
    score of product j over channel k = <M p_j, c_k> + w p_j + v c_k + <gate(trunk), attributes of the treatment>
                                        + <weigh(trunk), what the treatment is expected to bring>

Silence scores 0: what the others are measured by. The trunk reads the fields of the whole customer and the means of
what products and channels show. Products and channels stand in places, and all places share their weights: there are
no identity inputs and no biases per treatment, so that a product, a channel or a treatment can be added to a trained
network. Products meet channels in embeddings, not treatment by treatment: the work grows with products + channels.

What a treatment is expected to bring is reckoned by the heads of the world (`agents/expecting.py`): learning starts
from what calibration knows, and corrects it (Silver, Allen, Tenenbaum & Kaelbling 2018, "Residual policy learning").
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from torch import nn

from agents.expecting import SCALED, Expecting
from agents.layout import Layout

VALUE_WIDTH = 64  # units of the value's hidden layer


class TreatmentScorer(nn.Module):
    """Scores of all treatments and the latent of the value, from the observation."""

    LAST = ("meet", "of_product", "of_channel", "treatment_is", "weigh")  # layers that scores come out of
    _general: torch.Tensor  # columns, see Layout; products' and channels' follow
    _product: torch.Tensor
    _channel: torch.Tensor
    _pair: torch.Tensor
    _about_product: torch.Tensor
    _about_channel: torch.Tensor
    _about_treatment: torch.Tensor

    def __init__(
        self, layout: Layout, width: int, layers: int, embedding: int, expecting: Expecting | None = None
    ) -> None:
        """width, layers: of the trunk; embedding: units in which products and channels meet; expecting: None is told
        nothing of what treatments bring."""
        super().__init__()
        self.latent_dim_pi, self.latent_dim_vf = len(layout.pair) + 1, width
        self.layout = layout
        for name in ("general", "product", "channel", "pair", "about_product", "about_channel", "about_treatment"):
            self.register_buffer(f"_{name}", torch.as_tensor(getattr(layout, name)), persistent=False)
        self.read_product = nn.Linear(layout.product.shape[1], embedding)
        self.read_channel = nn.Linear(layout.channel.shape[1], embedding)
        self.product_is = nn.Linear(layout.about_product.shape[1], embedding, bias=False)
        self.channel_is = nn.Linear(layout.about_channel.shape[1], embedding, bias=False)
        sizes = [len(layout.general) + 2 * embedding, *[width] * layers]
        blocks = [[nn.Linear(a, b), nn.ReLU()] for a, b in pairwise(sizes)]
        self.trunk = nn.Sequential(*[layer for block in blocks for layer in block])
        self.to_product, self.to_channel = nn.Linear(width, embedding), nn.Linear(width, embedding)
        self.meet = nn.Linear(embedding, embedding, bias=False)
        self.of_product, self.of_channel = (nn.Linear(embedding, 1, bias=False) for _ in range(2))
        self.gate = nn.Linear(width, embedding)
        self.treatment_is = nn.Linear(layout.about_treatment.shape[1], embedding, bias=False)
        self.expecting, self.weigh = expecting, nn.Linear(width, SCALED)

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, fields) -> scores (batch, treatments), latent of the value (batch, width)."""
        products, channels, latent = self._read(observation)
        return self._scores(observation, products, channels, latent), latent

    def forward_actor(self, observation: torch.Tensor) -> torch.Tensor:
        return self._scores(observation, *self._read(observation))

    def forward_critic(self, observation: torch.Tensor) -> torch.Tensor:
        return self._read(observation)[2]

    def _read(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What products and channels show, (batch, products or channels, embedding), and the trunk's (batch, width)."""
        products = self.read_product(_taken(observation, self._product)) + self.product_is(self._about_product)
        channels = self.read_channel(_taken(observation, self._channel)) + self.channel_is(self._about_channel)
        means = [torch.relu(shown).mean(dim=1) for shown in (products, channels)]
        return products, channels, self.trunk(torch.cat([_taken(observation, self._general), *means], dim=1))

    def _scores(
        self, observation: torch.Tensor, products: torch.Tensor, channels: torch.Tensor, latent: torch.Tensor
    ) -> torch.Tensor:
        wanted = torch.relu(products + self.to_product(latent)[:, None])
        liked = torch.relu(channels + self.to_channel(latent)[:, None])
        pairs = torch.bmm(self.meet(wanted), liked.transpose(1, 2))  # (batch, products, channels)
        pairs = pairs + self.of_product(wanted) + self.of_channel(liked).transpose(1, 2)
        contacts = _taken(pairs.flatten(1), self._pair) + self.gate(latent) @ self.treatment_is(self._about_treatment).T
        contacts = nn.functional.pad(contacts, (1, 0))
        if self.expecting is None:
            return contacts
        with torch.no_grad():
            told = self.expecting.scaled(observation)
        return contacts + torch.bmm(self.weigh(latent)[:, None], told)[:, 0]


def _taken(values: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """values[:, columns], faster. (batch, width), any shape -> (batch, *shape)"""
    return values.index_select(1, columns.flatten()).reshape(-1, *columns.shape)


class ScoringPolicy(MaskableActorCriticPolicy):
    """MaskablePPO's policy with the treatment-scoring network; masks stay exact."""

    Scorer = TreatmentScorer

    def __init__(
        self,
        *args: Any,
        layout: Layout,
        width: int,
        layers: int,
        embedding: int,
        expecting: Expecting | None = None,
        **kwargs: Any,
    ) -> None:
        self._make = partial(self.Scorer, layout, width, layers, embedding, expecting)
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = self._make()  # type: ignore[assignment]  # any module with its two heads

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        self._build_mlp_extractor()
        scorer = self.mlp_extractor
        self.action_net = nn.Identity()
        hidden = nn.Linear(scorer.latent_dim_vf, VALUE_WIDTH)
        self.value_net = nn.Sequential(hidden, nn.ReLU(), nn.Linear(VALUE_WIDTH, 1))  # type: ignore[assignment]
        for module in (scorer, self.value_net):
            module.apply(partial(self.init_weights, gain=float(np.sqrt(2))))
        for last in self.Scorer.LAST:  # nearly even at first
            self.init_weights(scorer.get_submodule(last), gain=0.1)
        options = {"lr": lr_schedule(1), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **options)


class Exported(nn.Module):
    """The graph that leaves: observation and mask in, probabilities out, with temperature and floor.

    It reckons in float64: scores go up to some 50 and are divided by the temperature, so that in float32 the order in
    which a library adds moves probabilities by 1e-5 (measured, networks of both built-in worlds).
    """

    def __init__(self, scorer: TreatmentScorer, temperature: float, floor: float) -> None:
        super().__init__()
        self.scorer, self.temperature, self.floor = deepcopy(scorer).double(), temperature, floor

    def forward(self, observation: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(batch, fields) float32, (batch, treatments) bool -> (batch, treatments) float32."""
        scores = self.scorer.forward_actor(observation.double()) / self.temperature
        chosen = torch.softmax(torch.where(mask, scores, torch.full_like(scores, -1e9)), dim=1)
        allowed = mask.to(scores.dtype)
        even = allowed / allowed.sum(dim=1, keepdim=True)
        return (((1 - self.floor) * chosen + self.floor * even) * allowed).float()
