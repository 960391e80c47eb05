"""The baselines that know neither log nor world, and the numbers of those frozen with the built-in bank."""

from __future__ import annotations

from agents.coordinated import POINTS, CoordinatedRules, coordinated_rules
from agents.scored import Scored, Softened
from agents.silos import RHYTHM, SiloedCampaigns
from agents.simple import Fixed, Random, Silence, fixed_treatment, simple_baselines

__all__ = [
    "CoordinatedRules",
    "Fixed",
    "Random",
    "Scored",
    "Silence",
    "SiloedCampaigns",
    "Softened",
    "coordinated_rules",
    "fixed_treatment",
    "parameters",
    "simple_baselines",
]


def parameters() -> dict[str, object]:
    """Baseline -> its numbers, plain values: what is frozen with the built-in bank."""
    return {"siloed_campaigns": RHYTHM, "coordinated_rules": POINTS._asdict()}
