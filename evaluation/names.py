"""Names: what a log's names mean, in the phrases of its schema and catalogue, so that people need not know codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from envs.catalogue import Catalogue
from envs.schema import Schema
from evaluation.language import say
from evaluation.words import treated, worded


@dataclass(frozen=True)
class Names:
    """Name to phrase; a name without an entry stands for itself."""

    columns: Mapping[str, str] = field(default_factory=dict)
    products: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, catalogue: Catalogue, schema: Schema) -> Names:
        """Of a catalogue and a schema; what they leave empty has no entry."""
        columns = {column.name: column.meaning for column in schema.columns if column.meaning}
        products, channels = (
            {one.id: one.meaning for one in several if one.meaning}
            for several in (catalogue.products, catalogue.channels)
        )
        return cls(columns, products, channels)

    def dimension(self, name: str) -> str:
        """What customers are grouped by: a column's meaning, or its name."""
        return self.columns.get(name) or worded(name)

    def kind(self, kind: str) -> str:
        """What a product on a channel is, see `product_channel`; empty where nothing is known but the name."""
        product, _, channel = kind.partition(", ")
        if product not in self.products and channel not in self.channels:
            return ""
        there = [names.get(one, one) for names, one in ((self.products, product), (self.channels, channel)) if one]
        return say(", ").join(treated(one) for one in there)
