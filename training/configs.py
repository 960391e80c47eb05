"""What each verb of training can be told: one frozen model per verb, one sentence per field.

Light on purpose (pydantic only): the command line builds its help from these models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from envs.config import Config, Several
from evaluation.settings import EvaluationSettings
from training.capacity_configs import SharedPopulation
from training.fidelity_settings import FidelityThresholds


class SimulateConfig(Config):
    """Simulate the contact log of a bank: customers, decisions with propensities, events."""

    world: str = "bank"
    """The world to simulate: a built-in one (`bank`, `exact`) or the directory of a calibrated world."""
    customers: int = Field(5000, ge=1)
    """Number of customers."""
    days: int = Field(91, ge=7)
    """Days of history per customer; a finite task has its own."""
    randomised_share: float = Field(0.4, ge=0.0, le=1.0)
    """Share of whole customers decided once a week by a stochastic policy, propensities logged; finite task: all."""
    test_share: float = Field(0.3, gt=0.0, lt=1.0)
    """Share of customers that training and calibration never see, by a named hash of the id."""
    seed: int = Field(0, ge=0)
    """Seed of the counter-based random numbers: the same seed gives the same log, bit for bit."""
    out: Path | None = None
    """Directory for the canonical tables; by default under runs/."""


class PopulationConfig(SharedPopulation):
    """Simulate a population whose customers share pools: what it is worth, and what it lacked."""

    policy: str = "coordinated_rules"
    """Who decides: coordinated_rules, siloed_campaigns, silence, random, myopic, or the directory of an artifact."""
    customers: int = Field(100_000, ge=1)
    """Number of customers."""
    days: int = Field(90, ge=1)
    """Days that are simulated."""
    pool_prices: dict[str, float] = {}
    """Price per pool shown to the policy, by the pool's id; pools not named have the schema's default."""
    clear: bool = False
    """Find the pools' prices anew every morning, so that demand meets capacity; for a policy that reads prices."""
    assets: str | None = None
    """Column with the assets under management at the start, for their growth; none: not known."""
    log: bool = False
    """Also write the run as canonical tables, every decision with its propensity; for small runs, in one process."""
    out: Path | None = None
    """Directory for population.html and population.json, and for tables/ with --log; by default under runs/."""


class ImportConfig(Config):
    """Turn a foreign contact log into the canonical tables."""

    kind: Literal["starbucks", "hillstrom", "open_bandit", "bank_calls", "mapped"]
    """Which log it is; mapped: a bank's own files."""
    source: Path
    """The file or directory to read."""
    mapping: Path = Path("mapping.yaml")
    """Mapped only: how own columns map to the tables; catalogue.yaml and schema.yaml stand beside it."""
    outcome: Literal["visit", "conversion", "spend"] = "visit"
    """Hillstrom only: the outcome that counts as margin."""
    policy: Literal["random", "bts", "both"] = "both"
    """Open Bandit only: the logging policy whose rows are read; bts is Thompson sampling."""
    test_share: float = Field(0.3, gt=0.0, lt=1.0)
    """Share of customers that training and calibration never see, by a named hash of the id."""
    salt: str = "nextbest-1"
    """Name of the hash that splits customers; the same salt gives the same split."""
    out: Path | None = None
    """Directory for the canonical tables; by default under runs/."""


class CalibrateConfig(Config):
    """Estimate a world (coefficients with standard errors) from the training customers of a log."""

    tables: Path
    """Directory of canonical tables."""
    ridge: float = Field(1.0, ge=0.0)
    """Ridge penalty on standardised coefficients; 1 is a unit-variance Gaussian prior."""
    replicates: int = Field(10, ge=0)
    """Bootstrap replicates of the coefficients, over customers, kept as the world's ensemble."""
    heldout_share: float = Field(0.2, gt=0.0, lt=1.0)
    """Share of the training customers on which the fidelity of the fitted world is measured."""
    estimate: Literal["penalised", "debiased"] = "penalised"
    """Coefficients of the world: penalised predict best, debiased are not shrunk; intervals are of the latter."""
    form: str | None = None
    """World or coefficients.yaml whose heads name the features to fit; heads that it lacks have theirs chosen."""
    standard_errors: Literal["customer", "row"] = "customer"
    """customer: a customer's rows may depend on one another; row: they do not, given the features."""
    random_effects: bool = False
    """Give heads an effect of the customer where a likelihood-ratio test asks for it; one-step forecasts average it."""
    half_lives: Literal["keep", "estimate"] = "keep"
    """keep: the schema's; estimate: by profile likelihood, with the tables encoded anew beside the world."""
    recorded: list[str] = []
    """ANSWER@CHANNEL that are recorded although the log shows none there (opted_out@branch); may be repeated."""
    rows: int = Field(40_000, ge=1000)
    """Most rows that a head is fitted on; events are kept first, and each row kept stands for those left out."""
    seed: int = Field(0, ge=0)
    """Seed of the bootstrap, the held-out draw and the rows kept."""
    out: Path | None = None
    """Directory for the world; by default under runs/."""


