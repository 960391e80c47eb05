"""What every picture shares: colours, lines and hatches told apart without colour, a canvas, inline SVG."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from evaluation.language import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.report import Report

# Okabe & Ito (2008): told apart by people with any of the common colour blindnesses.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
INK = "#1a1b1c"  # stands for the text's colour: replaced by currentColor in SVG, so that dark mode can read it
STYLES = ("-", "--", "-.", ":")  # of lines, so that grey paper tells neighbours apart, too
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "///", "...", "\\\\\\", "xx", "---", "++", "")  # of areas, for the same reason
MOST_LETTERS = 26  # of a name in a legend of four columns
WIDTH = 9.4  # inches, the width of the page


def svg(figure: Figure, salt: str) -> str:
    """A figure as inline SVG, the same for the same figure; text in the colour of the page, and so is the blue, which a
    dark page needs lighter.

    Text stays text, in the reader's own fonts: that matplotlib's lack a glyph, as of Chinese, is no matter. It measures
    one as an em and a little more.
    """
    import matplotlib

    out = io.StringIO()
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    return text.replace(PALETTE[0].lower(), f"var(--line-blue, {PALETTE[0]})")


def canvas(height: float) -> tuple[Figure, Any]:
    """An empty figure as wide as the page, and its axes. height: inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    styled(axes)
    return figure, axes


def styled(axes: Any) -> None:
    """Two spines, everything in the text's colour."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_color(INK)


def legend(axes: Any, handles: list[Any], labels: list[str], columns: int = 2) -> None:
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": columns, "frameon": False}
    axes.legend(handles, labels, labelcolor=INK, fontsize=8, **place)


def short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def unit(report: Report) -> str:
    return say(" ({unit})", unit=report.data.currency) if report.data.currency else ""
