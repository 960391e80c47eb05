"""The page in two languages: every text has its translation, with the same fields, and shows the same numbers."""

from __future__ import annotations

import html
import json
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import Formatter

import numpy as np
import polars as pl
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes
from test_evaluation_report import always, campaign

import evaluation
from envs.errors import InputError
from evaluation.demand import Demand
from evaluation.fairness import Fairness
from evaluation.intervals import Between
from evaluation.language import CATALOGUES, fields_of, paragraph, say, speaking
from evaluation.live import Live
from evaluation.origin import Origin, Source
from evaluation.portrait import Contact, Portrait, Trait
from evaluation.propensity import PropensityModel
from evaluation.propensity_check import Frequency, PropensityCheck
from evaluation.reliability import Bin, Reliability
from evaluation.remask import Served
from evaluation.report import Report
from evaluation.slices import Slice
from evaluation.untried import Untried
from evaluation.use import Use
from nextbest import run
from training.configs import SimulateConfig
from training.provenance import Code
from training.simulate import simulate

FAST = evaluation.EvaluationSettings(resamples=100, model="ridge", population=1000)
PACKAGE = CATALOGUES.parent
METHODS = [("**.py", "python"), ("**.j2", "jinja2.ext:babel_extract")]
# Of people, of formulas, of standards and of this program: they are the same in every language.
SAME = {
    "Bonferroni",
    "Kish",
    "IPS",
    "MRDR",
    "ESS",
    "mean",
    "min",
    "CNY",
    "UTC",
    "Python",
    "git",
    "json",
    "report",
    "settings",
}
SAME |= {"valid_days", "p95", "p99"}
OWN = {"offer", "annoy", "north", "branch", "treatment_1", "treatment_2", "hours", "Wohnort"}  # named by a bank


@pytest.fixture(scope="module")
def messages() -> set[str]:
    found = extract_from_dir(PACKAGE, METHODS, keywords={"say": None, "mark": None}, options_map={})
    return {str(text) for _, _, text, _, _ in found}


@pytest.fixture(scope="module")
def chinese() -> dict[str, str]:
    with (CATALOGUES / "zh.po").open("rb") as file:
        found = read_po(file, locale="zh", abort_invalid=True)
    assert not any(one.fuzzy for one in found if one.id)
    assert not found.obsolete
    return {str(one.id): str(one.string) for one in found if one.id}


def test_every_text_has_its_translation_and_no_other_has_one(messages: set[str], chinese: dict[str, str]) -> None:
    assert len(messages) > 300
    assert messages == set(chinese)
    assert [text for text, said in chinese.items() if not said.strip()] == []


def test_translations_have_the_fields_of_their_texts(chinese: dict[str, str]) -> None:
    def fields(text: str) -> set[tuple[str | None, str | None, str | None]]:
        return {(name, spec, how) for _, name, spec, how in Formatter().parse(text) if name is not None}

    assert {text: said for text, said in chinese.items() if fields(text) != fields(said)} == {}