class FidelityConfig(Config):
    """Judge a calibrated world on customers that calibration never reads."""

    tables: Path
    """Directory of canonical tables."""
    world: str
    """Directory of the world to judge, calibrated on the training customers of these tables."""
    assignment: str | None = None
    """Replay customers of this assignment only; by default the randomised ones if there are any."""
    policy: Path | None = None
    """Artifact of the policy that decided in the log, for the replay; by default one that is fitted to the log."""
    late_share: float = Field(0.3, gt=0.0, lt=1.0)
    """Share of the decisions, the latest, that counts as the later part of the log."""
    rows: int = Field(40_000, ge=1000)
    """Most rows of a head that are learned from, and judged; events are kept first, others stand for more."""
    members: int = Field(10, ge=1)
    """Most members of the world's ensemble that are replayed."""
    replay_logs: int = Field(3, ge=0)
    """Simulated logs of each member; 0 replays nothing. A world without an ensemble has 20."""
    replay_customers: int = Field(2000, ge=0)
    """Most customers replayed."""
    resamples: int = Field(500, ge=100)
    """Bootstrap resamples of customers behind the interval of a ratio of scores."""
    thresholds: FidelityThresholds = FidelityThresholds()
    """From where on a head, or a replay, is called faulty; fixed before the log is read."""
    strict: bool = False
    """Exit with code 1 unless the world is found adequate."""
    seed: int = Field(0, ge=0)
    """Seed of the trees, the bootstrap and the replay."""
    out: Path | None = None
    """Directory for fidelity.html and fidelity.json; by default under runs/."""


