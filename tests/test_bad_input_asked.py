"""What is asked of an evaluation and cannot be had: refused before a row of the log is read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from bad_input_kit import (
    asked,
    write_good,
)
from serving_kit import write_kit

from agents.artifact import write_artifact
from envs.books import read_books
from envs.errors import InputError
from envs.rules import Rules
from evaluation.settings import EvaluationSettings
from training.compared import compared
from training.evaluate import evaluate


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("good"))


ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "a world for a baseline": ({"baselines": ["myopic"]}, "baselines == 'myopic', needs a world: give --world"),
    "a world to compare": ({"compare": ["coordinated_rules"]}, "baselines == 'coordinated_rules', needs a world: give"),
    "no such baseline": ({"baselines": ["best"]}, "baselines == 'best', must be one of: silence, random, coordinated"),
    "no such policy": ({"policy": ["nowhere"]}, "nowhere: must be an artifact: a directory with manifest.json"),
    "nothing to compare": ({"compare": ["nowhere"]}, "compare == 'nowhere', must be the directory of an artifact, or"),
    "no such reference": ({"reference": "ppo"}, "reference == 'ppo', must be one of: auto, logged, silence, best_fix"),
    "no such world": ({"world": "nowhere"}, "nowhere"),
    "a world of others": ({"world": "exact"}, "world == 'exact', must have the catalogue and the observation of the t"),
    "no such report": ({"live": "nowhere"}, "nowhere: does not exist; make one with `nextbest evaluate`"),
    "no such assignment": ({"assignment": "lucky"}, "assignment == 'lucky', must be one of: champion, challenger, sh"),
    "no such price": ({"pool_prices": {"seats": 1.0}}, "prices == 'seats', must be one of: annoyance, calls"),
    "negative price": ({"pool_prices": {"calls": -1.0}}, "prices.calls == -1.0, must be a number >= 0"),
}  # fmt: skip


@pytest.fixture
def unread(good: Path, tmp_path: Path) -> Path:
    """Tables whose rows nobody can read: who complains of anything else has not tried."""
    folder = tmp_path / "unread"
    shutil.copytree(good, folder)
    for name in ("customers", "decisions", "events"):
        (folder / f"{name}.parquet").write_text("no rows")
    return folder


@pytest.mark.parametrize("name", ASKED)
def test_what_was_asked_for_is_refused_before_the_log_is_read(unread: Path, name: str) -> None:
    more, line = ASKED[name]
    with pytest.raises(InputError) as fault:
        evaluate(asked(unread, **more))
    assert line in str(fault.value)
    with pytest.raises(InputError, match=r"decisions\.parquet: must be a Parquet file"):
        evaluate(asked(unread))


def test_an_artifact_of_another_catalogue_and_a_place_that_is_a_file_are_refused_before_too(
    unread: Path, tmp_path: Path
) -> None:
    write_kit(tmp_path / "policy")
    with pytest.raises(InputError, match=r"manifest\.json: treatments, must list the treatments of the catalogue"):
        evaluate(asked(unread, policy=[tmp_path / "policy"]))
    with pytest.raises(InputError, match=r"out, must be a directory that can be written \(.*decisions\.parquet is a f"):
        evaluate(asked(unread, out=unread / "decisions.parquet" / "report"))
    with pytest.raises(ValueError, match=r"reward_range == \(5.0, 1.0\), must be least and most"):
        EvaluationSettings(reward_range=(5, 1))


def test_a_policy_may_bear_the_name_of_a_baseline(good: Path, tmp_path: Path) -> None:
    """It is compared under a name of its own, and takes nobody's place."""
    books = read_books(good)
    said = {"catalogue": books.catalogue, "schema": books.schema, "rules": Rules()}
    write_artifact(tmp_path / "rules", name="coordinated_rules", **said)
    found = compared(asked(good, policy=[tmp_path / "rules"], reference="coordinated_rules-1"), books)
    assert (list(found.artifacts), found.reference) == (["coordinated_rules-1"], "coordinated_rules-1")
