"""The books of canonical tables: catalogue and schema, read before a row of the tables is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from envs.catalogue import Catalogue, load_catalogue
from envs.errors import InputError
from envs.observation import Encoder
from envs.schema import Schema, load_schema


@dataclass(frozen=True)
class Books:
    """What the rows of tables mean."""

    catalogue: Catalogue
    schema: Schema

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder whose observations the decisions hold."""
        return Encoder(self.catalogue, self.schema)


def read_books(path: Path) -> Books:
    """Of a directory of tables; InputError for what is wrong with them."""
    if not path.is_dir():
        raise InputError("must be a directory of canonical tables", file=str(path))
    return Books(load_catalogue(path / "catalogue.yaml"), load_schema(path / "schema.yaml"))
