"""The drawing of a timeline: contacts and what came of them by channel, intent, ill feeling and money, day by day."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from envs.timeline import Timeline
from envs.world import World

EPOCH = date(1970, 1, 1)
FAMILIES = {"online": "#eef4fb", "remote": "#fdf3e7", "offline": "#eff7ee"}  # background of a channel's lane
UNASKED = "#f4f4f4"
GOOD, BAD, FAINT = "#1a7f37", "#c62828", "#9aa0a6"
# How an event looks: marker, size, colour (None: the product's), filled, height within the lane
LOOKS: dict[str, tuple[str, float, str | None, bool, float]] = {
    "delivered": ("o", 70, None, False, 0.0),
    "engaged": ("o", 34, None, True, 0.0),
    "declined": ("x", 40, "#444444", True, 0.22),
    "converted": ("*", 190, None, True, -0.2),
    "cancelled": ("*", 150, BAD, False, -0.2),
    "opted_out": ("X", 90, BAD, True, 0.22),
    "blocked": ("X", 90, "black", True, 0.22),
    "complained": ("^", 90, BAD, True, -0.22),
    "browsed": ("o", 12, None, True, 0.0),
    "abandoned": ("s", 34, None, False, 0.0),
    "purchased": ("P", 50, GOOD, True, 0.0),
    "churned": ("X", 150, "black", True, 0.0),
}
OTHER = ("D", 26, "#6b4fa0", False, 0.0)  # every event that has no look of its own
SILENT = {"redeemed"}  # money, not an act of the customer


def draw(figure: Figure, world: World, timeline: Timeline, days: int) -> None:
    """Draw a timeline into an empty figure. days: length of the axis."""
    last = timeline.standings[-1].day - timeline.first_day
    grid = {"height_ratios": [4.2, 1.5, 1.2, 1.2], "hspace": 0.12, "left": 0.16, "right": 0.8, "top": 0.92}
    contacts, intent, feeling, money = figure.subplots(4, 1, sharex=True, gridspec_kw=grid | {"bottom": 0.07})
    tints = _tints(world)
    _contacts(contacts, world, timeline, tints)
    _intent(intent, world, timeline, tints)
    _feeling(feeling, timeline)
    _money(money, world, timeline)
    for axes in (contacts, intent, feeling, money):
        axes.axvline(last, color=FAINT, linewidth=0.8, linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_label_coords(-0.075, 0.5)
        axes.tick_params(labelsize=8)
    money.set_xlim(-0.7, max(days, last) + 0.7)
    first = EPOCH + timedelta(days=timeline.first_day)
    money.set_xlabel(f"days since {first:%A}, {first.isoformat()}", fontsize=9)
    figure.suptitle(_title(world, timeline, last, days), x=0.16, y=0.965, ha="left", fontsize=11)


def _title(world: World, timeline: Timeline, last: int, days: int) -> str:
    contacts = sum(1 for step in timeline.lived if step.treatment)
    counts = Counter(event.event for event in timeline.events)
    told = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in LOOKS if counts[name])
    parts = [f"customer {timeline.customer} of {world.catalogue.name}", f"day {last} of {days}", f"{contacts} contacts"]
    return " · ".join([*parts, told] if told else parts)


def _tints(world: World) -> list[Any]:
    """One colour per product."""
    count = len(world.catalogue.products)
    return [matplotlib.colormaps["tab10" if count <= 10 else "tab20"](k % 20) for k in range(count)]


def _contacts(axes: Axes, world: World, timeline: Timeline, tints: list[Any]) -> None:
    """A lane per channel, in the order of the catalogue, and one for what nobody asked for."""
    catalogue, first = world.catalogue, timeline.first_day
    lanes = len(catalogue.channels)
    for lane, channel in enumerate(catalogue.channels):
        axes.axhspan(lane - 0.5, lane + 0.5, color=FAMILIES[channel.family], zorder=0, linewidth=0)
        moments = [e.day - first for e in timeline.events if channel.inbound is not None and e.event == channel.inbound]
        axes.scatter(moments, [lane] * len(moments), marker=">", s=14, color=FAINT, zorder=1, linewidths=0)
    axes.axhspan(lanes - 0.5, lanes + 0.5, color=UNASKED, zorder=0, linewidth=0)
    for step in timeline.lived:
        if step.treatment:
            lane, product = (int(of[step.treatment]) for of in (catalogue.channel_of, catalogue.product_of))
            day = step.day - first
            axes.vlines(day, lane - 0.36, lane + 0.36, color=tints[product], linewidth=2.2, zorder=2)
    shown = _events(axes, world, timeline, tints)
    axes.set_yticks(range(lanes + 1), [*(f"{c.id} ({c.family})" for c in catalogue.channels), "unasked"])
    axes.set_ylim(lanes + 0.5, -0.5)
    _explain(axes, world, timeline, shown)


def _events(axes: Axes, world: World, timeline: Timeline, tints: list[Any]) -> set[str]:
    """Draw the events; return the names of those that are there."""
    triggers, lanes, shown = set(world.schema.triggers), len(world.catalogue.channels), set()
    for event in timeline.events:
        opens = event.event in triggers and any(c.inbound == event.event for c in world.catalogue.channels)
        if event.event in SILENT or opens:
            continue
        marker, size, colour, filled, height = LOOKS.get(event.event, OTHER)
        tint = colour or (tints[event.product] if event.product >= 0 else GOOD)
        lane = event.channel if event.channel >= 0 else lanes
        paint = _paint(marker, tint, filled)
        axes.scatter(event.day - timeline.first_day, lane + height, marker=marker, s=size, zorder=3, **paint)
        shown.add(event.event)
    return shown


def _paint(marker: str, tint: Any, filled: bool) -> dict[str, Any]:
    """The colours of a mark, as scatter takes them; a cross has no inside."""
    return {"color": tint} if marker == "x" else {"facecolors": tint if filled else "none", "edgecolors": tint}


def _explain(axes: Axes, world: World, timeline: Timeline, shown: set[str]) -> None:
    """The legend of the marks; a grey one stands for the colour of whichever product it was."""
    handles: list[Any] = [axes.plot([], [], color=FAINT, linewidth=2.2, label="contact (colour: product)")[0]]
    if any(channel.inbound is not None for channel in world.catalogue.channels):
        handles.append(axes.scatter([], [], marker=">", s=14, color=FAINT, label="customer comes in"))
    for name in [*(n for n in LOOKS if n in shown), *sorted(shown - set(LOOKS))]:
        marker, size, colour, filled, _ = LOOKS.get(name, OTHER)
        tint = colour or "#777777"
        label = name.replace("_", " ")
        handles.append(
            axes.scatter([], [], marker=marker, s=min(size, 90), label=label, **_paint(marker, tint, filled))
        )
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.005, 1.01), fontsize=8, frameon=False)


def _intent(axes: Axes, world: World, timeline: Timeline, tints: list[Any]) -> None:
    """Faded evidence of intent per product; products without any are left out."""
    days = _days(timeline)
    levels = np.stack([standing.intent for standing in timeline.standings])
    touched = {int(world.catalogue.product_of[step.treatment]) for step in timeline.lived if step.treatment}
    for product, name in enumerate(world.catalogue.product_ids):
        if levels[:, product].any() or product in touched:
            axes.plot(days, levels[:, product], color=tints[product], linewidth=1.6, label=name)
    axes.set_ylabel("intent", fontsize=9)
    axes.set_ylim(bottom=0)
    if axes.get_lines():
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.005, 1.12), fontsize=7, frameon=False, ncols=2, columnspacing=0.8
        )


def _feeling(axes: Axes, timeline: Timeline) -> None:
    """Annoyance, summed, in opt-outs; irritation beside it where the world knows any."""
    total = np.cumsum([0.0, *(step.annoyance for step in timeline.lived)])
    axes.step(_days(timeline), total, where="post", color=BAD, label="annoyance, summed (opt-outs)")
    known = [standing.irritation for standing in timeline.standings if standing.irritation is not None]
    if len(known) == len(timeline.standings):
        axes.plot(_days(timeline), known, color="#8e6bbf", linewidth=1.6, label="irritation (hidden state)")
    axes.set_ylabel("ill feeling", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.05), fontsize=8, frameon=False)


def _money(axes: Axes, world: World, timeline: Timeline) -> None:
    """Margin and cost, each summed."""
    for name, tint in (("margin", GOOD), ("cost", "#b26a00")):
        total = np.cumsum([0.0, *(getattr(step, name) for step in timeline.lived)])
        axes.step(_days(timeline), total, where="post", color=tint, label=f"{name}, summed")
    axes.set_ylabel(world.catalogue.currency, fontsize=9)
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.05), fontsize=8, frameon=False)


def _days(timeline: Timeline) -> np.ndarray:
    """Day of each standing, counted from the first."""
    return np.array([standing.day - timeline.first_day for standing in timeline.standings])
