"""The spaces of a world, as tables: every field and treatment is there, and the guide tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from world_kit import CATALOGUE, FINITE, small_world

import nextbest
from envs.errors import InputError
from envs.spaces import action_space, action_table, markdown, observation_space, observation_table
from envs.world import World, load_world, save_world
from training.configs import SpacesConfig
from training.spaces import spaces

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "environment.md"


@pytest.fixture(scope="module", params=["bank", "small", "finite"])
def world(request: pytest.FixtureRequest) -> World:
    made = {"bank": lambda: load_world("bank"), "small": small_world, "finite": lambda: small_world(FINITE)}
    return made[request.param]()


def test_every_field_stands_in_its_place_with_unit_and_range(world: World) -> None:
    table, space = observation_table(world.encoder), observation_space(world.encoder)
    assert table.columns == ["index", "name", "meaning", "unit", "low", "high"]
    assert table["index"].to_list() == list(range(space.shape[0]))
    assert tuple(table["name"]) == world.encoder.names
    assert table["name"].is_unique().all()
    for column in ("meaning", "unit"):
        assert (table[column].str.len_chars() > 0).all(), f"a field lacks its {column}"
        assert not table[column].str.contains(r"[{}]").any()
    np.testing.assert_array_equal(table["low"].to_numpy().astype(np.float32), space.low)
    np.testing.assert_array_equal(table["high"].to_numpy().astype(np.float32), space.high)


def test_units_name_the_worlds_own_numbers() -> None:
    table = observation_table(small_world(FINITE).encoder)
    units = dict(zip(table["name"], table["unit"], strict=True))
    assert units["age"] == "as given, less 40, over 10"
    assert units["segment=rich"] == units["rating:missing"] == units["product:loan:holds"] == "0 or 1"
    assert units["channel:sms:recency"] == "2^(-days / 7)"
    assert units["contact:spend"] == "log(1 + EUR) / 5"
    assert units["task:time_left"] == "days / 9"
    assert units["price:minutes"] == "log(1 + 100 p / 2) / log(101), p in EUR"


def test_every_treatment_stands_at_its_action(world: World) -> None:
    table = action_table(world.catalogue)
    assert tuple(table["treatment"]) == world.catalogue.treatment_ids
    assert table.height == action_space(world.catalogue).n
    assert table.row(0, named=True)["channel"] is None


def test_a_treatment_is_told_with_what_it_costs() -> None:
    call = action_table(CATALOGUE).row(4, named=True)
    assert (call["treatment"], call["product"], call["channel"]) == ("call-fund", "fund", "call")
    assert (call["cost"], call["annoyance"], call["effort"]) == (3.0, 0.3, "5 minutes")


def test_markdown_has_a_line_per_row_and_keeps_its_columns() -> None:
    lines = markdown(action_table(CATALOGUE)).splitlines()
    assert len(lines) == 2 + 7
    assert {line.count("|") for line in lines} == {11}
    assert lines[2].startswith("| 0 | silence |  |")


def test_the_guide_holds_the_tables_of_the_bank_as_they_are() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    section = text.partition("<!-- spaces of bank: begin -->")[2].partition("<!-- spaces of bank: end -->")[0]
    assert section.strip() == str(spaces(SpacesConfig(world="bank"))), (
        "nextbest spaces --world bank --into docs/environment.md"
    )


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))
def test_python_of_the_guide_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_verb_prints_both_tables_and_renews_a_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_world(small_world(), tmp_path / "small")
    where = str(tmp_path / "small")
    guide = tmp_path / "guide.md"
    begin, end = f"<!-- spaces of {where}: begin -->", f"<!-- spaces of {where}: end -->"
    guide.write_text(f"# Mine\n\n{begin}\nout of date\n{end}\n\nkept\n", encoding="utf-8")
    assert nextbest.run(["spaces", "--world", where, "--into", str(guide)]) == 0
    said = capsys.readouterr().out
    assert "| 4 | call-fund | fund | none | call |" in said
    assert "| 0 | age | age |" in said
    text = guide.read_text(encoding="utf-8")
    assert text.startswith(f"# Mine\n\n{begin}\n\nObservation: ")
    assert text.endswith(f"\n{end}\n\nkept\n")
    assert "out of date" not in text
    assert nextbest.run(["spaces", "--world", where, "--into", str(guide)]) == 0
    assert guide.read_text(encoding="utf-8") == text


def test_a_file_without_a_place_for_the_tables_is_refused_and_left_alone(tmp_path: Path) -> None:
    guide = tmp_path / "guide.md"
    with pytest.raises(InputError, match=r"guide\.md: cannot be read"):
        spaces(SpacesConfig(into=guide))
    guide.write_text("<!-- spaces of bank: end --> <!-- spaces of bank: begin -->", encoding="utf-8")
    with pytest.raises(InputError, match=r"guide\.md: must hold the lines <!-- spaces of bank: begin -->"):
        spaces(SpacesConfig(into=guide))
    assert guide.read_text(encoding="utf-8").startswith("<!-- spaces of bank: end -->")
