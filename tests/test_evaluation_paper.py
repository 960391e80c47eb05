"""The page on a screen, in the dark and on paper, as a real browser shows it; pictures that need no colour."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from test_evaluation_report import always, campaign

import evaluation
from evaluation.drawing import HATCHES, PALETTE
from evaluation.report import Report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAPER = 0.02  # share of dark pixels that text and lines cover at least


@pytest.fixture(scope="module")
def report() -> Report:
    settings = evaluation.EvaluationSettings(resamples=100, model="ridge")
    policies = {"offer": always(1), "annoy": always(2), "mixed": lambda o, m: np.full(m.shape, 1 / 3)}
    return evaluation.evaluate(campaign(900, 1), policies, training_log=campaign(900, 2), settings=settings)


@pytest.mark.parametrize("kind", ["confounding", "model", "support"])
def test_lines_are_told_apart_without_colour(report: Report, kind: str) -> None:
    legend = report.figure(kind).axes[0].get_legend()
    assert legend is not None
    looks = [(line.get_linestyle(), str(line.get_marker())) for line in legend.get_lines()]
    assert len(set(looks)) == len(looks) >= 3


def test_neighbours_in_the_mix_differ_by_more_than_colour(report: Report) -> None:
    hatches = [bars.patches[0].get_hatch() or "" for bars in report.figure("mix").axes[0].containers]
    assert all(mine != other for mine, other in pairwise(hatches))
    assert len(HATCHES) == len(PALETTE)


def test_the_page_needs_no_network(report: Report) -> None:
    page = report.to_html()
    assert not re.search(r"""(src|href)=["'](?!#)|url\((?!#|data:)|@import|<script""", page)


def browser(page: Path, *flags: str) -> None:
    assert CHROMIUM is not None
    common = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", f"--user-data-dir={page.parent}/me"]
    subprocess.run([CHROMIUM, *common, *flags, page.as_uri()], check=True, capture_output=True, timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_light_and_dark(report: Report, tmp_path: Path) -> None:
    from matplotlib.image import imread

    page = tmp_path / "report.html"
    page.write_text(report.to_html(), encoding="utf-8")
    seen = {}
    for name, scheme in (("light", 1), ("dark", 0)):
        shot = tmp_path / f"{name}.png"
        browser(
            page, f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1000,4000", f"--screenshot={shot}"
        )
        seen[name] = imread(shot)[..., :3].mean(axis=2)
    assert np.median(seen["light"]) > 0.95
    assert np.median(seen["dark"]) < 0.15
    assert (seen["light"] < 0.4).mean() > PAPER
    assert (seen["dark"] > 0.6).mean() > PAPER


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_paper_is_white_and_cuts_no_row(report: Report, tmp_path: Path) -> None:
    """Printed from a dark screen, too; every table's head stands again on each page that it reaches."""
    if (text := shutil.which("pdftotext")) is None or (picture := shutil.which("pdftoppm")) is None:
        pytest.skip("no poppler on this machine")
    from matplotlib.image import imread

    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(report.to_html(), encoding="utf-8")
    dark = "--blink-settings=preferredColorScheme=0"
    browser(page, dark, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    subprocess.run([picture, "-r", "40", "-png", str(paper), str(tmp_path / "sheet")], check=True, timeout=120)
    sheets = sorted(tmp_path.glob("sheet-*.png"))
    assert len(sheets) > 2
    assert all(np.median(imread(sheet)[..., :3]) > 0.98 for sheet in sheets)
    written = subprocess.run([text, "-layout", str(paper), "-"], check=True, capture_output=True, timeout=120)
    pages = written.stdout.decode().split("\f")
    first = min(k for k, one in enumerate(pages) if "Every estimate" in one)
    last = min(k for k, one in enumerate(pages) if re.search(r"^\s*Estimators\s*$", one, re.MULTILINE))
    assert last > first
    for one in pages[first + 1 : last]:
        assert re.search(r"policy\s+estimator\s+value per customer", one)
