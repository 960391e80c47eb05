"""Worth: what each channel is worth, as what is lost when it is taken away."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from agents.artifact import check_compatible, load_policy
from agents.policy import Policy
from agents.without import without_channel
from envs.errors import InputError
from evaluation.channel_worth import ChannelWorths, channel_worths
from evaluation.pooled import check
from evaluation.region import PooledSetting
from training.capacity_configs import WorthConfig
from training.clearing import annoyance_price, cleared_setting, run
from training.progress import progress
from training.runs import atomic_write, run_directory

SAME = "was not retrained: it makes the best of the other channels that it learned with this one there"


@dataclass(frozen=True)
class ChannelWorth:
    """One row per channel, the largest loss first."""

    directory: Path
    found: ChannelWorths
    currency: str
    retrained: tuple[str, ...]  # channels without which another policy decides

    @property
    def frame(self) -> pl.DataFrame:
        """See `evaluation.channel_worth`, and whether another policy decides without the channel."""
        return self.found.frame.with_columns(retrained=pl.col("channel").is_in(self.retrained))

    @property
    def note(self) -> str:
        """How far to trust it."""
        some = "Where no policy of its own was named, the policy" if self.retrained else "The policy"
        return f"What is lost without a channel, paired; pools are cleared anew. {some} {SAME}."

    def __str__(self) -> str:
        gain, currency = self.found.gain, self.currency
        span = f"[{gain.lo:.2f}, {gain.hi:.2f}]"
        lines = [f"Gain over silence with every channel: {gain.value:.2f} {currency} per customer {span}. Lost without"]
        for row in self.frame.iter_rows(named=True):
            share = "" if row["share"] is None else f", {row['share']:.1%} of the gain"
            lines.append(
                f"{row['channel']}: {row['gain']:+.2f} [{row['lo']:+.2f}, {row['hi']:+.2f}]{share}; "
                f"{row['value']:+.2f} [{row['value_lo']:+.2f}, {row['value_hi']:+.2f}] with annoyance at its price; "
                f"{row['contacts']:.2f} contacts by it" + (", another policy without it" if row["retrained"] else "")
            )
        return "\n".join([*lines, self.note])

    def _repr_html_(self) -> str:
        return (
            f"<p>{html.escape(str(self).splitlines()[0])}</p>{self.frame._repr_html_()}<p>{html.escape(self.note)}</p>"
        )


def worth(config: WorthConfig) -> ChannelWorth:
    """Simulate with all channels and without each; write worth.json."""
    setting = cleared_setting(config)
    catalogue = setting.world.catalogue
    without = {name: _without(setting, config, name) for name in config.channels or catalogue.channel_ids}
    for name in config.retrained:
        if name not in without:
            raise InputError(f"must be one of: {', '.join(without)}", field="retrained", value=name)
    with progress("taking channels away", total=(2 + len(without)) * config.customers * config.days) as advance:
        found = channel_worths(setting, without, annoyance_price(setting), lambda one: run(one, config, advance))
    told = ChannelWorth(run_directory("worth", config.out), found, catalogue.currency, tuple(config.retrained))
    content = {"note": told.note, "gain": vars(found.gain), "channels": told.frame.to_dicts()}
    atomic_write(told.directory / "worth.json", json.dumps(content, indent=1) + "\n")
    return told


def _without(setting: PooledSetting, config: WorthConfig, channel: str) -> Policy:
    """Who decides without a channel."""
    policy = setting.policy
    if channel in config.retrained:
        policy = _retrained(config.retrained[channel], setting)
    return without_channel(policy, setting.world.catalogue, channel)


def _retrained(path: Path, setting: PooledSetting) -> Policy:
    policy, world = load_policy(path), setting.world
    check_compatible(policy.manifest, world.catalogue, world.encoder.digest)
    check(replace(setting, policy=policy))
    return policy
