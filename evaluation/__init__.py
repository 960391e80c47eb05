"""Floor 2, what a policy is worth: logs, estimators, intervals, the report.

`evaluation.evaluate(log, policies) -> Report`, `evaluation.read_log(tables, part)`, `evaluation.apply(tables, policy)`,
`evaluation.watch(WatchConfig(...)) -> Watched`.
Each is loaded when it is first used.
"""

from __future__ import annotations

from envs.lazy import lazy_verbs

VERBS = {
    "evaluate": "evaluation.evaluate",
    "read_log": "evaluation.reading",
    "log_from_arrays": "evaluation.log",
    "divided": "evaluation.shards",
    "stream_log": "evaluation.streaming",
    "EvaluationSettings": "evaluation.settings",
    "estimates": "evaluation.estimates",
    "one_step": "evaluation.estimates",
    "Bounded": "evaluation.betting",
    "confidence_sequence": "evaluation.betting",
    "report_schema": "evaluation.report_schema",
    "apply": "evaluation.apply",
    "apply_policy": "evaluation.apply",
    "watch": "evaluation.watch",
}

__getattr__ = lazy_verbs(__name__, VERBS)
