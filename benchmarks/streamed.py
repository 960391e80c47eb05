"""One evaluation in a process of its own: `python -m benchmarks.streamed TABLES OUT WHOLE PARTS`, see `streaming`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from evaluation.settings import EvaluationSettings
from training.configs import EvaluateConfig
from training.evaluate import evaluate
from training.meter import Meter

LEARNED = 60_000  # training decisions: as many as models take by themselves


def streamed(tables: Path, out: Path, whole: int, parts: int) -> None:
    """Evaluate the myopic rule and silence against the log, with linear models; print what it took.

    whole: decisions up to which a log is held; parts: decisions of a part
    """
    meter = Meter()
    asked = EvaluationSettings(model_rows=LEARNED, model="ridge")
    evaluate(
        EvaluateConfig(
            tables=tables, world="exact", simulate_customers=0, compare=["myopic"], baselines=["silence"],
            track=False, out=out, whole_decisions=whole, part_decisions=parts, settings=asked,
        )
    )  # fmt: skip
    used = meter.read()
    print(json.dumps({"seconds": used.seconds, "cpu_seconds": used.cpu_seconds, "gib": used.peak_memory_mib / 1024}))


if __name__ == "__main__":
    streamed(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
