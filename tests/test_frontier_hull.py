"""Frontiers: hand-worked hulls and mixtures, properties of the hull, intervals that hold seeds and customers."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.baselines import Silence
from envs.errors import InputError
from evaluation.frontier import Frontier, Measured, equal_annoyance, hull
from evaluation.frontier_figure import frontier_figure
from evaluation.intervals import mean_interval, pooled_difference, pooled_seeds
from evaluation.simulation import Totals
from evaluation.trial import Dialled


def totals(profit: list[float], annoyance: list[float]) -> Totals:
    """Customers with these profits and annoyances."""
    zeros = np.zeros(len(profit))
    counts = dict.fromkeys(("conversions", "contacts", "opt_outs", "complaints", "value"), zeros)
    return Totals(np.array(profit), zeros, np.array(annoyance), effort=zeros[:, None], **counts)


def dialled(*names: str) -> list[Dialled]:
    return [Dialled(name, Silence()) for name in names]


SILENT = totals([1.0, 3.0], [0.0, 0.0])
# gain over silence and annoyance, means: a 4 at 1, b 5 at 2 (below the line from a to c), c 8 at 3, d 7 at 5
POINTS = [
    totals([6.0, 6.0], [0.0, 2.0]),
    totals([6.0, 8.0], [2.0, 2.0]),
    totals([9.0, 11.0], [2.0, 4.0]),
    totals([8.0, 10.0], [5.0, 5.0]),
]


def worked() -> Frontier:
    return Frontier.chosen("worked", dialled("a", "b", "c", "d"), POINTS, SILENT)


def test_a_frontier_keeps_the_corners_of_the_hull_and_ends_at_the_most_gain() -> None:
    frontier = worked()
    assert [corner.name for corner in frontier.corners] == ["silence", "a", "c"]
    np.testing.assert_allclose(frontier.annoyance, [0, 1, 3])
    np.testing.assert_allclose(frontier.gain, [0, 4, 8])
    assert frontier.reach == 3


def test_a_mixture_draws_customers_by_lot() -> None:
    frontier = worked()
    mix = frontier.at(2.5)
    assert (mix.low, mix.high, mix.share, mix.slope, mix.reached) == (1, 2, 0.75, 2.0, True)
    assert frontier.gain_at(2.5) == 7.0
    assert frontier.at(1.0).slope == 4.0  # at a corner: the side on which less annoyance costs gain
    assert frontier.gain_at(0.25) == 1.0
    assert frontier.gain_at(0.0) == 0.0


def test_beyond_its_end_a_frontier_stays_there_and_says_so() -> None:
    mix = worked().at(4.0)
    assert (mix.low, mix.high, mix.slope, mix.reached) == (2, 2, 0.0, False)
    assert worked().gain_at(100.0) == 8.0
    silent = Frontier.chosen("nothing better", dialled("worse"), [totals([0.0, 0.0], [1.0, 1.0])], SILENT)
    assert [corner.name for corner in silent.corners] == ["silence"]
    assert silent.gain_at(1.0) == 0.0
    assert not silent.at(1.0).reached


def test_on_other_customers_the_share_is_set_by_the_annoyance_that_comes_out() -> None:
    other = totals([0.0, 0.0], [0.0, 0.0])
    a, c = totals([3.0, 5.0], [1.0, 1.0]), totals([8.0, 10.0], [3.0, 4.0])  # gain 4 at 1, 9 at 3.5
    measured = Measured(worked(), (other, a, c), other)
    assert measured.at(2.0) == (1, 2, pytest.approx(0.4), pytest.approx(2.0), True)
    np.testing.assert_allclose(measured.annoyance(2.0), [1.8, 2.2])
    np.testing.assert_allclose(measured.gain(2.0), [5.4, 6.6])  # 5 and 7, less slope 2 times -.2 and .2
    np.testing.assert_allclose(measured.gain(9.0), [8.0, 10.0])  # the end as it is
    assert (measured.reach, measured.at(9.0).reached) == (3.5, False)
    assert measured.frame["gain"].to_list() == [0.0, 4.0, 9.0]


def test_corners_that_change_places_are_taken_in_their_new_order() -> None:
    a, c = totals([3.0, 5.0], [2.0, 2.0]), totals([8.0, 10.0], [1.0, 1.0])
    none = totals([0.0, 0.0], [0.0, 0.0])
    measured = Measured(worked(), (none, a, c), none)
    assert measured.gain(0.5).mean() == pytest.approx(4.5)
    assert measured.gain(1.5).mean() == pytest.approx(6.5)  # from 9 at 1 to 4 at 2: what came out is told as it is
    assert measured.reach == 2.0


@given(st.floats(0.01, 2.9))
def test_at_every_level_the_annoyance_is_the_level_and_gain_has_no_jumps(level: float) -> None:
    measured = Measured(worked(), (SILENT, POINTS[0], POINTS[2]), SILENT)
    assert measured.annoyance(level).mean() == pytest.approx(level)
    assert measured.gain(level + 1e-9).mean() == pytest.approx(measured.gain(level).mean(), abs=1e-6)


def test_the_interval_is_that_of_a_share_found_on_the_same_customers() -> None:
    """The delta method against drawing customers anew, share and all."""
    rng, n = np.random.default_rng(0), 400
    low_annoyance, high_annoyance = rng.exponential(1.0, n), rng.exponential(3.0, n)
    low, high = (rng.normal(4 * a, 2.0) for a in (low_annoyance, high_annoyance))
    frontier = Frontier(
        "two", tuple(dialled("silence", "low", "high")), np.array([0, 1.0, 3.0]), np.array([0, 4.0, 9.0])
    )

    def gain(rows: np.ndarray) -> np.ndarray:
        silent = totals(np.zeros(n).tolist(), np.zeros(n).tolist())
        runs = (
            silent,
            *(totals(g[rows].tolist(), a[rows].tolist()) for g, a in ((low, low_annoyance), (high, high_annoyance))),
        )
        return Measured(frontier, runs, silent).gain(2.0)

    said = mean_interval(gain(np.arange(n))).se
    drawn = np.std([gain(rng.integers(0, n, n)).mean() for _ in range(800)])
    assert said == pytest.approx(drawn, rel=0.1)


def test_two_frontiers_are_compared_customer_by_customer() -> None:
    mine = Measured(worked(), (SILENT, POINTS[0], POINTS[2]), SILENT)
    cheap = Frontier.chosen("cheap", dialled("a"), [totals([3.0, 5.0], [1.0, 1.0])], SILENT)
    theirs = Measured(cheap, (SILENT, totals([3.0, 5.0], [1.0, 1.0])), SILENT)
    found = equal_annoyance(mine, theirs, 0.5)
    # mine: (2.5, 1.5) less slope 4 x (-.5, .5): (4.5, -.5); theirs: (1, 1), no excess
    assert found.mine.value == pytest.approx(2.0)
    assert found.theirs.value == pytest.approx(1.0)
    assert found.difference.value == pytest.approx(1.0)
    assert found.difference.se == pytest.approx(mean_interval(np.array([3.5, -1.5])).se)
    assert found.reached == (True, True)
    assert found.annoyance == (0.5, 0.5)
    beyond = equal_annoyance(mine, theirs, 3.0)
    assert beyond.reached == (True, False)
    assert beyond.annoyance == (3.0, 1.0)
    assert beyond.row["difference"] == pytest.approx(6.0)


def test_a_frontier_against_itself_differs_by_nothing() -> None:
    mine = Measured(worked(), (SILENT, POINTS[0], POINTS[2]), SILENT)
    found = equal_annoyance([mine, mine], mine, 1.7)
    assert (found.difference.value, found.difference.lo, found.difference.hi) == (0, 0, 0)


def test_bad_levels_and_other_customers_are_named() -> None:
    mine = Measured(worked(), (SILENT, POINTS[0], POINTS[2]), SILENT)
    fewer = Measured(worked(), tuple(first(t, 1) for t in mine.totals), first(SILENT, 1))
    with pytest.raises(InputError, match=r"annoyance level == -1.0, must be a number >= 0"):
        worked().at(-1.0)
    with pytest.raises(InputError, match=r"theirs == 1, must be tested on the same 2 customers"):
        equal_annoyance([mine, mine], [fewer, fewer, fewer], 1.0)


def first(totals: Totals, customers: int) -> Totals:
    return replace(totals, **{one.name: getattr(totals, one.name)[:customers] for one in fields(totals)})


POINT = st.integers(0, 40).map(lambda k: k / 8)


@given(st.lists(st.tuples(POINT, POINT), min_size=1, max_size=12))
def test_the_hull_lies_above_every_point_rises_and_is_concave(points: list[tuple[float, float]]) -> None:
    x, y = np.array([(0.0, 0.0), *points]).T
    corners = hull(x, y)
    level = np.interp(x, x[corners], y[corners])
    assert (level >= y - 1e-12).all()
    assert (np.diff(x[corners]) > 0).all()
    assert (np.diff(y[corners]) > 0).all()
    slopes = np.diff(y[corners]) / np.diff(x[corners])
    assert (np.diff(slopes) < 0).all()
    assert y[corners[-1]] == y.max()


@given(st.lists(st.tuples(POINT, POINT), min_size=1, max_size=8), POINT)
def test_more_points_never_lower_a_frontier(points: list[tuple[float, float]], level: float) -> None:
    runs = [totals([gain + 1, gain + 3], [annoyance, annoyance]) for annoyance, gain in points]
    names = dialled(*(str(k) for k in range(len(points))))
    less = Frontier.chosen("less", names[:-1], runs[:-1], SILENT)
    more = Frontier.chosen("more", names, runs, SILENT)
    assert more.gain_at(level) >= less.gain_at(level) - 1e-9


@given(arrays(np.float64, (1, 9), elements=st.floats(-5, 5)))
def test_one_seed_is_the_customers_interval(values: np.ndarray) -> None:
    assert pooled_seeds(values) == mean_interval(values[0])


def test_pooled_intervals_cover_the_mean_of_seeds_and_customers() -> None:
    rng, covered, tries = np.random.default_rng(0), 0, 600
    for _ in range(tries):
        seed, customer = rng.normal(0, 1.0, (5, 1)), rng.normal(0, 6.0, (1, 60))
        found = pooled_seeds(3.0 + seed + customer + rng.normal(0, 3.0, (5, 60)))
        covered += found.lo <= 3.0 <= found.hi
    assert 0.935 <= covered / tries <= 0.99  # on the wide side by design


def test_a_difference_covers_when_each_side_has_seeds_of_its_own() -> None:
    rng, covered, tries = np.random.default_rng(1), 0, 1500
    for _ in range(tries):
        customer = rng.normal(0, 6.0, (1, 60))  # shared, as their luck is
        mine = 3.0 + rng.normal(0, 1.0, (5, 1)) + customer + rng.normal(0, 3.0, (5, 60))
        theirs = rng.normal(0, 1.0, (2, 1)) + customer + rng.normal(0, 3.0, (2, 60))
        found = pooled_difference(mine, theirs)
        covered += found.lo <= 3.0 <= found.hi
    assert 0.92 <= covered / tries <= 0.98  # two seeds tell little of their spread: Satterthwaite's is an approximation


def test_the_picture_shows_every_frontier() -> None:
    mine = Measured(worked(), (SILENT, POINTS[0], POINTS[2]), SILENT)
    axes = frontier_figure([mine, mine], "CNY").axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["worked", "worked"]
    line = axes.lines[0]
    assert np.max(line.get_xdata()) == 3
