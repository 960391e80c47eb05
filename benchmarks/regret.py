"""A policy trained in the bank, in worlds that are not what the bank was: beside baselines, and its regret.

Policy and baselines are trained and tuned in the built-in bank, with the same budget of customer-days, and know nothing
of a stress; the baselines stand at the position of their dials that was worth most at the usual price on selection
customers of the bank. In each stress world they are run on the same test customers with the same luck, one decision a
day, told the usual prices. Gain: margin - cost - price x annoyance, over silence in that world.

Regret: what the policy *retrained* in the stress world (defaults, same budget, another seed) gains there, less what the
bank's policy does, paired by customer. In the row of no stress it is what the seed alone makes of a training. Customers
judged one by one do not feel half of the pools, neither do they in training: there the retrained policy is the bank's.
Half of the pools where customers share them: `benchmarks.robustness` and `benchmarks.capacity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.artifact import ArtifactPolicy
from agents.baselines import parameters
from benchmarks.kit import Options, Result, main, show, within
from benchmarks.trained import customer_days, trained
from envs.frozen import check_frozen
from envs.prices import Prices, prices_from
from envs.stress import stressed, stresses_of
from envs.world import BUILT_IN, load_world
from evaluation.frontier import Frontier
from evaluation.intervals import Interval, pooled_seeds
from evaluation.robustness import PLAIN
from evaluation.simulation import Totals
from evaluation.trial import Dialled, Trial
from training.configs import TrainConfig
from training.evaluate import FIRST_COMPARED
from training.tuned import BaselinesConfig, Name, tuned_baselines

DAYS, CUSTOMERS, SEEDS = 91, 4000, 1
BASELINES: tuple[Name, ...] = (
    "siloed_campaigns", "coordinated_rules", "coordinated_tuned", "propensity_margin", "true_heads", "clairvoyant",
)  # fmt: skip
QUICK: tuple[Name, ...] = ("siloed_campaigns", "coordinated_rules", "propensity_margin", "true_heads")
QUICK_STRESS = "annoyance_twice"  # the only one that is trained in by --quick
YARDSTICKS = ("true_heads", "clairvoyant")  # know what no bank does
UNFELT = ("half_capacity",)  # by customers who share no pools


class Regret(NamedTuple):
    """What was missed of another policy's gain, in currency and as a share of it."""

    difference: Interval
    share: Interval


def regret(options: Options, result: Result) -> None:
    """Train in the bank and in every stress world, run everything in all of them."""
    quick, bank = options.quick, load_world("bank")
    result.conditions["bank"] = str(check_frozen(BUILT_IN / "bank", parameters()))
    days, tested = (28 if quick else DAYS), FIRST_COMPARED + np.arange(300 if quick else CUSTOMERS)
    stresses = (QUICK_STRESS, *UNFELT) if quick else stresses_of(bank)
    usual = prices_from(None, bank.catalogue, bank.schema)
    learned = partial(_learned, options, days=days)
    mine = learned("bank", range(SEEDS))
    theirs = _baselines(options, days, usual)
    rows, missed = [], []
    for name in (PLAIN, *stresses):
        trial = Trial(bank if name == PLAIN else stressed(bank, name), tested, days, options.seed)
        anew = learned("bank" if name in (PLAIN, *UNFELT) else f"bank+{name}", range(SEEDS, 2 * SEEDS))
        sides = {
            "ppo": [Dialled("ppo", policy, usual) for policy in mine],
            "retrained": [Dialled("retrained", policy, usual) for policy in anew],
            **{of: [dialled] for of, dialled in theirs.items()},
        }
        totals = {of: [trial.run(dialled) for dialled in side] for of, side in sides.items()}
        gained = {of: gains(found, trial.silence, usual) for of, found in totals.items()}
        rows += [_row(name, of, totals[of], gained, trial.silence) for of in sides]
        found = regret_of(gained["ppo"], gained["retrained"])
        missed.append({"stress": name} | found.difference.named("regret") | found.share.named("share"))
    _tell(rows, missed, days, result)
    result.conditions |= {"customers": len(tested), "days": days, "seeds": SEEDS, "price": usual.annoyance}


