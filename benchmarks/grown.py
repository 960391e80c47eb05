"""The built-in bank with another number of treatments."""

from __future__ import annotations

from collections import Counter
from typing import Any

from envs.catalogue import Catalogue

ATTRIBUTES = ("product", "benefit", "channel", "format", "daypart", "message")


def grown(catalogue: Catalogue, size: int) -> Catalogue:
    """The same catalogue with more messages per treatment, or fewer treatments. size: of them, with silence."""
    said = catalogue.model_dump(mode="json")
    own = said["treatments"]
    more = [own[k % len(own)] | {"id": f"{own[k % len(own)]['id']} {k}", "message": str(k)} for k in range(size - 1)]
    return Catalogue.model_validate(said | {"treatments": _fewer(own, size - 1) + more[len(own) :]})


def _fewer(treatments: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """The last ones left out, but not the last with a product, a channel ...: coefficients speak of them."""
    kept = list(treatments)
    for one in reversed(treatments):
        seen = Counter((name, t[name]) for t in kept for name in ATTRIBUTES)
        if len(kept) > size and all(seen[name, one[name]] > 1 for name in ATTRIBUTES):
            kept.remove(one)
    return kept
