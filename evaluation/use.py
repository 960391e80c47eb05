"""What a policy may be used for, and until when, by its model card."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """Of one policy; what no card says is not known."""

    policy: str
    intended: str | None  # None: it has no model card
    not_for: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    expires: str | None = None  # last day, ISO 8601; None: no term is set
    because: str = ""  # of the term
