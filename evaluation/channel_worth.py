"""What a channel is worth: what is lost when its treatments are closed, on the same customers with the same luck.

The pools are cleared anew without it, so that minutes that it leaves are used by others. The policy that goes on
without a channel has learned with it there: what is lost bounds from above what a policy of its own would lose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from agents.baselines import Silence
from agents.policy import Policy
from evaluation.intervals import Interval
from evaluation.pooled import PooledRun
from evaluation.region import PooledSetting
from evaluation.run_differences import AMOUNTS, difference, valued

Run = Callable[[PooledSetting], PooledRun]
COLUMNS = ("channel", "gain", "lo", "hi", "share", "value", "value_lo", "value_hi", "annoyance", "contacts")


@dataclass(frozen=True)
class ChannelWorths:
    """What a policy gains, and what of it is lost without each channel."""

    gain: Interval  # over silence with every channel, currency per customer
    frame: pl.DataFrame  # one row per channel, the largest loss of gain first; see COLUMNS


def silent(setting: PooledSetting) -> PooledSetting:
    """The same customers, left alone."""
    return replace(setting, policy=Silence(), clearing=None)


def channel_worths(
    setting: PooledSetting, without: Mapping[str, Policy], annoyance_price: float, run: Run
) -> ChannelWorths:
    """Run silence, everything, and everything but each channel. without: channel -> who decides when it is closed.

    Of a row: gain and value (the gain less annoyance at its price) lost without the channel, with their intervals;
    share: of the gain; annoyance: what there is less of; contacts: made on it, all per customer.
    """
    catalogue = setting.world.catalogue
    silence, whole, rows = run(silent(setting)), run(setting), []
    gain = difference(whole, silence, AMOUNTS["gain"])
    for channel, policy in without.items():
        less = run(replace(setting, policy=policy))
        lost, value = (difference(whole, less, amount) for amount in (AMOUNTS["gain"], valued(annoyance_price)))
        share = lost.value / gain.value if gain.value else None
        annoyed = difference(whole, less, AMOUNTS["annoyance"]).value
        made = sum(block.number("contacted", catalogue.channel_ids.index(channel)) for block in whole.counts)
        parts = (lost.value, lost.lo, lost.hi, share, value.value, value.lo, value.hi, annoyed)
        rows.append((channel, *parts, made / len(setting.customers)))
    frame = pl.DataFrame(rows, orient="row", schema=list(COLUMNS))
    return ChannelWorths(gain, frame.sort("gain", descending=True))
