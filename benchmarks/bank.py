"""The built-in bank: gain of each policy at equal annoyance, in the bank itself, which no policy was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from agents.artifact import load_policy
from agents.baselines import CoordinatedRules, Silence, SiloedCampaigns
from agents.myopic import Levers, Myopic
from agents.policy import Policy
from benchmarks.kit import Options, Result, main, show
from envs.prices import Prices
from envs.world import World, load_world
from evaluation.intervals import Interval, mean_interval
from evaluation.simulation import Totals, simulate
from training.calibrate import calibrate
from training.configs import CalibrateConfig, SimulateConfig, TrainConfig
from training.evaluate import FIRST_COMPARED
from training.simulate import simulate as simulate_log
from training.simulate import under_silos, weekly
from training.train import train

ANNOYANCE_PRICES = (0.0, 20.0, 100.0, 300.0, 1000.0)  # CNY per opt-out; the trained range
DAYS = 91


def bank(options: Options, result: Result) -> None:
    """Log, calibrate, train; then compare on fresh customers of the bank, along each policy's frontier."""
    tables, world = options.work / "tables", options.work / "world"
    size = (1500, 20_000, 300) if options.quick else (20_000, TrainConfig(world="").steps, 8_000)
    simulate_log(SimulateConfig(customers=size[0], days=DAYS, seed=options.seed, out=tables))
    calibrate(CalibrateConfig(tables=tables, out=world, seed=options.seed, replicates=0))
    run = train(TrainConfig(tables=tables, world=str(world), steps=size[1], seed=options.seed, horizon=DAYS,
                            out=options.work / "training"))  # fmt: skip
    truth, customers = weekly(load_world("bank")), FIRST_COMPARED + np.arange(size[2])
    comparison = Frontiers(truth, customers, options.seed)
    silence = comparison.run(Silence(), ANNOYANCE_PRICES[0])
    fixed = {
        "coordinated_rules": comparison.run(CoordinatedRules(truth.catalogue, truth.encoder), 0.0),
        "siloed_campaigns": comparison.silos(),
    }
    fitted = load_world(world)
    steered = {
        "ppo": [comparison.run(load_policy(run.artifact), price) for price in ANNOYANCE_PRICES],
        "myopic_tuned": [comparison.run(Myopic(fitted, run.levers), price) for price in ANNOYANCE_PRICES],
        "myopic": [comparison.run(Myopic(fitted, Levers()), price) for price in ANNOYANCE_PRICES],
    }
    _tell(result, silence, fixed, steered)
    result.figures["levers"] = vars(run.levers)
    result.conditions |= {"customers": len(customers), "days": DAYS, "steps": size[1], "log_customers": size[0]}


class Frontiers:
    """Runs policies on the same customers of one world."""

    def __init__(self, world: World, customers: np.ndarray, seed: int) -> None:
        self.world, self.customers, self.seed = world, customers, seed

    def run(self, policy: Policy, annoyance_price: float) -> Totals:
        """A policy told this price of annoyance, pools at no price."""
        prices = Prices(annoyance_price, (0.0,) * len(self.world.catalogue.pools))
        return simulate(self.world, policy, self.customers, DAYS, seed=self.seed, prices=prices)

    def silos(self) -> Totals:
        """Today's silos, day by day under their own rules."""
        world = under_silos(self.world)
        campaigns = SiloedCampaigns(world.catalogue, world.encoder)
        return simulate(world, campaigns, self.customers, DAYS, seed=self.seed, cadence_days=1)


def mixture(frontier: Sequence[Totals], annoyance: float) -> np.ndarray:
    """Profit of each customer under the mixture of two neighbours on a frontier whose mean annoyance is the given one.

    Silence belongs to every frontier; beyond the other end stands that end, see `reaches`. -> (customers,) float64.
    """
    order = sorted(frontier, key=lambda t: float(t.annoyance.mean()))
    levels = np.array([float(t.annoyance.mean()) for t in order])
    at = int(np.clip(np.searchsorted(levels, annoyance), 1, len(levels) - 1))
    low, high = order[at - 1], order[at]
    share = float(np.clip((annoyance - levels[at - 1]) / max(levels[at] - levels[at - 1], 1e-12), 0, 1))
    return np.asarray((1 - share) * low.profit + share * high.profit)


def reaches(frontier: Sequence[Totals]) -> float:
    """The largest mean annoyance on a frontier."""
    return max(float(t.annoyance.mean()) for t in frontier)


def _tell(result: Result, silence: Totals, fixed: dict[str, Totals], steered: dict[str, list[Totals]]) -> None:
    rows = [(name, None, *_figures(totals, silence)) for name, totals in {"silence": silence, **fixed}.items()]
    for name, frontier in steered.items():
        rows += [(name, p, *_figures(t, silence)) for p, t in zip(ANNOYANCE_PRICES, frontier, strict=True)]
    columns = ["policy", "annoyance price", "conversions", "margin", "cost", "annoyance", "gain", "gain_lo", "gain_hi"]
    frame = pl.DataFrame(rows, orient="row", schema=columns)
    show(f"The built-in bank, per customer over {DAYS} days (CNY; annoyance in opt-outs; gain over silence)", frame)
    result.figures["frontier"] = frame.to_dicts()
    compared = []
    for baseline in ("siloed_campaigns", "coordinated_rules", "myopic_tuned", "myopic"):
        points = [fixed[baseline]] if baseline in fixed else steered[baseline][1:4]
        for point in points:
            level = float(point.annoyance.mean())
            found = mean_interval(mixture([silence, *steered["ppo"]], level) - point.profit)
            gains = float((point.profit - silence.profit).mean())
            compared.append(
                (baseline, min(level, reaches(steered["ppo"])), level, gains, found.value, found.lo, found.hi)
            )
    names = ["baseline", "annoyance of ppo", "of the baseline", "gain of the baseline", "ppo - baseline", "lo", "hi"]
    table = pl.DataFrame(compared, orient="row", schema=names)
    show("Gain of PPO less the baseline's at equal annoyance (or less, where PPO never annoys as much)", table)
    result.figures["equal_annoyance"] = table.to_dicts()
    for baseline, *_, value, lo, hi in compared:
        key = f"over {baseline}"
        result.holds[key] = result.holds.get(key, True) and lo > 0
        result.targets[key] = f"paired difference of gain at equal annoyance above 0 ({value:.1f} [{lo:.1f}, {hi:.1f}])"


def _figures(totals: Totals, silence: Totals) -> tuple[float, ...]:
    gain: Interval = mean_interval(totals.profit - silence.profit)
    means = (totals.conversions, totals.margin, totals.cost, totals.annoyance)
    return (*(float(values.mean()) for values in means), gain.value, gain.lo, gain.hi)


if __name__ == "__main__":
    main("bank", bank)
