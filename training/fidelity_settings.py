"""What a fidelity report is judged by: every threshold with its sentence, fixed before a log is read."""

from __future__ import annotations

from pydantic import Field

from envs.config import Config


class FidelityThresholds(Config):
    """A fault is named where it is both large (outside these bounds) and certain (beyond luck, all checks together)."""

    stiff: float = Field(
        1.03, gt=1, description="Score over LightGBM's from which on a form is too stiff (the aim: within 3 %)."
    )
    missing: float = Field(
        0.25,
        gt=0,
        description="Spread, in log odds (or log rate, log amount), of what LightGBM sees and the head does not, from "
        "which on a form is too stiff. Assumed: odds that are typically off by a quarter mislead a choice of contacts.",
    )
    customers: float = Field(
        0.4,
        gt=0,
        description="Spread between customers, in log odds, that the head does not explain, from which on it is too "
        "stiff. Assumed: a third between typical customers above and below; contacts meet ever the same people.",
    )
    level: float = Field(0.1, gt=0, description="Share by which a whole head may be off before it is miscalibrated.")
    group: float = Field(
        0.25, gt=0, description="Share by which a head may be off in a group of rows before it is miscalibrated."
    )
    slope: float = Field(
        0.25, gt=0, description="How far from 1 (on the scale of its logarithm) the calibration slope may lie."
    )
    bend: float = Field(
        0.25, gt=0, description="Curvature of the calibration curve, in log odds per squared standard deviation."
    )
    drift: float = Field(
        0.2, gt=0, description="Share by which the later part may lie off what the earlier part says before it drifts."
    )
    replayed: float = Field(
        0.15, gt=0, description="Share by which an indicator of the replayed log may be off before it is a fault."
    )
    error: float = Field(
        0.05, gt=0, lt=1, description="Chance that any check of the report names a fault where there is none."
    )
    events: int = Field(
        100,
        ge=1,
        description="Events (and others) among the judged customers below which a head is not judged. Collins, "
        "Ogundimu and Altman 2016, Statistics in Medicine 35: at least a hundred, to validate a model of an event.",
    )
    group_events: float = Field(
        20.0, gt=0, description="Expected events (and others) in a group of rows below which it is shown, not judged."
    )
