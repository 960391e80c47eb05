"""Where the fields of the observation stand, to a product, a channel or the whole customer, and what these are like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.attributes import Columns, channel_rows, product_rows, treatment_rows
from envs.encoding import CHANNEL_FIELDS, PRODUCT_FIELDS
from envs.errors import InputError
from envs.observation import Encoder


@dataclass(frozen=True)
class Reading:
    """What a network was made to read: none of it names a product, a channel or a treatment."""

    general: tuple[str, ...]  # fields of the whole customer
    product: Columns
    channel: Columns
    treatment: Columns

    @classmethod
    def of(cls, encoder: Encoder) -> Reading:
        """Of a network that is made for this encoder's catalogue."""
        catalogue = encoder.catalogue
        tables = (rows(catalogue) for rows in (product_rows, channel_rows, treatment_rows))
        return cls(tuple(encoder.names[i] for i in _general(encoder)), *(Columns.of(rows) for rows in tables))


@dataclass(frozen=True)
class Layout:
    """A catalogue as a network reads it. Products and channels stand in the order of the catalogue."""

    reading: Reading
    general: np.ndarray  # (general fields,) int, columns of the whole customer
    product: np.ndarray  # (products, product fields) int, columns
    channel: np.ndarray  # (channels, channel fields) int, columns
    pair: np.ndarray  # (treatments - 1,) int, product x channels + channel of each contact
    about_product: np.ndarray  # (products, attributes) float32
    about_channel: np.ndarray  # (channels, attributes) float32
    about_treatment: np.ndarray  # (treatments - 1, attributes) float32

    @classmethod
    def of(cls, encoder: Encoder, reading: Reading | None = None) -> Layout:
        """The layout of an encoder's observation. reading: of a network that was made for another catalogue."""
        names, catalogue = encoder.names, encoder.catalogue
        reading = reading or Reading.of(encoder)
        general = _general(encoder)
        for missing in sorted(set(reading.general) ^ {names[i] for i in general}):
            raise InputError(
                "must be there for the network and the catalogue alike", field="observation", value=missing
            )
        places = {name: i for i, name in enumerate(names)}
        tables = (
            reading.product.table(product_rows(catalogue)).values,
            reading.channel.table(channel_rows(catalogue)).values,
            reading.treatment.table(treatment_rows(catalogue)).values[1:],
        )
        return cls(
            reading,
            np.array([places[name] for name in reading.general]),
            np.array([[places[f"product:{p}:{f}"] for f, *_ in PRODUCT_FIELDS] for p in catalogue.product_ids]),
            np.array([[places[f"channel:{c}:{f}"] for f, *_ in CHANNEL_FIELDS] for c in catalogue.channel_ids]),
            (catalogue.product_of * len(catalogue.channels) + catalogue.channel_of)[1:],
            *(table.astype(np.float32) for table in tables),
        )


def _general(encoder: Encoder) -> list[int]:
    """Columns of fields that belong to no product and no channel."""
    return [i for i, name in enumerate(encoder.names) if not name.startswith(("product:", "channel:"))]
