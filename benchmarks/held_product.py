"""A product that the training never saw: what share of its worth does the adapted network find without learning?

A product is held out of the built-in bank (`envs/without_product.py`): a policy is trained without it, by the defaults,
and adapted to the whole bank (`training/adapt.py`). Another is trained in the whole bank. On test customers of the
whole bank each decides with the product, and with the product closed to it:

    share = (adapted - adapted, closed) / (retrained - retrained, closed)

each the discounted value at the usual prices, mean over customers and seeds. Beside it stand the share over one floor,
(adapted - adapted, closed) / (retrained - adapted, closed), since the adapted network with the product closed is the
policy that was trained without it; and the share of the whole gain over silence. Values are expected ones, see
`benchmarks/judged.py`; intervals hold customers and seeds.

Held out is, of each kind of selling product (its features `saving`, `lending`, `protection`), the one without which an
untrained yardstick loses most on selection customers: the myopic rule with true heads. No result of a training enters.
A rule that was tried before, the most treatments, chose products without which hardly anything is lost at the usual
prices (the credit card, say): of nothing there is no share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from agents.artifact import ArtifactPolicy
from agents.clairvoyant import TrueHeads
from agents.levers import Levers
from agents.policy import Policy
from agents.without import Without
from benchmarks.judged import Judge
from benchmarks.kit import Options, Result, main, show, within
from benchmarks.pilot import SELECTION
from benchmarks.trained import trained
from envs.catalogue import Catalogue
from envs.without_product import without_product
from envs.world import World, load_world, save_world
from evaluation.intervals import mean_interval, pooled_ratio, pooled_seeds
from training.adapt import adapt
from training.configs import AdaptConfig
from training.evaluate import FIRST_COMPARED

KINDS = ("saving", "lending", "protection")
NEEDED = 0.8
SEEDS, CUSTOMERS = 3, 4000
USUAL = 20.0  # CNY per opt-out, the schema's
YARDSTICK = Levers(5.0, 1.5, 1.0)  # on annoyance, cost, contacts; assumed: near the myopic rule's best at this price
Gains = Mapping[str, np.ndarray]  # by who decides: (seeds, customers), CNY over silence


def held_product(options: Options, result: Result) -> None:
    """Train with and without each product, adapt, and let all decide about the same customers."""
    world, quick = load_world("bank"), options.quick
    seeds, customers, days = (1, 300, 28) if quick else (SEEDS, CUSTOMERS, 91)
    lost = worth(
        Judge(world, SELECTION + np.arange(customers // 4), days, options.seed, (USUAL,)),
        [product.id for product in world.catalogue.products if product.selling],
    )
    products = chosen(world.catalogue, lost)[: 1 if quick else None]
    result.figures["worth_to_the_yardstick"] = {product: vars(mean_interval(some)) for product, some in lost.items()}
    judge = Judge(world, FIRST_COMPARED + np.arange(customers), days, options.seed, (USUAL,))
    retrained = [_trained(options, "bank", options.seed + k) for k in range(seeds)]
    whole = np.stack([judge.gain(policy) for policy in retrained])
    rows: list[dict[str, object]] = []
    for product in products:
        smaller = _smaller(world, product, options.work)
        adapted = [_adapted(options, smaller, options.seed + k) for k in range(seeds)]
        gains = {
            "retrained": whole,
            "retrained, closed": np.stack([judge.gain(closed(p, world.catalogue, product)) for p in retrained]),
            "adapted": np.stack([judge.gain(p) for p in adapted]),
            "adapted, closed": np.stack([judge.gain(closed(p, world.catalogue, product)) for p in adapted]),
        }
        rows.append(_row(product, {who: gain[:, :, 0] for who, gain in gains.items()}))
    _told(rows, result)
    result.conditions |= {"customers": customers, "days": days, "seeds": seeds, "products": products}


def worth(judge: Judge, products: Sequence[str]) -> dict[str, np.ndarray]:
    """What the yardstick loses when a product is closed to it, per product: (customers,) CNY."""
    world = judge.world
    rule = TrueHeads(world, YARDSTICK)
    whole = judge.gain(rule)
    return {product: (whole - judge.gain(closed(rule, world.catalogue, product))).mean(axis=1) for product in products}


def chosen(catalogue: Catalogue, lost: Mapping[str, np.ndarray]) -> list[str]:
    """Of each kind the product whose absence costs most. lost: by product, see `worth`"""
    own = {kind: [p.id for p in catalogue.products if p.selling and p.features.get(kind)] for kind in KINDS}
    return list(dict.fromkeys(max(products, key=lambda p: lost[p].mean()) for products in own.values()))


def closed(policy: Policy, catalogue: Catalogue, product: str) -> Without:
    """A policy to whom a product is closed."""
    position = catalogue.product_ids.index(product)
    return Without(policy, tuple(bool(of == position) for of in catalogue.product_of), f"without {product}")


def _smaller(world: World, product: str, work: Path) -> Path:
    """The directory of the world without a product."""
    place = work / f"bank-without-{product}"
    save_world(without_product(world, product), place)
    return place


def _trained(options: Options, world: str, seed: int) -> ArtifactPolicy:
    """The policy of one seed, by the defaults; of the whole bank it stands where `benchmarks.agent` puts it."""
    return trained(_folder(options, world, seed), world, seed, 28 if options.quick else 91, quick=options.quick)


def _folder(options: Options, world: str, seed: int) -> Path:
    return options.work / (f"training-{seed}" if world == "bank" else f"{Path(world).name}-{seed}")


def _adapted(options: Options, smaller: Path, seed: int) -> ArtifactPolicy:
    """Trained without the product, adapted to the whole bank."""
    _trained(options, str(smaller), seed)
    before = _folder(options, str(smaller), seed)
    return adapt(AdaptConfig(training=before, world="bank", out=before / "adapted")).policy


def _row(product: str, gains: Gains) -> dict[str, object]:
    """Figures of one product."""
    own, floor = gains["retrained, closed"], gains["adapted, closed"]
    found = gains["adapted"] - floor
    row: dict[str, object] = {"product": product}
    row |= {who: float(gain.mean()) for who, gain in gains.items()}
    row |= pooled_seeds(gains["retrained"] - own).named("worth") | pooled_seeds(found).named("found")
    row |= pooled_ratio(found, gains["retrained"] - own).named("share")
    row |= pooled_ratio(found, gains["retrained"] - floor).named("over one floor")
    return row | pooled_ratio(gains["adapted"], gains["retrained"]).named("of whole gain")


def _told(rows: list[dict[str, object]], result: Result) -> None:
    """Tables, and the target: every product, mean of the seeds."""
    frame = pl.DataFrame(rows)
    deciders = ["retrained", "retrained, closed", "adapted", "adapted, closed"]
    show("Gain over silence, CNY per customer, mean of the seeds", frame.select("product", *deciders), 1)
    short = [{"product": row["product"]} | {name: _short(row, name) for name in SHOWN} for row in rows]
    show("What the product is worth to each (CNY per customer), and the share of it that is found, 95 %",
         pl.DataFrame(short))  # fmt: skip
    result.figures["products"] = rows
    for row in rows:
        words = f"at least {NEEDED} of what retraining makes of it (found {_short(row, 'share')})"
        result.target(str(row["product"]), words, float(str(row["share"])) >= NEEDED)


SHOWN = {"worth": 1, "found": 1, "share": 2, "over one floor": 2, "of whole gain": 2}  # figures and their digits


def _short(row: Mapping[str, object], name: str) -> str:
    nothing = np.isnan(float(str(row[f"{name}_lo"])))
    return "none: what it is a share of may be 0" if nothing else within(row, name, SHOWN[name])


if __name__ == "__main__":
    main("held_product", held_product)
