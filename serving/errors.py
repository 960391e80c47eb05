"""What a request can get wrong besides a value: each is bad input, of a kind that the caller may want to tell apart."""

from __future__ import annotations

from envs.errors import InputError


class Unknown(InputError):
    """The request names a customer or decision that the service does not know."""


class Conflict(InputError):
    """The request contradicts what the ledger already holds."""
