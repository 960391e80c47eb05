"""The split of customers into training and test, by a named hash of the id: recorded once, the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from envs.schema import Split


def is_test(customer_ids: Iterable[str], split: Split) -> np.ndarray:  # (customers,) bool
    """True for test customers: first 8 bytes of SHA-256(salt:id), as a share of 2**64, below test_share."""
    bound = int(split.test_share * 2**64)
    prefix = split.salt + ":"
    return np.array(
        [int.from_bytes(hashlib.sha256((prefix + i).encode()).digest()[:8], "big") < bound for i in customer_ids],
        dtype=bool,
    )
