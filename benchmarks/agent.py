"""The claim: one steerable policy, trained in minutes, beside every baseline with the same budget, at equal annoyance.

The built-in bank, one decision a day, 91 days. Policies learn in the bank's simulator; prices and dials are chosen on
selection customers and tested on others; all seeds count, never the best alone. Two yardsticks know the bank's true
heads, and one of them the hidden states of its customers: nobody can deploy them.

Below the annoyance that the highest price of the bank's range leaves, the policy can only be mixed with silence. Levels
there are shown; the aims are asked above, and whether the range reaches the lowest level is a line of its own. (Added
after a first run had shown that it does not.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from agents.baselines import parameters
from benchmarks.kit import Options, Result, main, show
from benchmarks.measured_baselines import CUSTOMERS, DAYS, SEEDS, TUNED, measured_baselines
from benchmarks.pilot import pilot, trials
from benchmarks.trained import customer_days, price_frontier, trained
from envs.frozen import check_frozen
from envs.world import BUILT_IN, load_world
from evaluation.frontier import Measured, equal_annoyance
from evaluation.frontier_figure import frontier_figure
from evaluation.trial import Trial
from training.configs import TrainConfig
from training.tuned import NAMES, Name

LEVELS = (0.05, 0.15, 0.3, 0.6, 1.0)  # opt-outs per customer in the quarter
MARGINS = {"propensity_margin": 0.25, "clairvoyant": 0.10, "true_heads": 0.10}  # gains to be had over each, as shares
QUICK: tuple[Name, ...] = ("propensity_margin", "true_heads", "clairvoyant")


def agent(options: Options, result: Result) -> None:
    """Train every seed, tune every baseline, test all of them on the same customers."""
    world, quick = load_world("bank"), options.quick
    result.conditions["bank"] = str(check_frozen(BUILT_IN / "bank", parameters()))
    seeds, days, count = (1, 28, 300) if quick else (SEEDS, DAYS, CUSTOMERS)
    policies = [
        trained(options.work / f"training-{options.seed + k}", "bank", options.seed + k, days, quick=quick)
        for k in range(seeds)
    ]
    chosen, tested = trials(world, count, days, options.seed)
    mine = [price_frontier(policy, chosen).measured(tested) for policy in policies]
    _steered(mine, result)
    pilot(policies, chosen, tested, options, result)
    theirs = _baselines(options, tested)
    _beside(mine, theirs, result)
    picture = frontier_figure([mine[0], *(found[0] for found in theirs.values())], world.catalogue.currency, most=2.0)
    picture.savefig(options.work / "agent.png", dpi=150)
    result.conditions |= {"customers": count, "days": days, "seeds": seeds}


def _baselines(options: Options, tested: Trial) -> dict[str, list[Measured]]:
    """Tuned with the budget that a training takes, on test customers."""
    names = QUICK if options.quick else NAMES
    budget, seeds = (250_000, 1) if options.quick else (customer_days(TrainConfig(world="bank")), TUNED)
    found: dict[str, list[Measured]] = {}
    for k in range(seeds):
        kept = measured_baselines(options.work / "baselines", names, budget, tested, options.seed + k)
        for name, measured in kept.items():
            found.setdefault(name, []).append(measured)
    return found


def _steered(mine: Sequence[Measured], result: Result) -> None:
    """One policy under each price, every seed."""
    rows = pl.concat([one.frame.with_columns(seed=pl.lit(k)) for k, one in enumerate(mine)])
    show("One policy under each price of annoyance, test customers (corners of its frontier)", rows)
    result.figures["frontier"] = rows.to_dicts()


def _beside(mine: Sequence[Measured], theirs: Mapping[str, Sequence[Measured]], result: Result) -> None:
    """Gain at equal annoyance, less each baseline's."""
    rows = []
    for name, found in theirs.items():
        for level in LEVELS:
            row = equal_annoyance(mine, found, level).row
            share = {f"share{end}": _over(row, f"difference{end}") for end in ("", "_lo", "_hi")}
            rows.append({"baseline": name} | row | share)
    frame = pl.DataFrame(rows)
    narrow = ("baseline", "level", "mine", "theirs", "difference", "difference_lo", "difference_hi", "share",
              "share_lo", "share_hi", "reached_theirs")  # fmt: skip
    show(
        "PPO's gain over silence beside each baseline's at equal annoyance, CNY per customer, paired", frame[narrow], 2
    )
    result.figures["equal_annoyance"] = rows
    lowest = max((float(least) for one in mine for least in one.means[0][1:2]), default=0.0)
    words = f"prices reach down to {LEVELS[0]} (the highest leaves {lowest:.2f}, the most of any seed)"
    result.target("range of prices", words, lowest <= LEVELS[0])
    for name in theirs:
        own = [row for row in rows if row["baseline"] == name and float(str(row["level"])) >= lowest]
        margin = MARGINS.get(name, 0.0)
        least = min(float(str(row["share_lo" if margin == 0 else "share"])) for row in own)
        asked = f"at least {margin:+.0%}" if margin else "interval above 0"
        words = f"{asked} from {lowest:.2f} on (least {'bound ' if margin == 0 else ''}{least:+.1%})"
        result.target(f"over {name}", words, least > 0 if margin == 0 else least >= margin)


def _over(row: Mapping[str, object], name: str) -> float:
    theirs = float(str(row["theirs"]))
    return float(str(row[name])) / theirs if theirs > 0 else float("inf")


if __name__ == "__main__":
    main("agent", agent)
