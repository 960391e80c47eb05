"""The dynamics: what a contact and what time itself do to customers.

Every number is drawn elementwise by counter, so a customer's fate does not depend on the batch. Each function reads the
observation of the decision, writes history and hidden state, and adds to the `Tally`.
"""

from __future__ import annotations

import numpy as np

from envs.recorder import EVENING, MOMENT_AT
from envs.reward import PRESSURE_FIELD, PRESSURE_UNIT, contact_annoyance
from envs.scene import Scene
from envs.state import CustomerState, latent_of
from envs.world import World

# Numbers of draws within a customer's day. Contacts of desk k add 100 k.
DELIVERED, ENGAGED, CONVERTED, CONVERTED_VALUE, DECLINED, OPTED_OUT, COMPLAINED = range(7)
PURCHASED, PURCHASED_VALUE, CHURNED, CHURNED_VALUE, VISITED = range(5000, 5005)
ORGANIC, ORGANIC_VALUE, BROWSED, ABANDONED = 5100, 5300, 5500, 5700  # plus the product's position
TRIGGERED = 5900  # plus the trigger's position


def contact(scene: Scene, treatment: np.ndarray, desk: int) -> None:
    """One desk's contacts of the day. treatment: (batch,) int; 0 is silence."""
    catalogue, state, chance = scene.world.catalogue, scene.state, scene.chance
    rows = np.flatnonzero(treatment)
    if not len(rows):
        return
    option, base = treatment[rows], 100 * desk
    channel, product = catalogue.channel_of[option], catalogue.product_of[option]
    _charge(scene, rows, option)
    state.history.record("contacted", rows, channel=channel, product=product)
    heads = scene.world.heads

    def among(mask: np.ndarray, head: str, draw: int) -> np.ndarray:
        """Narrow a mask over `rows` to those to whom `head` happens."""
        out = np.zeros(len(rows), bool)
        out[mask] = chance.happens(head, rows[mask], option[mask], draw + base)
        return out

    def tell(event: str, mask: np.ndarray, value: np.ndarray | None = None) -> None:
        scene.happened(event, rows[mask], channel=channel[mask], product=product[mask], value=value, desk=desk)

    contacted = np.ones(len(rows), bool)
    delivered = among(contacted, "delivered", DELIVERED) if "delivered" in heads else contacted
    if "delivered" in heads:
        tell("delivered", delivered)
    engaged = among(_given(scene.world, "engaged", contacted, delivered, delivered), "engaged", ENGAGED)
    tell("engaged", engaged)
    converted = among(_given(scene.world, "converted", contacted, delivered, engaged), "converted", CONVERTED)
    _convert(scene, rows[converted], option[converted], CONVERTED_VALUE + base, desk)
    tell("declined", among(engaged & ~converted, "declined", DECLINED))
    opted_out = among(delivered, "opted_out", OPTED_OUT)
    tell("opted_out", opted_out)
    complained = among(delivered, "complained", COMPLAINED)
    tell("complained", complained)
    scene.tally.opt_outs[rows] += opted_out
    scene.tally.complaints[rows] += complained
    _irritate(scene, rows[delivered], option[delivered], engaged[delivered])


def _given(world: World, head: str, contacted: np.ndarray, delivered: np.ndarray, engaged: np.ndarray) -> np.ndarray:
    """Whom a head can happen to at a contact; nobody if it is unknown here or does not wait for contacts."""
    known = {"contacted": contacted, "delivered": delivered, "engaged": engaged}
    if head not in world.heads:
        return np.zeros_like(contacted)
    return known.get(world.heads[head].head.given, np.zeros_like(contacted))


def unasked(world: World, head: str) -> bool:
    """True if an answer needs no contact: visits of a shop that nobody was invited to."""
    return head in world.heads and world.heads[head].head.given == "always"


def _charge(scene: Scene, rows: np.ndarray, option: np.ndarray) -> None:
    """Cost, effort and annoyance of the contact itself."""
    catalogue, tally = scene.world.catalogue, scene.tally
    column = scene.world.encoder.names.index(PRESSURE_FIELD)
    pressure = scene.chance.observation[rows, column] * PRESSURE_UNIT
    tally.cost[rows] += catalogue.cost[option]
    tally.annoyance[rows] += contact_annoyance(catalogue, option, pressure)
    tally.effort[rows] += catalogue.effort[option]
    tally.contacts[rows] += 1


def _convert(scene: Scene, rows: np.ndarray, option: np.ndarray, draw: int, desk: int) -> None:
    """Conversions caused by a contact: the margin is booked, the benefit is redeemed."""
    catalogue = scene.world.catalogue
    product, channel, benefit = (
        catalogue.product_of[option],
        catalogue.channel_of[option],
        catalogue.benefit_cost[option],
    )
    value = scene.chance.amount("converted_value", rows, _value_option(scene.world, option, product), draw)
    scene.happened("converted", rows, channel=channel, product=product, value=value, desk=desk)
    paid = benefit > 0
    redeemed = {"channel": channel[paid], "product": product[paid], "value": benefit[paid]}
    scene.happened("redeemed", rows[paid], desk=desk, **redeemed)
    scene.tally.conversions[rows] += 1


