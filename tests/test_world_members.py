"""Members around the bank: drawn by the stated law, seeded, the bank left alone; written, training finds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from world_kit import small_world

from agents.baselines import CoordinatedRules, parameters
from benchmarks.ensemble import over_members, share_over_members
from envs.errors import InputError
from envs.frozen import check_frozen
from envs.members import FILE, StandardErrors, load_standard_errors, member
from envs.response import Term
from envs.world import BUILT_IN, World, load_world, save_world
from evaluation.simulation import simulate
from training.calibration_ensemble import ensemble, write_members

BANK, ERRORS = load_world("bank"), load_standard_errors(BUILT_IN / "bank")


def values(world: World) -> np.ndarray:
    return np.array([term.value for head in world.coefficients.heads.values() for term in head.terms])


def known(world: World) -> np.ndarray:
    return np.array([ERRORS.of(name, term) for name, head in world.coefficients.heads.items() for term in head.terms])


def test_every_standard_error_is_of_a_coefficient_that_the_bank_has() -> None:
    check_frozen(BUILT_IN / "bank", parameters())
    for name, own in ERRORS.heads.items():
        assert set(own) <= {term.feature for term in BANK.coefficients.heads[name].terms}, name
        assert all(error > 0 for error in own.values())


def test_a_coefficient_without_a_measured_error_has_a_share_of_its_size_and_none_more_than_the_most() -> None:
    errors = StandardErrors(source="by hand", unmeasured=0.25, most=1.0, heads={"engaged": {"1": 0.3, "age": 7.0}})
    term = Term(feature="1", value=-2.0)
    assert errors.of("engaged", term) == 0.3
    assert errors.of("converted", term) == 0.5
    assert errors.of("engaged", term.model_copy(update={"feature": "age"})) == 1.0
    assert errors.of("converted", term.model_copy(update={"value": -30.0})) == 1.0  # never stays never


def test_coefficients_spread_around_the_banks_own_by_their_standard_errors() -> None:
    errors = known(BANK)
    sure = errors == 0  # a zero that no log tells
    drawn = np.stack([values(member(BANK, ERRORS, k)) for k in range(200)])
    away = (drawn[:, ~sure] - values(BANK)[~sure]) / errors[~sure]
    assert abs(away.mean()) < 4 / away.size**0.5
    assert away.std() == pytest.approx(1.0, abs=0.01)
    assert np.abs(np.corrcoef(away[:, :2].T)[0, 1]) < 0.3
    np.testing.assert_array_equal(drawn[:, sure], 0.0)


def test_a_member_is_a_matter_of_seed_and_number_and_changes_nothing_else() -> None:
    before = BANK.digest
    first, again, second, other = (member(BANK, ERRORS, k, seed) for k, seed in ((0, 0), (0, 0), (1, 0), (0, 1)))
    assert first.digest == again.digest
    assert len({first.digest, second.digest, other.digest, before}) == 4
    assert BANK.digest == before
    assert first.coefficients.hidden == BANK.coefficients.hidden
    assert replace(first, coefficients=BANK.coefficients).digest == before
    assert (first.encoder.digest, first.catalogue.digest) == (BANK.encoder.digest, BANK.catalogue.digest)


def test_a_member_can_be_simulated_and_differs() -> None:
    found = [
        simulate(world, CoordinatedRules(world.catalogue, world.encoder), np.arange(300), 14, seed=0).contacts.sum()
        for world in (BANK, member(BANK, ERRORS, 3))
    ]
    assert found[0] != found[1]
    assert min(found) > 0


def test_written_members_are_what_training_takes_side_by_side(tmp_path: Path) -> None:
    small = small_world(organic=None)
    errors = StandardErrors(source="by hand", unmeasured=0.25, most=1.0, heads={})
    drawn = [member(small, errors, k) for k in range(3)]
    save_world(small, tmp_path)
    write_members(tmp_path, [one.coefficients for one in drawn])
    taken = ensemble(small, tmp_path)
    assert [one.digest for one in taken] == [one.digest for one in drawn]
    write_members(tmp_path, [])
    assert ensemble(small, tmp_path) == ()


def test_a_file_of_standard_errors_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("source: x\nunmeasured: -1\nmost: 1\nheads: {}\n")
    with pytest.raises(InputError, match=f"{FILE}, line 2: unmeasured == -1, must be greater than or equal to 0"):
        load_standard_errors(tmp_path)


def test_intervals_over_members_are_students() -> None:
    mean, lo, hi = over_members(np.array([1.0, 2.0, 3.0]))
    assert (mean, hi - mean, mean - lo) == pytest.approx((2.0, 4.302653 / 3**0.5, 4.302653 / 3**0.5))
    share, lo, hi = share_over_members(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]))
    assert (share, lo, hi) == pytest.approx((0.1, 0.1, 0.1))  # the same share in every member: no spread