@pytest.fixture(scope="module", params=[1, 3])
def report(request: pytest.FixtureRequest) -> Report:
    """A report with every section that there is."""
    settings = FAST.model_copy(update={"reward_range": (-9.0, 19.0)} if request.param == 1 else {})
    columns = {"policy": ["offer", "silence"], "gain": [1.5, 0.0], "gain_lo": [1.2, None], "gain_hi": [1.8, None]}
    policies = {"offer": always(1), "annoy": always(2), "silence": always(0)}
    found = evaluation.evaluate(campaign(400, 1, request.param), policies, settings=settings,
                                simulation=pl.DataFrame(columns))  # fmt: skip
    note = PropensityModel(
        "multinomial logistic", never, (("frequencies per step", 1.5), ("multinomial logistic", 1.25))
    )
    between, lost = Between(1.5, 1.0, 2.0), Between(-1.5, -2.0, -1.0)
    first, who = found.changed[0], Portrait("app_session", (Trait("Wohnort", "yes", "hours"),), (Contact("offer", 3),))
    first = replace(first, examples=tuple(replace(one, portrait=who) for one in first.examples))
    return replace(
        found,
        burden=pl.DataFrame({"policy": ["silence"], "contacts": [1.0], "contacts_p95": [2.0], "contacts_p99": [3.0],
                             "contacts_most": [4.0], "complaints_per_10k": [5.0], "opt_outs_per_10k": [6.0]}),
        reliability=Reliability((Bin(None, 90, 0.1, between, False), Bin("offer", 80, 0.2, between, True)), 0.3, 0.1),
        check=PropensityCheck((Frequency("silence", 40, 0.5, 9.0), Frequency("offer", 30, -0.2, -9.0)), 3.0),
        changed=(first, *found.changed[1:]),
        slices=(Slice("offer", "month", "unknown", 40, lost, between, 0.5, 0.25),),
        fairness=tuple(
            Fairness("offer", "month", "unknown", 40, amount, product, 0.25, 0.5, 0.5, 0.5, *[bounds] * 3)
            for amount, product, bounds in (
                ("offers", None, lost), ("offers", "branch", lost), ("annoyance", None, between)
            )
        ),
        demands=(Demand("offer", "branch", "hours", 5.0, 9.0, 1.0, 11.0, 0.75),),
        untried=(Untried("offer", 0.1, 1.0, 2.0),),
        served=(Served("offer", 1.0, 0.05, "d" * 64, 0.3, 0.2, 0.1),),
        live=(Live("offer", "reward", between, lost, 50, 150), Live("offer", "cost", between, between, 50, 150)),
        uses=(Use("offer", "Choosing contacts.", ("Credit.",), ("Only here.",), None, "A yearly review."),
              Use("annoy", None, expires="2027-01-01")),
        origin=Origin("nextbest evaluate here", str(Code("c" * 40, True)), (Source("world", "north", "e" * 64),)),
        data=replace(found.data, propensity_source="estimated", propensity_note=note.note,
                     annoyance_missing=("opted_out", "complained"), training_customers=7, certain=0.5,
                     same_instant=0.1, same_return=2.5,
                     only_treatment="silence" if request.param == 1 else None),
        assignments=("champion", "challenger", "holdout"),
    )  # fmt: skip


def never(observation: np.ndarray, mask: np.ndarray, step: np.ndarray) -> np.ndarray:
    raise AssertionError("a report reads no model")


def text_of(page: str) -> str:
    """What a reader reads: no code, no style, nothing that is marked as another language's."""
    for tag in ("style", "code", "defs", "metadata"):
        page = re.sub(rf"<{tag}.*?</{tag}>", " ", page, flags=re.DOTALL)
    page = re.sub(r'<(\w+) lang="en">.*?</\1>', " ", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", " ", page))


def numbers_of(page: str) -> list[list[str]]:
    """Of every cell of every table."""
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page, flags=re.DOTALL)
    found = [re.findall(r"[+-]?\d(?:[\d,.]*\d)?%?", re.sub(r"<[^>]*>", " ", cell)) for cell in cells]
    return [numbers for numbers in found if numbers]


def test_the_chinese_page_has_the_same_numbers_and_no_english(report: Report, messages: set[str]) -> None:
    before = report.to_json()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none of glyphs that matplotlib's own fonts lack
        page = report.to_html("zh")
    assert '<html lang="zh-Hans">' in page
    assert numbers_of(page) == numbers_of(report.to_html())
    said = text_of(page)
    pieces = {
        one for text in messages for one in re.split(r"\{[^}]*\}", text) if len(re.findall(r"[A-Za-z]+", one)) > 2
    }
    assert [one for one in pieces if one.strip() in said] == []
    words = set(re.findall(r"[A-Za-z][A-Za-z_0-9]{2,}", re.sub(r"\b[0-9a-f]{12}\b|\b[ce]{40}\b", "", said)))
    assert words - SAME - OWN == set()
    for text in ('<span lang="en">Choosing contacts.</span>', '<ul lang="en"><li>Credit.</li></ul>'):
        assert text in page  # as the card has it
    with speaking("zh"):
        assert replace(report).to_json() == before
    assert all(one.text.isascii() for one in report.verdicts)


