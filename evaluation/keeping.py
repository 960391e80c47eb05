"""Matrices made of the same inputs a moment ago: regressions of several amounts and policies share them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

MOST = 24  # kept, those used last: as many as the steps and folds of a campaign's fitted Q

_kept: OrderedDict[bytes, np.ndarray] = OrderedDict()


def kept_matrix(inputs: Sequence[np.ndarray], made: Callable[[], np.ndarray]) -> np.ndarray:
    """What `made` returns, which must depend on these inputs alone; not computed again while it is kept.

    Told apart by content, not by identity: rows that are taken out of a log anew are the same rows. The matrix may not
    be written to.
    """
    content = hashlib.blake2b(digest_size=32)
    for values in inputs:
        content.update(repr((values.shape, values.dtype.str)).encode())
        content.update(np.ascontiguousarray(values).tobytes())
    key = content.digest()
    if key not in _kept:
        found = made()
        found.flags.writeable = False
        _kept[key] = found
        while len(_kept) > MOST:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]