class TrainConfig(Config):
    """Train a price-conditioned contact policy by MaskablePPO in a world."""

    tables: Path | None = None
    """Canonical tables that the world was calibrated on: checked against it and named in the lineage."""
    world: str = ""
    """Directory of a calibrated world; `bank` or `exact` train in a built-in one, a truth that no bank has."""
    resume: Path | None = None
    """Directory of a training that was stopped: go on from its checkpoint, with the configuration that it has."""
    steps: int = Field(1_000_000, ge=0)
    """Decisions of reinforcement learning; 0 keeps the imitated teacher."""
    envs: int = Field(1024, ge=1)
    """Customers simulated side by side."""
    ensemble: int = Field(4, ge=0)
    """Bootstrap replicates of the calibrated coefficients to learn in, side by side; 0 trusts the one best estimate."""
    expected_rewards: bool = True
    """Learn from the rewards that heads and hidden states make one expect instead of from what chance made of them."""
    seed: int = Field(0, ge=0)
    """Seed of the world's luck, the network's weights and the draws of actions."""
    seeds: int = Field(1, ge=1)
    """Trainings, from `seed` on, in folders of their own; the spread is told, and the first is the one registered."""
    horizon: int = Field(91, ge=1)
    """Days of an episode in a continuing world; the end truncates and is bootstrapped through."""
    width: int = Field(128, ge=8)
    """Units per hidden layer of the trunk."""
    layers: int = Field(2, ge=1)
    """Hidden layers of the trunk."""
    embedding: int = Field(16, ge=4)
    """Units in which products and channels meet to give a score."""
    tuning_customers: int = Field(250, ge=0)
    """Simulated customers on which each setting of the teacher's levers is tried; 0 takes the first setting untried."""
    foresight_customers: int = Field(8192, ge=0)
    """Customers watched, hidden states known, so that the teacher learns what histories say of these; 0: nothing."""
    imitation_steps: int = Field(200_000, ge=0)
    """Decisions on which the softened teacher is imitated before learning; 0 starts cold."""
    imitation_epochs: int = Field(6, ge=1)
    """Passes over the teacher's decisions."""
    teacher_temperature: float = Field(0.03, gt=0.0)
    """Temperature of the teacher's softmax, in standard deviations of its best scores: higher explores more."""
    teacher_floor: float = Field(0.01, ge=0.0, lt=1.0)
    """Probability that the teacher spreads evenly over the allowed treatments."""
    temperature: float = Field(0.25, gt=0.0)
    """Temperature of the finished policy; part of the policy that is evaluated and served."""
    floor: float = Field(0.0, ge=0.0, lt=1.0)
    """Probability that the finished policy spreads evenly over the allowed treatments: it teaches, and it costs."""
    random_prices: bool = True
    """Draw the prices anew for each customer, so that one policy answers to all of them."""
    prices: dict[str, float] = {}
    """Price by name where prices are not drawn, and around which the usual ones are; others are the schema's."""
    price_walk: float = Field(0.03, ge=0.0)
    """A day's random step of each price's logarithm (standard deviation), as serving changes them; 0: they hold."""
    learning_rate: float = Field(3e-4, gt=0.0)
    """Step size of Adam at the start; it falls linearly to zero."""
    rollout: int = Field(64, ge=1)
    """Decisions collected from each customer before an update."""
    batch: int = Field(4096, ge=1)
    """Decisions per gradient step."""
    epochs: int = Field(3, ge=1)
    """Passes over each rollout."""
    clip: float = Field(0.2, gt=0.0)
    """PPO's clip of the probability ratio."""
    entropy: float = Field(0.01, ge=0.0)
    """Weight of the entropy bonus at the start; it falls linearly to zero."""
    gae_lambda: float = Field(0.98, ge=0.0, le=1.0)
    """Mixing of generalised advantage estimation: 0 is one step, 1 is the whole rollout."""
    validations: int = Field(8, ge=0)
    """How often the learner is judged on validation customers; the last state not surely worse is kept. 0: never."""
    validation_customers: int = Field(300, ge=1)
    """Simulated customers by whom it is judged, beside silence, at each of a few annoyance prices."""
    patience: int = Field(3, ge=0)
    """Stop after so many validations in a row that are surely worse than the best, paired; 0: never."""
    track: bool = True
    """Record parameters, metrics and artifacts in MLflow."""
    register_policy: bool = True
    """Register the artifact as `contact-policy` with alias `challenger`."""
    experiment: str = "nextbest"
    """Name of the MLflow experiment."""
    trained_by: str | None = None
    """Who trains, for the model card; somebody else has to approve the policy. By default the login name."""
    valid_days: int = Field(180, ge=1, le=36_500)
    """Days for which the policy may be used; assumed: half the yearly review of SR 11-7, since habits drift faster."""
    fidelity: Path | None = None
    """The world's fidelity.json, for the model card; by default the one in the world's directory, if there is one."""
    out: Path | None = None
    """Directory for the run; the artifact stands in its folder policy/. By default under runs/."""


class AdaptConfig(Config):
    """Adapt a trained policy to a world with other products, channels or treatments, without training."""

    training: Path
    """Directory of a finished training."""
    world: str
    """Directory of the world to decide in; what it observes of the whole customer must be the same."""
    out: Path | None = None
    """Directory for the new artifact, in its folder policy/. By default under runs/."""


class PromoteConfig(Config):
    """Ask the gate whether a registered policy may become champion."""

    report: Path
    """The evaluation's report.json, or the directory it stands in."""
    policy: str = "challenger"
    """Alias or version number of the registered `contact-policy` to promote."""
    gate: Path | None = None
    """Gate file; by default mlflow/promotion.yaml."""
    tables: Path | None = None
    """Tables for the smoke decisions; by default those that the report was made from."""
    approved_by: str | None = None
    """Who approves, not the one who trained it; recorded with the decision."""
    reason: str | None = None
    """Why; recorded with the decision. A name that approves must give one."""
    out: Path | None = None
    """Directory for promotion.json and the model card; by default under runs/."""

    @field_validator("approved_by", "reason")
    @classmethod
    def _says_something(cls, text: str | None) -> str | None:
        """Spaces around it are not part of a name; nothing else is no name."""
        if text is not None and not text.strip():
            raise ValueError("must not be blank")
        return None if text is None else " ".join(text.split())

    @model_validator(mode="after")
    def _reasoned(self) -> PromoteConfig:
        if self.approved_by is not None and self.reason is None:
            raise ValueError("reason must be given with approved_by: who reads the record later has to know why")
        return self


