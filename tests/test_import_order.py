"""Time order: as few rows as possible are left out, the earliest are kept, and what is in order stays whole."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from training.importers.order import in_order

ITEMS = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=2, unique=True), max_size=7)


def rises(values: list[int]) -> bool:
    return values == sorted(values)


@given(ITEMS)
def test_what_is_kept_rises_is_a_choice_and_cannot_be_longer(choices: list[list[int]]) -> None:
    kept = in_order(choices)
    values = [value for value in kept if value is not None]
    assert rises(values)
    assert all(value is None or value in own for value, own in zip(kept, choices, strict=True))
    every = product(*([None, *own] for own in choices))
    longest = max(len(v) for v in ([x for x in pick if x is not None] for pick in every) if rises(v))
    assert len(values) == longest


@given(st.lists(st.integers()))
def test_what_rises_stays_whole_and_one_row_out_of_place_goes_alone(values: list[int]) -> None:
    ordered = sorted(values)
    assert in_order([[v] for v in ordered]) == ordered
    if len(ordered) > 2:
        spoilt = [*ordered[:-1], ordered[0] - 1]
        assert in_order([[v] for v in spoilt]) == [*ordered[:-1], None]
