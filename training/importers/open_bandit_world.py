"""What the Open Bandit log is about, in canonical words: items as a catalogue, visitors and task as a schema.

Nothing here is fitted to rows: the files of both policies give the same catalogue and the same observation, although
each hashes its items' codes with a salt of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from envs.catalogue import Catalogue, Channel, Product, Treatment
from envs.schema import Column, Fading, PriceRange, Reward, Schema, Split, Task

POSITIONS = ("1", "2", "3")  # of the page: left, centre, right
OTHER = "other"
AFFINITY = "past_clicks_{:02d}"
UNIDENTIFIED = (
    "visitors have no ids: a page's three positions, and a visitor's pages, cannot be linked, so that nothing about "
    "carry-over, contact pressure or the items shown beside each other is identified",
    "the position is given, never chosen: what another position would have brought is not identified",
)
KNOWN_CODES = {  # first characters of the codes that at least one visitor in two hundred has, most frequent first
    "feature_0": ("cef339", "81ce12"),
    "feature_1": ("03a564", "2d03db", "f1c2d6", "6ff54a"),
    "feature_2": ("2723d2", "c2e4f7", "7bc94a", "9b2d33", "719dab", "302def", "9f4e82"),
    "feature_3": ("9bde59", "c39b0c", "f97571", "061282", "05b76f", "270b3e"),
}


class Item(NamedTuple):
    """One line of item_context.csv."""

    number: int
    level: float  # item_feature_0, standardised by the publisher
    codes: tuple[str, ...]  # item_feature_1 .. 3, hashed


def item_catalogue(items: Sequence[Item]) -> Catalogue:
    """The items as products, each shown on the page: one treatment each. items: in the order of their numbers."""
    names = [f"item-{item.number:02d}" for item in items]
    groups = [_groups([item.codes[k] for item in items]) for k in range(len(items[0].codes))]
    products = [
        Product(
            id=name,
            meaning="fashion item",
            features={"level": item.level}
            | {f"code_{k + 1}:{members[position]}": 1.0 for k, members in enumerate(groups)},
        )
        for position, (name, item) in enumerate(zip(names, items, strict=True))
    ]
    return Catalogue(
        name="open_bandit",
        currency="clicks",
        products=tuple(products),
        channels=(Channel(id="page", meaning="position of a web page that the visitor opened", family="online"),),
        treatments=tuple(Treatment(id=n, product=n, channel="page", external_id=str(i)) for i, n in enumerate(names)),
    )


def _groups(codes: Sequence[str]) -> list[int]:
    """Which items share a code: groups numbered in the order of their first items, whatever the codes are called.

    >>> _groups(["x", "y", "x", "z"])
    [0, 1, 0, 2]
    """
    known = list(dict.fromkeys(codes))
    return [known.index(code) for code in codes]


def page_schema(split: Split, items: int) -> Schema:
    """One decision, its outcome within the day; the reward is a click."""
    return Schema(
        columns=(
            Column(
                name="position",
                type="category",
                meaning="position of the page that is decided about",
                categories=POSITIONS,
                sensitivity="public",
            ),
            *(
                Column(
                    name=name,
                    type="category",
                    meaning=f"user {name.replace('_', ' ')} (anonymised by the publisher)",
                    categories=(*known, OTHER),
                )
                for name, known in KNOWN_CODES.items()
            ),
            *(
                # Scale assumed: nine in ten visitors who ever clicked an item did so once or twice.
                Column(name=AFFINITY.format(i), type="number", meaning=f"past clicks on item {i}", scale=2)
                for i in range(items)
            ),
        ),
        fading=Fading(),  # of no effect: nothing is dated before the one decision
        prices={"annoyance": PriceRange(default=0.0, high=1.0)},  # assumed; a page annoys nobody here
        task=Task(
            kind="finite",
            gamma=1.0,
            days=(0,),
            end_day=1,
            reward=Reward(margin_per_event={"engaged": 1.0}),
            annoyance_missing=("opted_out", "complained", "blocked"),
        ),
        split=split,
    )
