"""report.json keeps to the schema that is written beside it, whatever an evaluation finds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import polars as pl
import pytest
from test_evaluation_demand import dated, resources
from test_evaluation_report import QUICK, always, campaign

import evaluation
from evaluation.live import live
from evaluation.log import Log
from evaluation.protected import Protected
from evaluation.remask import Own
from evaluation.report import Report
from evaluation.report_schema import report_schema, write_schema
from evaluation.settings import EvaluationSettings

SCHEMA = report_schema()
FRAME = pl.DataFrame({"policy": ["offer"], "gain": [1.5], "gain_lo": [None], "gain_hi": [1.8]})


def one_step() -> Report:
    """Everything that a report of one decision can hold."""
    log, asked = dated(600), QUICK.model_copy(update={"reward_range": (-20.0, 30.0), "population": 10})
    open_log = replace(log, seen_days=log.gap_days / 2)
    own = Own(1.0, 0.0, "r", open_log.mask)
    named = np.where(np.arange(600) % 2, "north", "south")
    policies = {"offer": always(1), "annoy": always(2)}
    report = evaluation.evaluate(
        open_log, policies, settings=asked, resources=resources(1.0), rules={"offer": own},
        simulation=FRAME, labels={"region": named}, protected={"region": Protected(named)},
        training_log=campaign(600, 2, 1),
    )  # fmt: skip
    return replace(report, burden=FRAME)


def several() -> Report:
    return evaluation.evaluate(campaign(600, 1), {"offer": always(1)}, settings=QUICK)


def modelled() -> Report:
    return evaluation.evaluate(
        campaign(150, 1), {"offer": always(1)}, settings=EvaluationSettings(resamples=100, min_ess=1e6)
    )


def estimated() -> Report:
    log: Log = replace(campaign(600, 1, 1), propensity_source="estimated", propensity_note="by trees")
    report = evaluation.evaluate(log, {"offer": always(1)}, settings=QUICK)
    said = replace(report, digests=(None, "d" * 64)).to_dict()
    taken = replace(log, treatment=np.ones(600, int))
    return replace(report, live=live(taken, ["d" * 64] * 600, said, None))


@pytest.mark.parametrize("made", [one_step, several, modelled, estimated], ids=lambda made: made.__name__)
def test_every_report_keeps_to_the_schema(made: object) -> None:
    assert callable(made)
    report = made()
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(report.to_json()))


def test_the_schema_is_one_and_stands_beside_the_report(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    write_schema(several().write(tmp_path))
    assert json.loads((tmp_path / "report.schema.json").read_text(encoding="utf-8")) == SCHEMA


def test_what_the_schema_does_not_know_is_refused() -> None:
    said = json.loads(several().to_json())
    for place in (said, said["lead"], said["estimates"][0]["interval"]):
        place["surprise"] = 1
        with pytest.raises(jsonschema.ValidationError, match="surprise"):
            jsonschema.Draft202012Validator(SCHEMA).validate(said)
        del place["surprise"]
