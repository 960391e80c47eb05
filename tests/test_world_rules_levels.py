"""Headquarters, region, branch: lower levels only tighten, and every refusal shows the lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rules_kit import CATALOGUE, FUNDS, IDS, SCHEMA, Story, joined, situation

from envs.errors import InputError
from envs.rules import Cap, Levels, RuleBook, Rules, load_rules

HEAD = """\
name: head
consent: true
once: false
quiet: {sms: [evening]}
refusal_days: 7
limits:
- {name: adults, products: [loan], column: age, at_least: 18, at_most: 70}
- {name: stages, products: [fund], stages: [new, active]}
caps:
- {name: weekly, most: 3, days: 7}
- name: calls
  channels: [call]
  most: 2
  days: 28
ownerships:
- {name: owned, column: vip, at_least: 1, products: [fund], owners: [manager]}
quiet_times:
- {name: rest, channels: [call], days: [weekend]}
bans:
- {name: apart, never: {products: [fund]}, after: {products: [loan]}, days: 3}
hand_overs:
- {name: lead, products: [fund], from_families: [online], to: [call], within_days: 3, return_to: [manager],
   return_days: 4}
"""
CHAIN = {
    "rules.yaml": HEAD,
    "regions/east.yaml": "name: east\nextends: ../rules.yaml\ncaps:\n- {name: weekly, most: 2}\nsuitability: rating\n",
    "regions/branch.yaml": "extends: east.yaml\nrefusal_days: 30\ncaps:\n- {name: weekly, days: 10}\n"
    "- {name: sms, channels: [sms], most: 1, days: 7}\nquiet: {sms: [day], call: [evening]}\n",
}


def written(directory: Path, **files: str) -> Path:
    """The chain, with some files replaced or added. -> the directory"""
    for name, text in {**CHAIN, **{name.replace("_", "/", 1) + ".yaml": text for name, text in files.items()}}.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return directory


def test_a_lower_level_says_only_what_it_tightens(tmp_path: Path) -> None:
    branch = load_rules(written(tmp_path) / "regions" / "branch.yaml")
    head = Rules.model_validate(yaml.safe_load(HEAD))
    weekly, calls, sms = branch.caps
    assert (weekly.most, weekly.days) == (2, 10)
    assert calls == head.caps[1]
    assert sms == Cap(name="sms", channels=("sms",), most=1, days=7)
    assert branch.quiet == {"sms": ("evening", "day"), "call": ("evening",)}
    assert (branch.refusal_days, branch.suitability, branch.name, branch.extends) == (30, "rating", "branch", None)
    assert (branch.limits, branch.bans, branch.hand_overs) == (head.limits, head.bans, head.hand_overs)


def test_a_reason_names_the_level_that_set_the_rule(tmp_path: Path) -> None:
    branch = load_rules(written(tmp_path) / "regions" / "branch.yaml")
    story = Story().contact("sms-loan").contact("sms-loan").event("opted_out", "sms").event("declined", None, "loan")
    told = RuleBook(branch, CATALOGUE, SCHEMA).reasons(situation(story, rating=1.0))[0]
    assert told["sms-loan"] == [
        "consent",
        "quiet_hours (branch)",
        "refusal (branch)",
        "weekly (branch)",
        "sms (branch)",
    ]
    assert told["call-fund"] == ["quiet_hours (branch)", "suitability (east)", "stages", "weekly (branch)", "apart"]


def test_a_merged_book_is_a_book_of_its_own(tmp_path: Path) -> None:
    branch = load_rules(written(tmp_path) / "regions" / "branch.yaml")
    file = tmp_path / "whole.yaml"
    file.write_text(yaml.safe_dump(branch.model_dump(mode="json")))
    assert load_rules(file) == branch
    assert RuleBook(load_rules(file), CATALOGUE, SCHEMA).digest == RuleBook(branch, CATALOGUE, SCHEMA).digest
    head = load_rules(tmp_path / "rules.yaml")
    assert RuleBook(head, CATALOGUE, SCHEMA).digest != RuleBook(branch, CATALOGUE, SCHEMA).digest


LOOSER = [  # what a level says, its line, the field, the line above
    ("consent: false", 2, "consent == False", "line 2, says: True"),
    ("refusal_days: 6", 2, "refusal_days == 6", "line 5, says: 7"),
    ("caps:\n- {name: weekly, most: 4}", 3, "caps.weekly.most == 4", "line 10, says: 3"),
    ("caps:\n- {name: weekly, days: 6}", 3, "caps.weekly.days == 6", "line 10, says: 7"),
    ("caps:\n- {name: weekly, channels: [sms]}", 3, "caps.weekly.channels == 'sms'", "line 10, says:"),
    ("caps:\n- name: calls\n  channels: [sms]", 4, "caps.calls.channels == 'sms'", "line 12, says: call"),
    ("caps:\n- {name: calls, channels: []}", 3, "caps.calls.channels == 'nothing'", "line 12, says: call"),
    ("caps:\n- {name: calls, families: [remote]}", 3, "caps.calls.families == 'remote'", "line 11, says:"),
    ("limits:\n- {name: adults, at_least: 17}", 3, "limits.adults.at_least == 17.0", "line 7, says: 18.0"),
    ("limits:\n- {name: adults, at_most: 71}", 3, "limits.adults.at_most == 71.0", "line 7, says: 70.0"),
    ("limits:\n- {name: adults, at_most: null}", 3, "limits.adults.at_most == 'nothing'", "line 7, says: 70.0"),
    ("limits:\n- {name: adults, column: rating}", 3, "limits.adults.column == 'rating'", "line 7, says: age"),
    (
        "limits:\n- {name: stages, stages: [new, leaving]}",
        3,
        "limits.stages.stages == 'new, leaving'",
        "line 8, says: new",
    ),
    (
        "ownerships:\n- {name: owned, owners: [manager, call]}",
        3,
        "owned.owners == 'manager, call'",
        "line 16, says: manager",
    ),
    ("ownerships:\n- {name: owned, at_most: 1}", 3, "owned.at_most == 1.0", "line 16, says: nothing"),
    (
        "quiet_times:\n- {name: rest, days: [holiday]}",
        3,
        "quiet_times.rest.days == 'holiday'",
        "line 18, says: weekend",
    ),
    ("quiet_times:\n- {name: rest, dayparts: [evening]}", 3, "rest.dayparts == 'evening'", "line 18, says:"),
    ("bans:\n- {name: apart, days: 2}", 3, "bans.apart.days == 2", "line 20, says: 3"),
    ("bans:\n- {name: apart, never: {channels: [sms]}}", 3, "bans.apart.never.channels == 'sms'", "line 20, says:"),
    ("hand_overs:\n- {name: lead, to: [call, manager]}", 3, "lead.to == 'call, manager'", "line 22, says: call"),
    ("hand_overs:\n- {name: lead, within_days: 5}", 3, "lead.within_days == 5", "line 22, says: 3"),
    ("hand_overs:\n- {name: lead, within_days: 2}", 3, "lead.within_days == 2", "line 22, says: 3"),
    ("hand_overs:\n- {name: lead, return_days: 3}", 3, "lead.return_days == 3", "line 23, says: 4"),
    ("hand_overs:\n- {name: lead, unasked: false}", 3, "lead.unasked == False", "line 22, says: True"),
    (
        "hand_overs:\n- {name: lead, events: [engaged]}",
        3,
        "lead.events == 'engaged'",
        "line 22, says: engaged, abandoned",
    ),
]


@pytest.mark.parametrize(("said", "line", "field", "above"), LOOSER, ids=[row[2] for row in LOOSER])
def test_an_attempt_to_loosen_is_refused_with_both_lines(
    tmp_path: Path, said: str, line: int, field: str, above: str
) -> None:
    directory = written(tmp_path, regions_west=f"extends: ../rules.yaml\n{said}\n")
    with pytest.raises(InputError) as caught:
        load_rules(directory / "regions" / "west.yaml")
    text = str(caught.value)
    assert f"west.yaml, line {line}: " in text
    assert field in text
    assert re.search(rf"must not loosen what \S+rules\.yaml, {re.escape(above)}", text), text


TIGHTER = [
    "once: true",
    "suitability: rating",
    "caps:\n- {name: weekly, most: 0, days: 366, inbound: true}",
    "caps:\n- {name: calls, channels: [call, sms]}",
    "limits:\n- {name: adults, at_least: 20, at_most: 60, stages: [new], lacks: [fund]}",
    "limits:\n- {name: adults, products: [loan, fund]}",
    "limits:\n- {name: adults, products: []}",
    "limits:\n- {name: stages, stages: [active], column: segment, one_of: [rich]}",
    "ownerships:\n- {name: owned, products: []}",
    "quiet_times:\n- {name: rest, days: [weekend, holiday]}",
    "quiet_times:\n- {name: rest, channels: []}",
    "bans:\n- {name: apart, days: 9, either_order: true, after: {products: [loan, care]}}",
    "hand_overs:\n- {name: lead, products: [], from_families: [], return_days: 9}",
]


@pytest.mark.parametrize("said", TIGHTER)
def test_what_tightens_is_taken(tmp_path: Path, said: str) -> None:
    directory = written(tmp_path, regions_west=f"extends: ../rules.yaml\n{said}\n")
    RuleBook(load_rules(directory / "regions" / "west.yaml"), CATALOGUE, SCHEMA)


def test_a_loosening_two_levels_down_shows_the_line_that_set_the_rule(tmp_path: Path) -> None:
    directory = written(tmp_path, regions_branch="extends: east.yaml\ncaps:\n- {name: weekly, most: 3}\n")
    with pytest.raises(InputError, match=r"branch.yaml, line 3: .*most == 3, must not loosen what .*east.yaml, line 4"):
        load_rules(directory / "regions" / "branch.yaml")
    directory = written(tmp_path, regions_branch="extends: east.yaml\nsuitability: null\n")
    with pytest.raises(
        InputError, match=r"branch.yaml, line 2: suitability == 'nothing', .*east.yaml, line 5, says: rat"
    ):
        load_rules(directory / "regions" / "branch.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "caps:\n- {name: a, most: 1, days: 2}\n- {name: b, most: -1, days: 2}",
            "line 3: caps.b.most == -1, must be gre",
        ),
        ("caps:\n- {name: a, most: 17, days: 2}", "line 2: caps.a.most == 17, must be at most 16: so many contacts"),
        ("caps:\n- {name: a, most: 1}", "line 2: caps.a.days, must be given"),
        ("caps:\n- {most: 1, days: 1}", "line 2: caps.0.name, must be given"),
        (
            "caps:\n- {name: a, most: 1, days: 1}\n- {name: a, most: 2, days: 1}",
            "line 3: caps.a == 'a', must be a name of its own",
        ),
        ("capz: []", "line 1: capz, is not a field, must be one of: name, extends"),
        ("name: x\nlimits:\n- {name: a, column: age}", "line 3: limits.a, must give at_least, at_most or one_of"),
        ("quiet: {sms: 3}", "line 1: quiet.sms == 3, must be"),
        ("hand_overs:\n- {name: h, to: [sms], within_days: 0}", "line 2: hand_overs.h.within_days == 0, must be gr"),
        ("bans: {a: 1}", "line 1: bans, must be"),
        ("extends: 3", "line 1: extends == 3, must be the path of a rule book"),
        ("name: x\nextends: x.yaml", "line 2: extends == 'x.yaml', must not lead back"),
        ("extends: nowhere.yaml", "nowhere.yaml: cannot be read"),
        ("levels: {column: region, files: {east: rules.yaml}}", "line 1: levels.files.east == 'rules.yaml', must be a"),
        ("levels: {files: {}}", "line 1: levels.column, must be given"),
        ("levels: 3", "line 1: levels == 3, must be a mapping: column, files"),
        (
            "levels:\n  column: region\n  filez: {}",
            "line 3: levels.filez, is not a field, must be one of: column, files",
        ),
        ("levels:\n  column: region\n  rules:\n    east: {once: 3}", "line 4: once == 3, must be"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (written(tmp_path) / "x.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_rules(tmp_path / "x.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "rules.yaml",
            HEAD.replace("products: [loan]}, days: 3", "products: [car]}, days: 3"),
            "rules.yaml, line 20: bans",
        ),
        (
            "regions/east.yaml",
            "extends: ../rules.yaml\n\nquiet: {fax: [day]}\n",
            "east.yaml, line 3: quiet.fax == 'fax'",
        ),
    ],
)
def test_names_that_do_not_exist_are_told_with_the_line_of_their_level(
    tmp_path: Path, file: str, text: str, said: str
) -> None:
    (written(tmp_path) / file).write_text(text)
    with pytest.raises(InputError, match=said):
        RuleBook(load_rules(tmp_path / "regions" / "branch.yaml"), CATALOGUE, SCHEMA)


LEVELS = "levels:\n  column: region\n  files: {east: regions/east.yaml, west: regions/branch.yaml}\n"


def test_one_batch_mixes_levels_and_each_customer_has_his_own(tmp_path: Path) -> None:
    directory = written(tmp_path)
    (directory / "all.yaml").write_text(LEVELS + HEAD)
    for name in ("east", "branch"):  # they extend the book that names them
        file = directory / "regions" / f"{name}.yaml"
        file.write_text(file.read_text().replace("../rules.yaml", "../all.yaml"))
    rules = load_rules(directory / "all.yaml")
    book = RuleBook(rules, CATALOGUE, SCHEMA)
    paths = {"east": "regions/east.yaml", "west": "regions/branch.yaml", "north": "rules.yaml", None: "rules.yaml"}
    story = Story().contact("sms-loan").contact("sms-care")
    situations = [situation(story, rating=1.0, region=region) for region in paths]
    batch = joined(situations)
    for row, (path, alone) in enumerate(zip(paths.values(), situations, strict=True)):
        own = RuleBook(load_rules(directory / path), CATALOGUE, SCHEMA)
        assert (book.mask(batch)[row] == own.mask(alone)[0]).all()
        assert book.reasons(batch)[row] == own.reasons(alone)[0]
    told = book.reasons(batch)
    assert [told[row].get("sms-loan", [])[-1:] for row in range(4)] == [["weekly (east)"], ["sms (branch)"], [], []]
    assert {i for i in FUNDS if "suitability (east)" in told[1][i]} == FUNDS
    assert set(IDS) - set(told[2]) > set(IDS) - set(told[0])
    (directory / "whole.yaml").write_text(yaml.safe_dump(rules.model_dump(mode="json")))
    whole = load_rules(directory / "whole.yaml")
    assert whole == rules
    assert RuleBook(whole, CATALOGUE, SCHEMA).digest == book.digest


def test_levels_may_stand_in_the_file_itself(tmp_path: Path) -> None:
    inside = "levels:\n  column: region\n  rules:\n    east: {caps: [{name: weekly, most: 1}]}\n"
    file = written(tmp_path) / "all.yaml"
    file.write_text(inside + HEAD)
    rules = load_rules(file)
    assert rules.levels is not None
    assert rules.levels.rules["east"].caps[0] == rules.caps[0].model_copy(update={"most": 1})
    assert rules.levels.rules["east"].origins == {"weekly": "east"}
    file.write_text(inside.replace("most: 1", "most: 9") + HEAD)
    with pytest.raises(
        InputError, match=r"all.yaml, line 4: caps.weekly.most == 9, must not loosen .*all.yaml, line 14"
    ):
        load_rules(file)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (Levels(column="size", rules={}), "levels.column == 'size', must be one of: segment, region"),
        (Levels(column="age", rules={}), "levels.column == 'age', must be one of: segment, region"),
        (
            Levels(column="region", rules={"south": Rules()}),
            "levels.rules.south == 'south', must be one of: east, west",
        ),
        (Levels(column="region", rules={"east": Rules(consent=False)}), "east.consent == False, must not loosen True"),
        (Levels(column="region", rules={"east": Rules(quiet={"fax": ("day",)})}), "quiet.fax == 'fax', must be one of"),
        (Levels(column="region", files={"east": "east.yaml"}), "levels.files, must be read with load_rules"),
    ],
)
def test_levels_that_cannot_be_are_refused(levels: Levels, said: str) -> None:
    with pytest.raises(InputError) as caught:
        RuleBook(Rules(levels=levels), CATALOGUE, SCHEMA)
    assert said in str(caught.value)


def test_where_rules_were_written_is_no_part_of_them(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(HEAD)
    said: dict[str, Any] = yaml.safe_load(HEAD)
    assert load_rules(file) == Rules.model_validate(said)
    assert load_rules(file).written.place("caps.calls.most") == f"{file}, line 13"
    assert np.isin(["weekly", "calls"], [rule.name for _, rule in load_rules(file).named()]).all()