def _value_option(world: World, option: np.ndarray, product: np.ndarray) -> np.ndarray:
    """What the amount of a conversion is looked up by; -1: a product that nobody named."""
    per_product = "converted_value" in world.heads and world.heads["converted_value"].head.per == "product"
    return product if per_product else option


def _irritate(scene: Scene, rows: np.ndarray, option: np.ndarray, engaged: np.ndarray) -> None:
    """Hidden irritation grows with contacts; care that is engaged with heals."""
    latent, hidden = scene.state.latent, scene.world.coefficients.hidden
    if latent is None or hidden is None:
        return
    if "irritation" in scene.world.heads:
        latent.irritation[rows] += scene.chance.mean("irritation", rows, option)
    healed = rows[engaged & ~scene.world.catalogue.selling[option]]
    latent.irritation[healed] *= 1 - hidden.care_heals


def background(scene: Scene, days: int, treatment: np.ndarray) -> None:
    """What happens unasked in `days` days. treatment: (batch,) int, the decision's."""
    state, chance = scene.state, scene.chance
    everyone = np.flatnonzero(state.alive)
    option = treatment[everyone]
    bought = everyone[chance.happens("purchased", everyone, option, PURCHASED, days)]
    if len(bought):
        value = chance.amount("purchased_value", bought, treatment[bought], PURCHASED_VALUE)
        scene.happened("purchased", bought, value=value, after=EVENING)
    _answer_unasked(scene, everyone, option, days)
    for event, draw in (("browsed", BROWSED), ("abandoned", ABANDONED)):
        for rows, product in _per_product(scene, event, everyone, draw, days):
            scene.happened(event, rows, product=product, after=EVENING)
    for rows, product in _per_product(scene, "organic", everyone, ORGANIC, days):
        value = chance.amount("converted_value", rows, product, ORGANIC_VALUE + int(product[0]))
        scene.happened("converted", rows, product=product, value=value, after=EVENING)
        scene.tally.conversions[rows] += 1
    churned = everyone[chance.happens("churned", everyone, option, CHURNED, days)]
    if len(churned):
        value = chance.amount("churned_value", churned, treatment[churned], CHURNED_VALUE)
        scene.happened("churned", churned, value=value, after=EVENING)
        state.alive[churned] = False


def _answer_unasked(scene: Scene, everyone: np.ndarray, option: np.ndarray, days: int) -> None:
    """Engagements and conversions that need no contact, but may be more likely after one."""
    chance, catalogue = scene.chance, scene.world.catalogue
    came = np.zeros(len(everyone), bool)
    if unasked(scene.world, "engaged"):
        came = chance.happens("engaged", everyone, option, VISITED, days)
        channel, product = catalogue.channel_of[option[came]], catalogue.product_of[option[came]]
        scene.happened("engaged", everyone[came], channel=channel, product=product)
    if "converted" not in scene.world.heads:
        return
    if unasked(scene.world, "converted"):
        came = np.ones(len(everyone), bool)
    elif not (unasked(scene.world, "engaged") and scene.world.heads["converted"].head.given == "engaged"):
        return
    rows, option = everyone[came], option[came]
    bought = chance.happens("converted", rows, option, VISITED + 1, days)
    _convert(scene, rows[bought], option[bought], VISITED + 2, desk=0)


def _per_product(
    scene: Scene, head: str, everyone: np.ndarray, draw: int, days: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    if head not in scene.world.heads:
        return []
    model, chance = scene.world.heads[head], scene.chance
    whole = len(everyone) == len(scene.state)
    latent = chance.latent if chance.latent is None or whole else latent_of(chance.latent, everyone)
    likely = model.mean(model.linear_all(chance.observation if whole else chance.observation[everyone], latent), days)
    happened = []
    for product in range(likely.shape[1]):
        rows = everyone[chance.luck.uniform(draw + product)[everyone] < likely[:, product]]
        if head == "organic" and scene.world.catalogue.products[product].once:  # nobody takes a second one
            rows = rows[~scene.state.history.holds[product, rows]]
        if len(rows):
            happened.append((rows, np.full(len(rows), product)))
    return happened


def come_in(scene: Scene) -> None:
    """Draw today's moment of each customer: the first trigger of the schema that fires."""
    state = scene.state
    state.trigger[:] = -1
    silence = np.zeros(len(state), np.int64)
    for position, trigger in enumerate(scene.world.schema.triggers):
        waiting = np.flatnonzero(state.alive & (state.trigger < 0))
        fires = waiting[scene.chance.happens(f"trigger:{trigger}", waiting, silence[waiting], TRIGGERED + position)]
        state.trigger[fires] = position
        scene.happened(trigger, fires, after=MOMENT_AT)


def pass_time(world: World, state: CustomerState, days: int) -> None:
    """Traces fade, irritation heals."""
    state.history.advance(days)
    hidden = world.coefficients.hidden
    if state.latent is not None and hidden is not None:
        state.latent.irritation[:] *= 0.5 ** (days / hidden.irritation_half_life)
