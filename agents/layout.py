"""Where the fields of the observation stand: to a product, to a channel, or to the whole customer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.attributes import descriptive
from envs.encoding import CHANNEL_FIELDS, PRODUCT_FIELDS
from envs.observation import Encoder


@dataclass(frozen=True)
class Layout:
    """What a network that scores treatments needs to know of the observation and the catalogue."""

    general: np.ndarray  # (general fields,) int, columns of the whole customer
    product: np.ndarray  # (products, product fields) int, columns
    channel: np.ndarray  # (channels, channel fields) int, columns
    product_of: np.ndarray  # (treatments,) int, silence points to `products`, a row of zeros
    channel_of: np.ndarray  # (treatments,) int, silence points to `channels`, a row of zeros
    attributes: np.ndarray  # (treatments, attributes) float32

    @classmethod
    def of(cls, encoder: Encoder) -> Layout:
        """The layout of an encoder's observation."""
        names, catalogue = encoder.names, encoder.catalogue
        product = [[names.index(f"product:{p}:{f}") for f, *_ in PRODUCT_FIELDS] for p in catalogue.product_ids]
        channel = [[names.index(f"channel:{c}:{f}") for f, *_ in CHANNEL_FIELDS] for c in catalogue.channel_ids]
        taken = {column for block in (product, channel) for row in block for column in row}
        return cls(
            general=np.array([i for i in range(len(names)) if i not in taken]),
            product=np.array(product),
            channel=np.array(channel),
            product_of=np.where(catalogue.product_of < 0, len(product), catalogue.product_of),
            channel_of=np.where(catalogue.channel_of < 0, len(channel), catalogue.channel_of),
            attributes=descriptive(catalogue).values.astype(np.float32),
        )