def _learned(options: Options, world: str, seeds: Sequence[int], *, days: int) -> list[ArtifactPolicy]:
    """Policies of a world, one per seed; those of the bank stand where `benchmarks.agent` puts them."""
    start = "training" if world == "bank" else world
    places = [(options.seed + k, options.work / f"{start}-{options.seed + k}") for k in seeds]
    return [trained(out, world, seed, days, quick=options.quick) for seed, out in places]


def _baselines(options: Options, days: int, usual: Prices) -> dict[str, Dialled]:
    """Tuned in the bank with the budget that a training takes; each where it is worth most at the usual price."""
    names, budget = (QUICK, 250_000) if options.quick else (BASELINES, customer_days(TrainConfig(world="bank")))
    tuned = tuned_baselines(BaselinesConfig(names=names, customer_days=budget, days=days, seed=options.seed))
    return {name: worth_most(frontier, usual) for name, frontier in tuned.frontiers.items()}


def worth_most(frontier: Frontier, usual: Prices) -> Dialled:
    """The corner of most gain less annoyance at the usual price, on the customers that the frontier was chosen on.

    What it is told is another matter: its price is one of its dials.
    """
    return frontier.corners[int(np.argmax(frontier.gain - usual.annoyance * frontier.annoyance))]


def gains(totals: Sequence[Totals], silence: Totals, prices: Prices) -> np.ndarray:
    """Margin - cost - price x annoyance over silence. -> (seeds, customers) float64, currency."""

    def worth(found: Totals) -> np.ndarray:
        return found.profit - prices.annoyance * found.annoyance - found.effort @ np.array(prices.pools)

    return np.stack([worth(found) - worth(silence) for found in totals])


def regret_of(mine: np.ndarray, best: np.ndarray) -> Regret:
    """What the best one gains less what mine does, and as a share of the former. Each (seeds, customers).

    The share's interval is the delta method's: of (best - mine - share x best) / mean of best, which is 0 in the mean.
    """
    missed, level = best - mine, float(best.mean())
    share = float(missed.mean()) / level
    rest = pooled_seeds((missed - share * best) / level)
    moved = Interval(share, rest.se, share + rest.lo, share + rest.hi, share + rest.lower)
    return Regret(pooled_seeds(missed), moved)


def _row(
    stress: str, policy: str, totals: Sequence[Totals], gained: Mapping[str, np.ndarray], silence: Totals
) -> dict[str, object]:
    """What a policy gains in a world, what it annoys, and what PPO gains beyond it, paired."""
    row: dict[str, object] = {"stress": stress, "policy": policy} | pooled_seeds(gained[policy]).named("gain")
    row["profit"] = float(np.mean([found.profit - silence.profit for found in totals]))
    row["annoyance"] = float(np.mean([found.annoyance for found in totals]))
    return row | ({} if policy == "ppo" else pooled_seeds(gained["ppo"] - gained[policy]).named("ppo_more"))


def _tell(
    rows: Sequence[Mapping[str, object]], missed: Sequence[Mapping[str, object]], days: int, result: Result
) -> None:
    table = [
        {"stress": row["stress"], "policy": row["policy"], "gain at the usual price": within(row, "gain", 0),
         "margin - cost": row["profit"], "annoyance": row["annoyance"], "PPO gains more": within(row, "ppo_more", 0)}
        for row in rows
    ]  # fmt: skip
    show(f"Gain over silence in {days} days, CNY per customer, annoyance in opt-outs", pl.DataFrame(table), 2)
    table = [{"stress": m["stress"], "regret": within(m, "regret", 0), "share": within(m, "share", 3)} for m in missed]
    show("Regret against the policy retrained there: CNY per customer, share of its gain", pl.DataFrame(table))
    result.figures |= {"gain": rows, "regret": missed}
    ahead = [row for row in rows if "ppo_more" in row and row["policy"] not in ("retrained", *YARDSTICKS)]
    behind = [f"{row['policy']} in {row['stress']}" for row in ahead if float(str(row["ppo_more_hi"])) < 0]
    words = f"surely behind no baseline that can be deployed, in any world ({', '.join(behind) or 'none'})"
    result.target("behind nobody", words, not behind)


if __name__ == "__main__":
    main("regret", regret)
