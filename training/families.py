"""The baselines as families of dials: what is searched for each. All ranges are assumed, wide on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from agents.assignment import BudgetedAssignment
from agents.clairvoyant import Clairvoyant, TrueHeads
from agents.coordinated import POINTS, CoordinatedRules
from agents.fitted_q import FittedQ
from agents.levers import Levers
from agents.policy import Policy
from agents.propensity import PropensityMargin
from agents.silos import RHYTHM, SiloedCampaigns, campaigns_of, scaled
from agents.simple import Fixed, Random
from envs.prices import Prices, prices_from
from envs.rules import Rules
from envs.world import World
from evaluation.trial import Dialled
from training.tuning import Dial, Family

Named = Mapping[str, float]
BUDGETS = (0.0003, 0.1)  # of annoyance, opt-outs per customer and decision: 0.03 to 9 in a quarter of daily decisions


def levered(name: str, make: Callable[[Levers], Policy], world: World, learning_days: int = 0) -> Family:
    """A policy with levers on cost and a charge per contact, steered by the price of annoyance that it is told."""

    def position(values: Named) -> Dialled:
        levers = Levers(1.0, values["cost"], values["contact"])
        return Dialled(_said(values), make(levers), annoyance_price(world, values["annoyance"]))

    return Family(name, position, lever_dials(world), learning_days=learning_days)


def lever_dials(world: World) -> dict[str, Dial]:
    """Ranges of the price of annoyance, the cost lever and the charge per contact."""
    high = float(world.encoder.price_highs[0])
    typical = float(world.catalogue.cost[1:].mean())
    return {
        "annoyance": Dial(high / 500, 30 * high, logarithmic=True),
        "cost": Dial(0.5, 4.0, logarithmic=True),
        "contact": Dial(0.0, max(2 * typical, 1e-9), zero=0.25),
    }


def annoyance_price(world: World, price: float) -> Prices:
    """This price of annoyance, pools at their defaults."""
    return Prices(price, prices_from(None, world.catalogue, world.schema).pools)


def clairvoyant(world: World) -> Family:
    """The yardstick: true heads, true hidden states."""
    return levered("clairvoyant", lambda levers: Clairvoyant(world, levers), world)


def true_heads(world: World) -> Family:
    """True heads, blind to hidden states."""
    return levered("true_heads", lambda levers: TrueHeads(world, levers), world)


def assignment(world: World, engine: PropensityMargin, learning_days: int) -> Family:
    """Budgeted assignment: steered by its budget of annoyance, told no price."""

    def position(values: Named) -> Dialled:
        levers = Levers(1.0, values["cost"], values["contact"])
        policy = BudgetedAssignment(engine, world.encoder, values["budget"], levers=levers)
        return Dialled(_said(values), policy, annoyance_price(world, 0.0))

    own = lever_dials(world)
    dials = {"budget": Dial(BUDGETS[0], BUDGETS[1], logarithmic=True), "cost": own["cost"], "contact": own["contact"]}
    return Family("assignment", position, dials, learning_days=learning_days)


def fitted_q(world: World, policy: FittedQ, learning_days: int) -> Family:
    """Fitted Q: levers, and how much tomorrow weighs."""

    def position(values: Named) -> Dialled:
        levers = Levers(1.0, values["cost"], values["contact"])
        prices = annoyance_price(world, values["annoyance"])
        return Dialled(_said(values), policy.dialled(levers, values["tomorrow"]), prices)

    dials = {**lever_dials(world), "tomorrow": Dial(0.0, 1.25)}
    return Family("fitted_q", position, dials, learning_days=learning_days)


def simple(world: World) -> list[Family]:
    """Random, and the best fixed treatment, found by trying each."""
    found = [Dialled(name, Fixed(k, name)) for k, name in enumerate(world.catalogue.treatment_ids) if k > 0]
    return [
        Family("random", lambda _: Dialled("random", Random())),
        Family("best_fixed", lambda _: found[0], listed=found),
    ]


def coordinated(world: World) -> list[Family]:
    """The coordinated rules as they are frozen, and with their points scaled."""

    def position(values: Named) -> Dialled:
        points = POINTS._replace(
            silence=values["silence"],
            pressure=POINTS.pressure * values["pressure"],
            interest=POINTS.interest * values["interest"],
            remote=POINTS.remote * values["people"],
            offline=POINTS.offline * values["people"],
            complexity=POINTS.complexity * values["complexity"],
            inbound=POINTS.inbound * values["inbound"],
        )
        return Dialled(_said(values), CoordinatedRules(world.catalogue, world.encoder, points=points))

    dials = {
        "silence": Dial(0.0, 5.0),
        "pressure": Dial(0.25, 8.0, logarithmic=True),
        "interest": Dial(0.5, 2.0, logarithmic=True),
        "people": Dial(0.0, 2.0),
        "complexity": Dial(0.0, 2.0),
        "inbound": Dial(0.0, 2.0),
    }
    frozen = Dialled("frozen", CoordinatedRules(world.catalogue, world.encoder))
    return [
        Family("coordinated_rules", lambda _: frozen),
        Family("coordinated_tuned", position, dials, listed=[frozen]),
    ]


def silos(world: World, rules: Rules, brought: np.ndarray, learning_days: int) -> list[Family]:
    """Siloed campaigns as they are frozen, and with shares scaled and each desk's best campaigns only.

    rules: what silos observe; brought: (treatments,) float64, mean margin less cost per contact, which each desk knows
    of its own contacts
    """
    catalogue = world.catalogue

    def position(values: Named) -> Dialled:
        campaigns = {}
        for desk, channel in enumerate(catalogue.channels):
            mine = campaigns_of(catalogue, desk)
            best = mine[np.argsort(-brought[mine], kind="stable")]
            campaigns[channel.id] = best[: max(1, round(values["kept"] * len(best)))].tolist()
        rhythm = scaled(RHYTHM, catalogue, values["online"], values["people"], values["inbound"])
        policy = SiloedCampaigns(catalogue, world.encoder, rhythm=rhythm, campaigns=campaigns)
        return Dialled(_said(values), policy, rules=rules, cadence_days=1)

    dials = {
        "online": Dial(0.01, 1.7, logarithmic=True),
        "people": Dial(0.1, 20.0, logarithmic=True),
        "inbound": Dial(0.05, 1.6, logarithmic=True),
        "kept": Dial(0.1, 1.0),
    }
    frozen = Dialled("frozen", SiloedCampaigns(catalogue, world.encoder), rules=rules, cadence_days=1)
    return [
        Family("siloed_campaigns", lambda _: frozen),
        Family("silos_tuned", position, dials, listed=[frozen], learning_days=learning_days),
    ]


def _said(values: Named) -> str:
    return " ".join(f"{name} {value:.3g}" for name, value in values.items())
