"""Networks with random weights for the population: `python -m benchmarks.population_networks FOLDER SEED`."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from agents.expecting import Expecting
from agents.layout import Layout
from agents.network import ScoringPolicy
from agents.onnx_export import STATES, export_graph, export_onnx
from agents.random_states import random_states
from envs.spaces import action_space, observation_space
from envs.world import World, load_world

HIDDEN = 128  # units of a layer; two layers


class Mlp(nn.Module):
    """Fields in, two hidden layers, probabilities of the allowed treatments out."""

    def __init__(self, fields: int, treatments: int) -> None:
        super().__init__()
        sizes = (fields, HIDDEN, HIDDEN)
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.Tanh())]
        self.layers = nn.Sequential(*layers, nn.Linear(HIDDEN, treatments))

    def forward(self, observation: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scores = self.layers(observation)
        return torch.softmax(torch.where(mask, scores, torch.full_like(scores, -1e9)), dim=1)


def mlp(world: World) -> bytes:
    fields, treatments = len(world.encoder.fields), len(world.catalogue.treatment_ids)
    return export_graph(Mlp(fields, treatments).eval(), random_states(world, STATES, 0))


def scorer(world: World) -> bytes:
    """The network that this project trains, of its default size."""
    policy = ScoringPolicy(
        observation_space(world.encoder), action_space(world.catalogue), lambda _: 0.0,
        layout=Layout.of(world.encoder), width=HIDDEN, layers=2, embedding=16, expecting=Expecting(world),
    )  # fmt: skip
    return export_onnx(policy, 1.0, 0.0, random_states(world, STATES, 0))


if __name__ == "__main__":
    torch.manual_seed(int(sys.argv[2]))
    bank = load_world("bank")
    for name, make in (("mlp", mlp), ("scorer", scorer)):
        (Path(sys.argv[1]) / f"{name}.onnx").write_bytes(make(bank))
