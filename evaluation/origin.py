"""Where a report comes from: the command that makes it again, the code, and the digests of all that it read."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.language import mark

CHANGED = mark("{commit}, with changes that are not committed")
UNKNOWN = mark("unknown ({why})")


@dataclass(frozen=True)
class Source:
    """Something that was read."""

    what: str  # tables, world, …
    name: str  # as it was told
    digest: str


@dataclass(frozen=True)
class Origin:
    """How a report was made."""

    command: str  # for a shell
    code: str  # commit, as it is, CHANGED or UNKNOWN
    sources: tuple[Source, ...]
