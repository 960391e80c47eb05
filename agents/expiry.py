"""Expiry: the last day on which a policy may be used, by what its manifest says.

The days stand in the lineage (`valid_days`), which the policy's digest covers; they count from `created`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from agents.manifest import FILE, Manifest
from envs.errors import InputError

VALID_DAYS = "valid_days"  # key of the lineage
LONGEST = 36_500  # days that anything may be valid; a hundred years stand for a slip of the pen


def made_on(manifest: Manifest) -> date:
    """The day on which the policy was made, UTC."""
    try:
        return datetime.fromisoformat(manifest.created).date()
    except ValueError:
        raise InputError("must be ISO 8601", file=FILE, field="created", value=manifest.created) from None


def last_day(manifest: Manifest) -> date | None:
    """The last day on which the policy may be used; None where its manifest sets no term."""
    days = manifest.lineage.get(VALID_DAYS)
    if days is None:
        return None
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= LONGEST:
        need = f"must be days, more than 0 and at most {LONGEST}"
        raise InputError(need, file=FILE, field=f"lineage.{VALID_DAYS}", value=days)
    return made_on(manifest) + timedelta(days=int(days))
