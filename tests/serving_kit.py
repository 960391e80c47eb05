"""A small bank for tests of artifacts and the service: two channels, three products, a network written by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from agents.artifact import load_policy, write_artifact
from agents.manifest import Manifest
from envs.catalogue import Catalogue
from envs.observation import Encoder
from envs.rules import Cap, Rules
from envs.schema import Schema
from serving import pages
from serving.model import Model
from serving.schemas import DecisionRequest, EventsRequest

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
CATALOGUE = Catalogue(
    name="kit",
    products=[
        {"id": "deposit"},
        {"id": "fund", "risk_level": 3},
        {"id": "care", "selling": False},
    ],
    benefits=[{"id": "points", "cost": 2.0}],
    channels=[
        {"id": "sms", "family": "online", "annoyance": 0.1},
        {"id": "call", "family": "remote", "annoyance": 0.4},
        {"id": "app", "family": "online", "inbound": "app_session"},
    ],
    pools=[{"id": "seats", "capacity": 100}],
    treatments=[
        {"id": "sms-deposit", "product": "deposit", "channel": "sms", "benefit": "points", "cost": 0.1},
        {"id": "call-fund", "product": "fund", "channel": "call", "format": "voice", "effort": {"seats": 5}},
        {"id": "call-deposit", "product": "deposit", "channel": "call", "effort": {"seats": 4}},
        {"id": "app-care", "product": "care", "channel": "app"},
    ],
)
SCHEMA = Schema(
    columns=[
        {"name": "income", "type": "number", "center": 10_000, "scale": 5_000},
        {"name": "segment", "type": "category", "categories": ["mass", "private"], "nullable": True},
        {"name": "risk_rating", "type": "number"},
    ],
    triggers=["app_session", "inbound_call"],
    prices={"annoyance": {"default": 1.0, "high": 20.0}, "seats": {"default": 0.0, "high": 2.0}},
    task={"kind": "continuing", "calendar": "CN"},
)
RULES = Rules(suitability="risk_rating", caps=[Cap(name="two a week", most=2, days=7)], refusal_days=30)
PROFILE = {"income": 12_000, "segment": "mass", "risk_rating": 3}
ENCODER = Encoder(CATALOGUE, SCHEMA)


def network_bytes(fields: int, treatments: int, *, seed: int = 0, gain: float = 1.0) -> bytes:
    """A linear softmax policy: softmax(observation @ W + ln of the mask), exactly 0 where masked."""
    weights = (gain * np.random.default_rng(seed).normal(size=(fields, treatments))).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["observation", "weights"], ["scores"]),
        helper.make_node("Where", ["mask", "scores", "low"], ["allowed"]),
        helper.make_node("Softmax", ["allowed"], ["soft"], axis=-1),
        helper.make_node("Where", ["mask", "soft", "zero"], ["probabilities"]),
    ]
    constants = {"weights": weights, "low": np.float32(-1e9), "zero": np.float32(0)}
    return graph_bytes(nodes, constants, fields, treatments)


def graph_bytes(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], fields: int, treatments: int) -> bytes:
    """An ONNX file with the ports of an artifact."""
    ports = [
        helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", fields]),
        helper.make_tensor_value_info("mask", TensorProto.BOOL, ["batch", treatments]),
    ]
    out = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", treatments])
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "policy", ports, [out], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def kit_network(**options: float) -> bytes:
    """A network of the right widths for the small bank."""
    return network_bytes(len(ENCODER.fields), len(CATALOGUE.treatment_ids), **options)


def write_kit(directory: Path, raw: bytes | None = None, **fields: object) -> Manifest:
    """The small bank's artifact."""
    said: dict = {"name": "kit-policy", "lineage": {"data": "by hand"}} | fields
    return write_artifact(
        directory, catalogue=CATALOGUE, schema=SCHEMA, rules=RULES, onnx=raw or kit_network(gain=0.3), **said
    )


def kit_model(directory: Path) -> Model:
    """The small bank's policy, as the service holds it."""
    write_kit(directory)
    return Model(load_policy(directory), "kit", "champion")


def ask(engine, customer_id="c1", now=NOON, **fields):
    """One decision at `now`."""
    body = {"customer_id": customer_id, "customer": PROFILE, "at": now} | fields
    return engine.decide(DecisionRequest(**body), now)


def tell(engine, *events, now=NOON):
    """Some events, said at `now`."""
    return engine.record(EventsRequest(events=list(events)), now)


def rows(engine, table=pages.decisions):
    """A table of the ledger, column by column."""
    with engine.ledger.turn() as turn:
        return turn.columns(table)
