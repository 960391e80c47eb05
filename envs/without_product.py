"""A world without one of its products: nobody is offered it, takes it or looks at it, and no observation shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from envs.catalogue import Treatment
from envs.errors import InputError
from envs.mechanisms import with_catalogue, without_terms
from envs.population import DescribedPopulation
from envs.rules import Rules
from envs.world import World


def without_product(world: World, product: str) -> World:
    """The same world as if the product had never been: its treatments, responses and rules are gone."""
    catalogue = world.catalogue
    if product not in catalogue.product_ids:
        raise InputError(f"must be one of: {', '.join(catalogue.product_ids)}", field="product", value=product)
    treatments = tuple(t for t in catalogue.treatments if t.product != product)
    products = tuple(p for p in catalogue.products if p.id != product)
    if not treatments:
        raise InputError("must leave a treatment of another product", field="product", value=product)
    smaller = with_catalogue(_forgetting(world, product, treatments), products=products, treatments=treatments)
    rules = Rules.model_validate(_without(world.rules.model_dump(mode="json"), product))
    population = world.population
    if isinstance(population, DescribedPopulation):
        holds = {name: share for name, share in population.spec.holds.items() if name != product}
        population = replace(population, spec=population.spec.model_copy(update={"holds": holds}))
    return replace(smaller, rules=rules.written_at(world.rules.written), population=population)


def _forgetting(world: World, product: str, treatments: tuple[Treatment, ...]) -> World:
    """Without the terms that name the product, or what only its treatments had, and without its loadings of tastes."""
    left = {f"{kind}={getattr(t, kind)}" for t in treatments for kind in KINDS}
    had = {f"{kind}={getattr(t, kind)}" for t in world.catalogue.treatments for kind in KINDS}
    gone = (had - left) | {f"product={product}"}
    world = without_terms(world, lambda word: word in gone or word.startswith(f"product:{product}:"))
    hidden = world.coefficients.hidden
    if hidden is None:
        return world
    taste = {name: loadings for name, loadings in hidden.taste.items() if name != product}
    kept = hidden.model_copy(update={"taste": taste})
    return replace(world, coefficients=world.coefficients.model_copy(update={"hidden": kept}))


KINDS = ("product", "benefit", "channel", "format", "daypart")


def _without(said: Any, product: str) -> Any:
    """Rules as plain data, the product taken out of every list; what spoke of it alone is gone."""
    if isinstance(said, dict):
        return {key: _without(value, product) for key, value in said.items()}
    if isinstance(said, list):
        pairs = [(_without(one, product), one) for one in said if one != product]
        return [now for now, before in pairs if not _empty(now, before)]
    return said


def _empty(now: Any, before: Any) -> bool:
    """An entry whose list of products has become empty."""
    return isinstance(now, dict) and bool(before.get("products")) and not now.get("products")