def test_pages_in_another_language_are_refused(report: Report, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lang == 'fr', must be one of: en, zh"):
        report.write(tmp_path / "new", lang="fr")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def printed(node: nodes.Node) -> Iterator[str]:
    """Texts of an expression that stand on the page without being said."""
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, nodes.CondExpr):
        yield from printed(node.expr1)
        if node.expr2 is not None:
            yield from printed(node.expr2)
    elif isinstance(node, nodes.BinExpr | nodes.Concat):
        for child in node.iter_child_nodes():
            yield from printed(child)
    elif isinstance(node, nodes.Filter) and node.node is not None:
        yield from printed(node.node)


def unsaid(source: str) -> list[str]:
    """Words of a template outside of `say`."""
    environment = Environment()
    data = "".join(value for _, kind, value in environment.lex(source) if kind == "data")
    for pattern in ("<code>.*?</code>", "<[^>]*>"):
        data = re.sub(pattern, " ", data)
    shown = [one for out in environment.parse(source).find_all(nodes.Output) for one in out.nodes]
    told = [text for one in shown for text in printed(one)]
    loose = [text for text in told if not re.match(r" ?(class|data-\w+)=| ?model$", text)]
    return sorted(re.findall(r"[A-Za-z]{3,}", " ".join([data, *loose])))


def test_no_text_of_the_template_stands_outside_of_what_is_said() -> None:
    source = (PACKAGE / "report.html.j2").read_text(encoding="utf-8")
    assert unsaid(source) == []
    assert unsaid(source + "<p>New text.</p>") == ["New", "text"]
    assert unsaid(source + "{{ 'more words' if data else ('none' ~ data) }}") == ["more", "none", "words"]


def test_what_is_unknown_is_said_in_english() -> None:
    with speaking("zh"):
        assert (say("policy"), say("{n:,} unheard-of things", n=1200)) == ("策略", "1,200 unheard-of things")


def test_languages_are_nested_and_restored() -> None:
    with speaking("zh"):
        with speaking("en"):
            assert say("policy") == "policy"
        with pytest.raises(RuntimeError), speaking("en"):
            raise RuntimeError
        assert (say("policy"), paragraph(["一。", "二。"])) == ("策略", "一。二。")
    assert (say("policy"), paragraph(["One.", "Two."])) == ("policy", "One. Two.")


def test_threads_do_not_mix() -> None:
    heard: dict[str, set[str]] = {"en": set(), "zh": set()}
    both = threading.Barrier(2, timeout=20)

    def speak(language: str) -> None:
        with speaking(language):  # type: ignore[arg-type]
            for _ in range(50):
                both.wait()
                heard[language].add(say("policy"))

    threads = [threading.Thread(target=speak, args=(language,)) for language in heard]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {"en": {"policy"}, "zh": {"策略"}}
    assert say("policy") == "policy"


def test_a_text_is_taken_apart_by_the_template_that_made_it() -> None:
    template = "{commit}, with changes (of {n:,} files)."
    assert fields_of(template, template.format(commit="a.b", n=1200)) == {"commit": "a.b", "n": "1,200"}
    assert fields_of(template, "another text") is None


def test_the_verb_writes_the_page_in_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables, out = tmp_path / "tables", tmp_path / "out"
    asked = ["evaluate", str(tables), "--no-track", "--out", str(out)]
    assert run([*asked, "--lang", "fr"]) == 2
    error = capsys.readouterr().err
    assert "lang == 'fr'" in error
    assert "'en' or 'zh'" in error
    simulate(SimulateConfig(world="exact", customers=300, out=tables))
    few = ["--set", "baselines=[random]", "--set", "settings={resamples: 100, model: ridge}"]
    assert run([*asked, "--lang", "zh", *few]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert '<html lang="zh-Hans">' in page
    assert "策略价值评估报告" in page
    said = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert said["origin"]["command"].endswith("--lang zh") or "--lang zh " in said["origin"]["command"]
    assert html.escape(said["origin"]["command"], quote=False) in html.unescape(page)
    assert all(one["text"].isascii() for one in said["verdicts"])
