"""What a search for training settings can be told: one frozen model, one sentence per field."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from envs.config import Config
from training.configs import TrainConfig

NEVER = frozenset({"tables", "world", "resume", "seed", "seeds", "track", "register_policy", "experiment", "trained_by",
                   "valid_days", "fidelity", "out"})  # fmt: skip  # of a training: say what or where, not how


class Span(Config):
    """The values that a field of the training may take: a range, or a list."""

    low: float | None = None
    """Smallest value of a range."""
    high: float | None = None
    """Largest value of a range."""
    log: bool = False
    """Search a range by ratios, not by differences."""
    choices: tuple[bool | int | float | str, ...] = ()
    """The values of a list."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Span:
        if bool(self.choices) == (self.low is not None or self.high is not None):
            raise ValueError("must have low and high, or choices")
        if not self.choices and (self.low is None or self.high is None or self.low >= self.high):
            raise ValueError(f"low == {self.low}, high == {self.high}, must be low < high")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("log must stand with a range above 0")
        return self

    def holds(self, value: object) -> bool:
        """Whether a value is among these."""
        if self.choices:
            return value in self.choices
        return (
            isinstance(value, int | float)
            and self.low is not None
            and self.high is not None
            and (self.low <= value <= self.high)
        )

    @property
    def ends(self) -> tuple[bool | int | float | str, ...]:
        """Every value of a list, both ends of a range."""
        return self.choices or (self.low, self.high)  # type: ignore[return-value]  # not None where there are no choices


SPACE = {
    "learning_rate": Span(low=1e-4, high=5e-3, log=True),
    "epochs": Span(low=2, high=6),
    "gae_lambda": Span(low=0.7, high=0.98),
    "teacher_temperature": Span(low=0.005, high=0.2, log=True),
    "temperature": Span(low=0.1, high=1.0, log=True),
}  # assumed: what changes a PPO most for its cost (Andrychowicz et al. 2021), and how sharply it is to decide


class TuneConfig(Config):
    """Search for training settings that earn more on simulated customers of their own, never on a log's test part."""

    train: TrainConfig
    """The training; what is not searched stays as it is here."""
    space: dict[str, Span] = {}
    """Field of the training -> its values, {low, high, log} or {choices}; by default those that matter most in PPO."""
    trials: int = Field(30, ge=1)
    """Trials in all, those of earlier calls included; the first has the training's own settings."""
    seeds: int = Field(1, ge=1)
    """Trainings of a trial, from the training's seed on; the trial counts by their mean."""
    customers: int = Field(1000, ge=2)
    """Simulated customers by whom a trial is judged, and as many others by whom the best is tested in the end."""
    days: int = Field(91, ge=1)
    """Days for which they are simulated, in a continuing task."""
    annoyance_prices: list[float] = []
    """Annoyance prices at which it is judged; by default a quarter, one, five and fifteen times the schema's."""
    pool_prices: dict[str, float] = {}
    """Price per pool at which it is judged; pools not named have the schema's default."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """What ends a trial early: behind the median of the others at that point, halving brackets, or nothing."""
    startup: int = Field(5, ge=0)
    """Trials that nothing ends early and that are drawn at random."""
    minutes: float | None = Field(None, gt=0)
    """Begin no trial after so many minutes of this call."""
    seed: int = Field(0, ge=0)
    """Seed of the search and of the judging simulation's luck."""
    track: bool = True
    """Record the search in MLflow: a run for it all, and in it one for each trial."""
    experiment: str = "nextbest-tune"
    """Name of the MLflow experiment."""
    out: Path | None = None
    """Directory of the search; the same one goes on where it was left. By default under runs/."""

    @model_validator(mode="after")
    def _searchable(self) -> TuneConfig:
        """Every field exists and takes both ends of its span."""
        known = [name for name in TrainConfig.model_fields if name not in NEVER]
        for name, span in self.searched.items():
            if name not in known:
                raise ValueError(f"space.{name}, is not a field to search, must be one of: {', '.join(known)}")
            for value in span.ends:
                with_settings(self.train, {name: self.typed(name, value)})
            own = getattr(self.train, name)
            if not span.holds(own):
                raise ValueError(f"space.{name} must hold {own}, the training's own value: the search begins there")
        return self

    @property
    def searched(self) -> dict[str, Span]:
        """Every field that is searched, with its values."""
        return self.space or SPACE

    def typed(self, name: str, value: object) -> object:
        """The value as the training takes it: 2.0 is the integer 2 where integers are wanted."""
        whole = TrainConfig.model_fields[name].annotation is int and isinstance(value, float) and value.is_integer()
        return int(value) if whole and isinstance(value, float) else value

    def is_whole(self, name: str) -> bool:
        """Whether a field counts something."""
        return TrainConfig.model_fields[name].annotation is int


def with_settings(train: TrainConfig, settings: dict[str, object]) -> TrainConfig:
    """The training with other settings, checked."""
    return TrainConfig.model_validate(train.model_dump() | settings)
