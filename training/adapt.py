"""Adapt: the network of a training for a world with other products, channels or treatments, without learning anew.

All of its weights are shared between places, so that a new product is a new place that reads its own fields and
features. What it was made to read stays: an attribute that it never saw is refused. The new artifact says where it
comes from, and is worth what an evaluation finds: nothing was learned about what was added.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from agents.artifact import ArtifactPolicy, load_policy, write_artifact
from agents.checkpoint import Checkpoint, read_checkpoint
from agents.expecting import Expecting
from agents.layout import Layout, Reading
from agents.manifest import Manifest
from agents.network import Exported, TreatmentScorer
from agents.onnx_export import STATES, export_graph
from agents.random_states import random_states
from envs.attributes import Columns
from envs.config import load_config
from envs.errors import InputError
from envs.world import World, load_world
from training.configs import AdaptConfig, TrainConfig
from training.course import CHECKPOINT
from training.runs import run_directory
from training.train import CONFIG

OF_SCORES = "mlp_extractor."  # what the names of the scorer's weights begin with


@dataclass(frozen=True)
class Adapted:
    """A network for another catalogue."""

    directory: Path
    artifact: Path
    manifest: Manifest
    added: tuple[str, ...]  # treatments that the training did not know
    gone: tuple[str, ...]  # and those that are no more

    @property
    def policy(self) -> ArtifactPolicy:
        return load_policy(self.artifact)

    def __str__(self) -> str:
        changes = f"{len(self.added)} treatments added, {len(self.gone)} gone; nothing was learned about them"
        return f"policy {self.manifest.policy_digest[:12]} in {self.artifact} ({changes})"


def adapt(config: AdaptConfig) -> Adapted:
    """Write the artifact of a training's best weights for another world."""
    trained = config.training
    kept = read_checkpoint(trained / CHECKPOINT)
    said = load_config(TrainConfig, trained / CONFIG)
    before, world = load_policy(trained), load_world(config.world)
    network = rebuilt(kept, said, world, trained / CHECKPOINT)
    graph = Exported(network, said.temperature, said.floor).eval()
    raw = export_graph(graph, random_states(world, STATES, said.seed))
    directory = run_directory("adapt", config.out)
    lineage = {**before.manifest.lineage, "adapted_from": before.digest, "adapted_to": world.digest}
    manifest = write_artifact(
        directory / "policy",
        name=before.name,
        catalogue=world.catalogue,
        schema=world.schema,
        rules=world.rules,
        onnx=raw,
        temperature=said.temperature,
        floor=said.floor,
        price_range=dict(before.manifest.price_range),
        lineage=lineage,
    )
    then, now = before.manifest.treatments, manifest.treatments
    added, gone = tuple(t for t in now if t not in then), tuple(t for t in then if t not in now)
    return Adapted(directory, directory / "policy", manifest, added, gone)


def rebuilt(kept: Checkpoint, said: TrainConfig, world: World, file: Path) -> TreatmentScorer:
    """The scorer of a checkpoint's best weights over another world's catalogue. file: for error messages"""
    layout = Layout.of(world.encoder, reading_of(kept))
    network = TreatmentScorer(layout, said.width, said.layers, said.embedding, Expecting(world))
    best = {name.removeprefix("best/"): array for name, array in kept.arrays.items() if name.startswith("best/")}
    best = best or {n.removeprefix("network/"): a for n, a in kept.arrays.items() if n.startswith("network/")}
    own = {n.removeprefix(OF_SCORES): torch.as_tensor(a) for n, a in best.items() if n.startswith(OF_SCORES)}
    for name, weight in network.state_dict().items():
        if name not in own or own[name].shape != weight.shape:
            found = tuple(own[name].shape) if name in own else "missing"
            raise InputError(f"must be of shape {tuple(weight.shape)}", file=file, field=name, value=found)
    network.load_state_dict(own)
    return network


def reading_of(kept: Checkpoint) -> Reading:
    """What the network of a checkpoint was made to read."""
    said = kept.said["reading"]
    columns = (Columns(tuple(said[k]["names"]), tuple(said[k]["largest"])) for k in ("product", "channel", "treatment"))
    return Reading(tuple(said["general"]), *columns)