class DemoConfig(Config):
    """The whole loop on the built-in bank, from a simulated log to served decisions."""

    customers: int = Field(30_000, ge=100)
    """Customers in the simulated contact log; with fewer, its test part can hardly tell good policies from luck."""
    days: int = Field(91, ge=28)
    """Days of history per customer."""
    steps: int = Field(200_000, ge=0)
    """Decisions of reinforcement learning."""
    seed: int = Field(0, ge=0)
    """Seed of everything."""
    quick: bool = False
    """A tenth of the work, to see that everything runs; the figures mean little."""
    out: Path | None = None
    """Directory for everything the demo makes; by default under runs/."""


class EvaluateConfig(Config):
    """Evaluate policies on the test customers of a log, and in simulation if a world is given."""

    tables: Path
    """Directory of canonical tables."""
    policy: list[Path] = []
    """Artifact directory of a policy, or the directory of its training run; may be repeated."""
    live: Path | None = None
    """Report that a policy was launched on (report.json or its directory): its forecast stands beside what came."""
    compare: Annotated[list[str], Several()] = []
    """Policies side by side: artifact directories, or baselines by name; bounds hold for all of them together."""
    baselines: list[str] | None = None
    """By default silence, best_fixed and, with a world, myopic; random and coordinated_rules are there too."""
    world: str | None = None
    """Calibrated world for the myopic baseline and the paired simulation, or `bank`; none skips both."""
    assignment: str | None = None
    """Evaluate on customers of this assignment only; by default the randomised ones if there are any."""
    reference: str = "auto"
    """Policy that differences are taken to: logged, champion, a baseline; auto is the champion if there is one."""
    annoyance_price: float | None = Field(None, ge=0.0)
    """Annoyance price at which everything is evaluated; by default the schema's."""
    pool_prices: dict[str, float] = {}
    """Price per pool, by the pool's id; pools not named have the schema's default."""
    prices_outside: Literal["refuse", "clamp"] = "refuse"
    """What to do with a price outside the range on which the policy was trained; what is clamped is warned of."""
    settings: EvaluationSettings = EvaluationSettings()
    """How estimates are chosen, modelled and bounded; fixed before rewards are read."""
    whole_decisions: int = Field(1_000_000, ge=0)
    """Most decisions of a log that is held in memory; a larger one is read in parts, twice, from temporary files."""
    part_decisions: int = Field(100_000, ge=1)
    """Decisions of a part, about: whole customers. What is held at once grows with it."""
    simulate_customers: int = Field(2000, ge=0)
    """Customers simulated, the same luck for every policy; 0 skips simulation."""
    simulate_days: int = Field(91, ge=1)
    """Horizon of the simulation of a continuing task."""
    seed: int = Field(0, ge=0)
    """Seed of the bootstrap and of the simulation."""
    track: bool = True
    """Log the report to MLflow."""
    lang: Literal["en", "zh"] = "en"
    """Language of report.html: English or Chinese; report.json is the same in both."""
    out: Path | None = None
    """Directory for report.html and report.json; by default under runs/."""


class InitConfig(Config):
    """Write commented starter files."""

    directory: Path
    """Directory to write catalogue, schema, rules, mapping and training YAML into."""
    overwrite: bool = False
    """Replace starter files that are already there."""


class SpacesConfig(Config):
    """Show what a world lets a policy see and do."""

    world: str = "bank"
    """The world: `bank` (built in) or the directory of another one."""
    into: Path | None = None
    """A Markdown file whose section about this world is written anew."""


class ValidateConfig(Config):
    """Check a file or directory and say what it is."""

    path: Path
    """A catalogue, rules, gate or training file, a directory of tables, a world or an artifact."""
