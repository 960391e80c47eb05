"""What the verbs about capacity and limits can be told: one frozen model per verb, one sentence per field."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from envs.config import Config


class SharedPopulation(Config):
    """A population that shares pools, and who decides for it."""

    world: str = "bank"
    """The world to simulate: a built-in one (`bank`) or the directory of a calibrated world."""
    policy: str = "myopic"
    """Who decides: the directory of an artifact, or myopic (in a calibrated world); it should read prices."""
    customers: int = Field(20_000, ge=1)
    """Number of customers; the pools are those of so many."""
    days: int = Field(28, ge=1)
    """Days that are simulated."""
    by: str | None = None
    """Customer column of categories that divides the bank into regions with pools of their own; none: all share."""
    cadence_days: int = Field(1, ge=1)
    """Days between two decisions about a customer."""
    share: float = Field(1.0, gt=0.0)
    """Share of the catalogue's capacity that is there: 0.5 halves every pool."""
    annoyance_price: float | None = Field(None, ge=0.0)
    """Annoyance price shown to the policy; by default the schema's."""
    pool_prices: dict[str, float] = {}
    """Price per pool that the first day's search starts from; by default the schema's."""
    prices_outside: Literal["refuse", "clamp"] = "refuse"
    """What to do with a price outside the range on which the policy was trained; what is clamped is warned of."""
    processes: int = Field(1, ge=1)
    """Processes that simulate regions side by side; more than there are regions help no further."""
    seed: int = Field(0, ge=0)
    """Seed of the counter-based random numbers: the same seed gives the same figures, bit for bit."""


class CapacityConfig(SharedPopulation):
    """Clear the pools by prices, and say what more of them would be worth."""

    more: dict[str, float] = {}
    """Pool -> its units a day beyond the catalogue's, for all customers together; with shift_minutes, people."""
    shift_minutes: float | None = Field(None, gt=0.0)
    """Minutes of work with customers in one person's shift; then --more counts people. None: it counts units."""
    out: Path | None = None
    """Directory for capacity.json, population.html and population.json; by default under runs/."""


class WorthConfig(SharedPopulation):
    """Say what each channel is worth: what is lost when its treatments are closed."""

    channels: list[str] = []
    """Channels to take away, each by itself; none: every channel of the catalogue."""
    retrained: dict[str, Path] = {}
    """Channel -> artifact trained without it, which decides where it is closed; else the same policy does."""
    out: Path | None = None
    """Directory for worth.json; by default under runs/."""


class LimitConfig(Config):
    """Find the lowest price at which a policy keeps to a limit, and check it on other customers."""

    world: str = "bank"
    """The world to simulate: a built-in one or the directory of a calibrated world."""
    policy: str = "myopic"
    """Who decides: the directory of an artifact, or myopic (in a calibrated world); it must read prices."""
    limit: str
    """What may be at most: annoyance, cost or contacts per customer, opt_outs or complaints per contact, as 2/10k."""
    lever: Literal["annoyance", "all"] = "annoyance"
    """What is raised: the price of annoyance, or the scale of all prices."""
    customers: int = Field(2000, ge=2)
    """Customers on whom the price is searched; as many others check it."""
    days: int = Field(91, ge=1)
    """Horizon of a continuing task."""
    cadence_days: int | None = Field(None, ge=1)
    """Days between two decisions about a customer; by default the world's."""
    lowest: float | None = Field(None, ge=0.0)
    """Lowest price (or scale) that may be set; by default the usual one, which stays where it keeps to the limit."""
    highest: float | None = Field(None, gt=0.0)
    """Highest price (or scale); by default the top of the range on which the policy was trained."""
    steps: int = Field(10, ge=1)
    """Halvings of the range of prices."""
    caution: float = Field(1.0, ge=0.0)
    """Standard errors by which the limit must be kept on the customers of the search, for chance among others."""
    annoyance_price: float | None = Field(None, ge=0.0)
    """Annoyance price otherwise; by default the schema's."""
    pool_prices: dict[str, float] = {}
    """Price per pool; by default the schema's."""
    prices_outside: Literal["refuse", "clamp"] = "refuse"
    """What to do with a price outside the range on which the policy was trained; what is clamped is warned of."""
    seed: int = Field(0, ge=0)
    """Seed of the simulation."""
    out: Path | None = None
    """Directory for limit.json; by default under runs/."""


class FrontierConfig(Config):
    """Dial a policy's price of annoyance and draw what it earns, spends and annoys."""

    world: str = "bank"
    """The world to simulate: a built-in one or the directory of a calibrated world."""
    policy: str = "myopic"
    """Who decides: the directory of an artifact, or myopic (in a calibrated world); it must read prices."""
    prices: list[float] = []
    """Prices of annoyance; by default seven over the range on which the policy was trained, and the usual one."""
    pool_prices: dict[str, float] = {}
    """Price per pool; by default the schema's."""
    customers: int = Field(2000, ge=2)
    """Simulated customers, the same with the same luck at every price."""
    days: int = Field(91, ge=1)
    """Horizon of a continuing task."""
    seed: int = Field(0, ge=0)
    """Seed of the simulation."""
    out: Path | None = None
    """Directory for frontier.json and frontier.png; by default under runs/."""
