"""Networks to compare the treatment-scoring one with: a plain one, and ones not told the heads or the prices."""

from __future__ import annotations

import torch
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import nn

from agents.expecting import Expecting
from agents.layout import Layout
from agents.network import ScoringPolicy, TreatmentScorer
from envs.prices import prices_from
from envs.world import World


class PlainScorer(nn.Module):
    """stable-baselines3's own perceptron for decisions and value, and an output of its own for every treatment."""

    LAST = ("scores",)

    def __init__(
        self, layout: Layout, width: int, layers: int, embedding: int, expecting: Expecting | None = None
    ) -> None:
        """embedding, expecting: of no use here."""
        super().__init__()
        fields, treatments = len(layout.general) + layout.product.size + layout.channel.size, len(layout.pair) + 1
        self.layout, self.latent_dim_pi, self.latent_dim_vf = layout, treatments, width
        self.towers = MlpExtractor(fields, [width] * layers, nn.ReLU)
        self.scores = nn.Linear(width, treatments)

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, fields) -> scores (batch, treatments), latent of the value (batch, width)."""
        return self.forward_actor(observation), self.forward_critic(observation)

    def forward_actor(self, observation: torch.Tensor) -> torch.Tensor:
        return self.scores(self.towers.forward_actor(observation))

    def forward_critic(self, observation: torch.Tensor) -> torch.Tensor:
        return self.towers.forward_critic(observation)


class PlainPolicy(ScoringPolicy):
    """The same learner, imitation and masks with the plain network."""

    Scorer = PlainScorer


class UntoldScorer(TreatmentScorer):
    """The scoring network without the heads of the world."""

    def __init__(
        self, layout: Layout, width: int, layers: int, embedding: int, expecting: Expecting | None = None
    ) -> None:
        super().__init__(layout, width, layers, embedding)


class UntoldPolicy(ScoringPolicy):
    """The same learner with it."""

    Scorer = UntoldScorer


def unpriced(world: World) -> type[ScoringPolicy]:
    """The scoring network that sees the usual prices, whatever they are."""
    encoder = world.encoder
    columns = list(encoder.price_columns.values())
    usual = torch.as_tensor(encoder.price_fields(prices_from(None, world.catalogue, world.schema).vector()))

    class Scorer(TreatmentScorer):
        """Deaf to prices, in decisions and value."""

        def _read(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            seen = observation.clone()
            seen[:, columns] = usual.to(seen.dtype)
            return super()._read(seen)

    class UnpricedPolicy(ScoringPolicy):
        """The same learner with it."""

    UnpricedPolicy.Scorer = Scorer
    return UnpricedPolicy


def parameters(network: nn.Module) -> int:
    """How many numbers it learns."""
    return sum(parameter.numel() for parameter in network.parameters())
