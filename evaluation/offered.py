"""What treatments offer, and how often each product is offered to each customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.catalogue import Catalogue
from envs.errors import InputError
from evaluation.log import Log

NOTHING = ""


@dataclass(frozen=True)
class Offered:
    """The products, and which one each treatment offers."""

    products: tuple[str, ...]
    by: np.ndarray  # (treatments, products) 1 where a treatment offers a product, else 0

    @classmethod
    def named(cls, products: Sequence[str] | None, log: Log) -> Offered:
        """products: (treatments,) what each offers, NOTHING: no product; None: each but silence is a product itself"""
        names = (NOTHING, *log.treatments[1:]) if products is None else tuple(products)
        if len(names) != log.width:
            need = f"must name a product for each of {log.width} treatments"
            raise InputError(need, field="products", value=len(names))
        known = tuple(dict.fromkeys(name for name in names if name != NOTHING))
        return cls(known, np.array([[name == one for one in known] for name in names], dtype=np.float64))

    def by_customer(self, log: Log, probabilities: np.ndarray | None) -> np.ndarray:  # (customers, products)
        """How often each product is offered. probabilities: (n, treatments); None: as was done"""
        offers = self.by[log.treatment] if probabilities is None else probabilities @ self.by
        counts = [log.by_customer(column) for column in offers.T]
        return np.stack(counts, axis=1) if counts else np.zeros((log.customers, 0))


def offered_products(catalogue: Catalogue) -> tuple[str, ...]:
    """(treatments,) the product that each offers; NOTHING for silence, and for care, which sells nothing."""
    selling = {product.id for product in catalogue.products if product.selling}
    return (NOTHING, *(one.product if one.product in selling else NOTHING for one in catalogue.treatments))
