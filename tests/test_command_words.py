"""A command that is written from a configuration makes that configuration again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbest
from envs.command_words import command_of
from envs.flags import config_from_flags
from evaluation.settings import EvaluationSettings
from training.configs import CalibrateConfig, EvaluateConfig, PromoteConfig

VERBS = {verb.name: verb for verb in nextbest.VERBS}
WORDS = st.text("abcxyz /._-'\"$*=:,é", min_size=1, max_size=12).filter(lambda word: word.strip() and "\n" not in word)
PATHS = WORDS.filter(lambda word: "\0" not in word).map(Path)
MONEY = st.floats(0, 1e6)
EVALUATE = st.fixed_dictionaries(
    {"tables": PATHS.filter(lambda path: not str(path).startswith("-"))},
    optional={
        "policy": st.lists(PATHS, max_size=3),
        "compare": st.lists(WORDS, max_size=3),
        "baselines": st.one_of(st.none(), st.lists(WORDS, max_size=2)),
        "world": st.one_of(st.none(), WORDS, st.just("none")),
        "annoyance_price": st.one_of(st.none(), MONEY),
        "pool_prices": st.dictionaries(WORDS, MONEY, max_size=2),
        "settings": st.builds(
            EvaluationSettings,
            resamples=st.integers(100, 20_000),
            population=st.one_of(st.none(), st.integers(1, 10**9)),
            reward_range=st.one_of(st.none(), st.tuples(st.floats(-1e3, 0), st.floats(1, 1e3))),
            full_horizon=st.booleans(),
        ),
        "seed": st.integers(0, 10**6),
        "track": st.booleans(),
        "out": PATHS,
    },
)


def parsed(line: str) -> Any:
    """The configuration that the command line makes of a line for a shell."""
    program, name, *words = shlex.split(line)
    assert program == "nextbest"
    verb = VERBS[name]
    _, bound, _ = nextbest.build([name]).parse_args([name, *words], print_error=False, exit_on_error=False)
    said = dict(zip(verb.positional, bound.args, strict=False)) | bound.kwargs
    return config_from_flags(nextbest.resolve(verb.config), said, verb.fixed)


@settings(max_examples=60, deadline=None)
@given(EVALUATE)
def test_the_command_makes_the_same_configuration(values: dict[str, Any]) -> None:
    config = EvaluateConfig(**values)
    assert parsed(command_of("evaluate", config, positional=("tables",))) == config


def test_what_has_its_default_is_not_said_and_paths_stand_as_told() -> None:
    config = EvaluateConfig(tables=Path("runs/bank"), settings=EvaluationSettings(examples=0), out=Path("/tmp/x"))
    line = command_of("evaluate", config, positional=("tables",), without=("out",))
    assert line == "nextbest evaluate runs/bank --settings.examples 0"


@pytest.mark.parametrize(
    ("name", "config", "positional"),
    [
        ("calibrate", CalibrateConfig(tables=Path("a b"), replicates=0), ("tables",)),
        ("promote", PromoteConfig(report=Path("r"), reason="it's better"), ()),
    ],
)
def test_other_verbs_have_their_command_too(name: str, config: Any, positional: tuple[str, ...]) -> None:
    assert parsed(command_of(name, config, positional)) == config
