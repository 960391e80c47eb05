"""What the service and its client can be told.

Precedence: what is said explicitly, then the environment, then the default.

Light on purpose: the command line builds its help from these models.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from envs.config import Config


class ServeConfig(BaseSettings):
    """Answer decisions over HTTP. Every field can also be set as NEXTBEST_<FIELD> in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="NEXTBEST_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines ask."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one, see --ready-file."""
    ledger: Path | None = None
    """SQLite file that keeps decisions, events and customers; by default ledger.sqlite under runs/."""
    policy: Path | None = None
    """Artifact directory of the policy that decides; none takes the registered one."""
    registry: str | None = None
    """sqlite:///FILE or http(s)://SERVER; by default MLFLOW_REGISTRY_URI, MLFLOW_TRACKING_URI, runs/mlflow.db."""
    registered_model: str = "contact-policy"
    """Name of the registered policy."""
    alias: str = "champion"
    """Alias of the version that decides; it is resolved once, at start."""
    registry_timeout: float = Field(10.0, gt=0)
    """Seconds after which a registry that does not answer is given up."""
    fallback: bool = True
    """Let the coordinated rules decide if nothing has the alias yet; otherwise refuse to start."""
    fallback_rules: Path | None = None
    """Directory with catalogue.yaml, schema.yaml and rules.yaml for the fallback; by default the built-in bank."""
    tables: Path | None = None
    """Canonical tables whose customers, decisions and events the service knows from the start; loaded once."""
    prices_outside: Literal["refuse", "clamp"] = "refuse"
    """What to do with a price outside the range on which the policy was trained."""
    ahead_days: float = Field(1.0, ge=0)
    """How far a decision or event may lie after this machine's clock, in days."""
    seed: int | None = Field(None, ge=0)
    """Seed of the draws; none takes fresh randomness from the operating system."""
    seeded_requests: bool = False
    """Let requests hand in a seed, for tests and demos: whoever picks the luck picks the treatment."""
    ready_file: Path | None = None
    """File to write the service's URL into as soon as it answers."""

    def ledger_file(self) -> Path:
        """Where the ledger is."""
        return self.ledger or _runs() / "ledger.sqlite"

    def registry_uri(self) -> str:
        """Where the registry is."""
        said = (self.registry, os.environ.get("MLFLOW_REGISTRY_URI"), os.environ.get("MLFLOW_TRACKING_URI"))
        return next((uri for uri in said if uri), f"sqlite:///{_runs() / 'mlflow.db'}")

    def registry_is_default(self) -> bool:
        """True if nobody named a registry."""
        return not (self.registry or os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI"))


class DecideConfig(Config):
    """Ask a running service for one decision."""

    url: str = Field(default_factory=lambda: os.environ.get("NEXTBEST_URL", "http://127.0.0.1:8080"))
    """Where the service answers; NEXTBEST_URL in the environment is the default."""
    customer_id: str = Field(min_length=1)
    """The customer to decide for."""
    customer: str | None = None
    """Profile columns of the customer, as JSON or as a JSON file; only needed if new or changed."""
    trigger: str | None = None
    """How the customer comes in: app_session, inbound_call ...; none is an outbound decision."""
    at: str | None = None
    """Moment of the decision, ISO 8601 with a time zone; none is now."""
    prices: dict[str, float] = {}
    """Prices by name (annoyance or a pool); those left out take the schema's default."""
    request_id: str | None = None
    """Name of this request: asked again, it gets its first answer again."""
    explain: bool = False
    """Also show every allowed treatment's probability and the observation."""
    seed: int | None = Field(None, ge=0)
    """Seed of the draw; only a service that was started for it takes one."""
    timeout: float = Field(10.0, gt=0)
    """Seconds to wait for the answer."""


def _runs() -> Path:
    """The folder of all runs: $NEXTBEST_RUNS, else runs/ in the working directory; absolute."""
    return Path(os.environ.get("NEXTBEST_RUNS") or "runs").absolute()
