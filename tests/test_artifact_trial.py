"""A network may come from anybody: what goes wrong as it runs is found in a trial, in bounded time and memory."""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest
from hostile_kit import FIELDS, FILE, ONE, TREATMENTS, flat, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from serving_kit import kit_network, network_bytes

from agents import network_file
from agents.bounded import memory_bounded, time_bounded
from agents.network_file import load_network
from agents.onnx_guard import check_network
from envs.errors import InputError


def test_a_network_that_takes_memory_without_end_is_refused() -> None:
    """Ten billion numbers out of one: as a constant, and as a broadcast of weights that do stand in the file."""
    filled = helper.make_node("ConstantOfShape", ["size"], ["filled"])
    total = helper.make_node("ReduceSum", ["filled"], ["sum"], keepdims=0)
    scale = helper.make_node("Exp", ["sum"], ["scale"])
    said = refused(flat(filled, total, scale, size=np.array([10**10])))
    assert "must answer 256 trial decisions within 20 s and 1024 MiB" in said
    row, column = np.ones((1, 50_000), np.float32), np.ones((50_000, 1), np.float32)
    outer = helper.make_node("Mul", ["column", "row"], ["outer"])
    largest = helper.make_node("ReduceMax", ["outer"], ["scale"], keepdims=0)
    assert "1024 MiB" in refused(flat(outer, largest, row=row, column=column))


def test_a_network_that_takes_time_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices that are small to hold and long to multiply, again and again."""
    monkeypatch.setattr(network_file, "SECONDS", 0.5)
    ones = helper.make_node("ConstantOfShape", ["size"], ["m0"], value=helper.make_tensor("v", 1, [1], [1e-4]))
    powers = [helper.make_node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(200)]
    scale = helper.make_node("ReduceMax", ["m200"], ["scale"], keepdims=0)
    started = time.monotonic()
    assert "must answer 256 trial decisions within 0.5 s" in refused(
        flat(ones, *powers, scale, size=np.array([1500] * 2))
    )
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("low", [0.0, 5.0])
def test_a_network_that_goes_wrong_for_some_observations_is_found(low: float) -> None:
    """Half of all, or one in twenty, make it answer with the square root of less than nothing."""
    nodes = [
        helper.make_node("Slice", ["observation", "zero", "one", "one"], ["first"]),
        helper.make_node("Add", ["first", "low"], ["above"]),
        helper.make_node("Sqrt", ["above"], ["scale"]),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "low": np.array([low], np.float32)}
    assert "must sum to 1 in a trial decision" in refused(flat(*nodes, **constants))


def test_a_harmless_network_passes() -> None:
    flat_network = load_network(flat(ONE).SerializeToString(), FIELDS, TREATMENTS, FILE)
    answer = flat_network(np.zeros((3, FIELDS), np.float32), np.ones((3, TREATMENTS), np.bool_))
    np.testing.assert_allclose(answer, 1 / TREATMENTS, rtol=1e-6)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_network_or_refused(data: st.DataObject) -> None:
    raw = kit_network()
    for _ in range(data.draw(st.integers(1, 3))):
        at, gone = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 30))
        raw = raw[:at] + data.draw(st.binary(max_size=6)) + raw[at + gone :]
    said = ""
    try:
        network = load_network(raw, FIELDS, TREATMENTS, FILE)
        answer = network(np.zeros((1, FIELDS), np.float32), np.ones((1, TREATMENTS), np.bool_))
        assert answer.sum() == pytest.approx(1, abs=1e-3)
    except InputError as refusal:
        said = str(refusal)
    assert "\n" not in said


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_network_that_is_cut_short_is_refused(share: float) -> None:
    raw = network_bytes(FIELDS, TREATMENTS)
    assert "policy.onnx: must be" in refused(raw[: int(share * len(raw))]) or share == 0.0


# --- the bounds themselves


def test_memory_is_bounded_inside_and_free_after() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), memory_bounded(64 << 20):
        np.ones(1 << 28)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert np.ones(1 << 20).sum() == 1 << 20


def test_time_is_bounded_and_what_is_quick_is_left_alone() -> None:
    stopped: list[bool] = []
    with time_bounded(0.05, lambda: stopped.append(True)):
        time.sleep(0.3)
    assert stopped == [True]
    with time_bounded(0.2, lambda: stopped.append(True)):
        pass
    time.sleep(0.3)
    assert stopped == [True]


def test_bytes_that_say_nothing_are_no_model() -> None:
    with pytest.raises(ValueError, match="found 0 times"):
        check_network(b"")
