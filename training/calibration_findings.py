"""A finding: something that a log cannot tell, and what a calibrated world assumes instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What cannot be identified, why, and the assumption used instead."""

    subject: str  # "head delivered", "treatment sms_loan", "half-life pressure"
    what: str  # what cannot be told
    evidence: str  # the counts that show it
    assumption: str  # what is used instead

    def __str__(self) -> str:
        return f"{self.subject}: {self.what} ({self.evidence}). Assumed: {self.assumption}."
