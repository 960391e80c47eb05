"""Where a report comes from and until when it may be used: its command makes it again, cards set its terms."""

from __future__ import annotations

import html
import json
import re
import shlex
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from gate_kit import CARD
from serving_kit import write_kit
from test_evaluation_report import always, campaign

import evaluation
from agents.artifact import load_policy
from agents.baselines import Silence
from envs.errors import InputError
from envs.tables import read_tables
from evaluation.use import Use
from nextbest import run
from training.configs import SimulateConfig
from training.report_origin import uses_of
from training.simulate import simulate

FAST = evaluation.EvaluationSettings(resamples=100, model="ridge")


def test_the_command_makes_every_number_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    simulate(SimulateConfig(world="exact", customers=300, out=Path("my tables")))
    config = Path("mine.yaml")
    config.write_text(
        "baselines: [random]\nsettings: {resamples: 100, model: ridge, valid_days: 30}\n", encoding="utf-8"
    )
    asked = ["evaluate", "my tables", "--config", str(config), "--no-track", "--seed", "5"]
    assert run([*asked, "--out", "first"]) == 0
    config.unlink()
    first = json.loads(Path("first/report.json").read_text(encoding="utf-8"))
    program, *words = shlex.split(first["origin"]["command"])
    assert program == "nextbest"
    assert run([*words, "--out", "again"]) == 0
    assert json.loads(Path("again/report.json").read_text(encoding="utf-8")) == first
    page = Path("first/report.html").read_text(encoding="utf-8")
    assert html.escape(first["origin"]["command"], quote=False) in html.unescape(page)
    assert str(tmp_path) not in page
    tables = read_tables(Path("my tables"))
    digests = {one["what"]: one["digest"] for one in first["origin"]["sources"]}
    assert digests == {"tables": tables.digest, "catalogue": tables.catalogue.digest}
    for digest in (*digests.values(), first["data"]["digest"], first["data"]["training_digest"]):
        assert digest in page
    assert date.fromisoformat(first["expires"]) == date.fromisoformat(first["data"]["last"][:10]) + timedelta(days=30)
    assert first["expires"] in page


def test_every_section_with_figures_says_where_they_come_from() -> None:
    report = evaluation.evaluate(campaign(300, 1), {"offer": always(1)}, settings=FAST)
    page = html.unescape(report.to_html())
    sections = re.split(r"<h2[^>]*>", page)[1:]
    bare = {"Estimators", "Provenance", "What it may be used for, and until when"}
    for section in sections:
        title = section.split("</h2>")[0]
        assert ('class="origin"' in section) is (title not in bare), title
    assert 'id="provenance"' in page
    assert "Made from Python" in page
    assert f"log {report.data.digest[:12]}" in page


def test_use_is_told_by_the_card_beside_the_policy(tmp_path: Path) -> None:
    write_kit(tmp_path / "policy", lineage={"valid_days": 30})
    policy = load_policy(tmp_path / "policy")
    (found,) = uses_of({"p": policy})
    assert found.intended is None
    assert found.expires is not None
    card = CARD.model_copy(update={"policy_digest": policy.digest, "limits": ("Only <b>north</b>.",)})
    card.write(tmp_path)
    (found,) = uses_of({"p": policy})
    assert found == Use("p", card.intended_use, card.not_for, card.limits, card.expires, card.expires_because)
    card.model_copy(update={"policy_digest": "f" * 64}).write(tmp_path)
    with pytest.raises(InputError, match=r"model_card\.json.*policy_digest"):
        list(uses_of({"p": policy}))


def test_the_page_says_what_is_known_of_use_and_what_is_not(tmp_path: Path) -> None:
    report = evaluation.evaluate(campaign(300, 1), {"offer": always(1), "annoy": always(2)}, settings=FAST)
    uses = (
        Use("offer", "Choosing contacts.", ("Credit.",), ("Only <b>north</b>.",), "2027-01-01", "A yearly review."),
        *uses_of({"annoy": Silence()}),
    )
    page = replace(report, uses=uses).to_html()
    for said in (
        "Choosing contacts.",
        "Credit.",
        "Only &lt;b&gt;north&lt;/b&gt;.",
        "until 2027-01-01",
        "A yearly review.",
    ):
        assert said in page
    assert "their use and limits are not known here: annoy." in page
    assert "not known here: offer, annoy." in report.to_html()
