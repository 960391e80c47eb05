"""Settings of an evaluation: every number by which an estimate is chosen or bounded, fixed before rewards are read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from envs.config import Config


class EvaluationSettings(Config):
    """How estimates are chosen, modelled and bounded."""

    resamples: int = Field(1000, ge=100, le=20_000, description="Bootstrap resamples of customers.")
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="Of the two-sided intervals and of the one-sided lower bound."
    )
    min_ess: float = Field(
        100.0,
        gt=0,
        description="Least effective sample size, in customers, of an importance-sampled lead estimate. "
        "Assumed: below about a hundred a bootstrap percentile interval of a skewed mean stops covering.",
    )
    min_ess_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Least effective sample size as a share of the evaluated customers. Assumed: one in twenty, "
        "so that a large log does not rest on a sliver of its customers, who need not be like the rest.",
    )
    max_untried: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Most probability that a policy may put on treatments the log never tried before importance "
        "sampling loses the lead. Assumed: it ignores that share, so it must be small beside the interval.",
    )
    max_guessed: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Most probability that a policy may put on treatments the log never tried before what a model "
        "expects of it is not told either. Assumed: beyond half, most of what it does is the model's guess.",
    )
    min_positives: float = Field(
        30.0,
        ge=0,
        description="Least effective number of customers with a positive margin behind an importance-sampled lead "
        "estimate. Assumed: below, a mean of rare amounts is a handful of customers, and its interval too short.",
    )
    effect: float = Field(
        0.05,
        gt=0,
        description="Difference in question, as a share of what the logging policy earned per customer: for it the "
        "report says how many customers a log would need. Assumed: what a bank would change a policy for.",
    )
    population: int | None = Field(
        None, ge=1, description="Customers of the bank: the difference is also stated for all of them, in currency."
    )
    correction: Literal["auto", "dr", "sn"] = Field(
        "auto",
        description="Form of the lead estimate: dr adds a reward model, sn is self-normalised without one; "
        "auto takes dr where min_model_rows training decisions exist.",
    )
    min_model_rows: int = Field(
        2_000,
        ge=1,
        description="Least decisions to fit a reward model on, for auto. Assumed: a few hundred for each of the "
        "treatments that a small catalogue has.",
    )
    model: Literal["auto", "trees", "ridge"] = Field(
        "auto", description="Reward model and Q function; auto takes the one with the smaller held-out loss."
    )
    model_rows: int = Field(
        60_000, ge=100, description="Most training decisions a model is fitted on, whole customers at random."
    )
    path_rows: int = Field(
        8_000, ge=100, description="Most decisions a stationary Q is fitted on, which is done once per decision ahead."
    )
    tree_predictions: int = Field(
        3_000_000,
        ge=0,
        description="Most predictions of (decision, treatment) pairs per policy for which fitted Q uses trees "
        "(about ten seconds); beyond, it is linear.",
    )
    ratio_decisions: int = Field(
        24,
        ge=0,
        description="Most decisions of a log for which density ratios of states are estimated: one regression for each "
        "decision and policy. Assumed: a campaign's length; a continuing task has other estimates.",
    )
    reward_range: tuple[float, float] | None = Field(
        None,
        description="Least and most that one decision can earn, stated before the log is read: for logs of one "
        "decision the report then adds bounds that hold at any size of log. A reward outside is refused.",
    )
    examples: int = Field(
        5,
        ge=0,
        le=20,
        description="Customers whom the report shows as examples of what each policy changes, by pseudonymous id; 0: "
        "it speaks of no single customer, as a page that is mailed should.",
    )
    protected: tuple[str, ...] = Field(
        (),
        description="Columns of the profile by which customers must not be treated unlike, besides those that the "
        "schema guards as special: the report says how far each policy does.",
    )
    valid_days: int = Field(
        90,
        ge=1,
        le=36_500,
        description="Days after the log's last decision until which the report may be used. Assumed: a quarter, in "
        "which offers, prices and customers change little.",
    )
    full_horizon: bool = Field(True, description="Also fit Q over the full horizon, marked model-based.")

    @model_validator(mode="after")
    def _range_rises(self) -> EvaluationSettings:
        if self.reward_range is not None and not self.reward_range[0] < self.reward_range[1]:
            raise ValueError(f"reward_range == {self.reward_range}, must be least and most, and most above least")
        return self

    def threshold(self, customers: int) -> float:
        """Effective sample size that an importance-sampled lead estimate needs, in customers."""
        return max(self.min_ess, self.min_ess_share * customers)
