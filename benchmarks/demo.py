"""The whole loop on the built-in bank, as `make demo` runs it: how long does it take, does each estimate hold?"""

from __future__ import annotations

from benchmarks.kit import Options, Result, main
from training.configs import DemoConfig
from training.demo import demo as run

MINUTES = 8.0


def demo(options: Options, result: Result) -> None:
    """Run the demo; time its parts."""
    done = run(DemoConfig(quick=options.quick, seed=options.seed, out=options.work / "demo"))
    print(done)
    seconds = sum(done.seconds.values())
    result.figures |= {
        "seconds": done.seconds,
        "total": seconds,
        "policies": done.frame.to_dicts(),
        "truth": done.truth.to_dicts(),
        "gate": done.promotion.verdict,
    }
    result.target("time", f"under {MINUTES:.0f} minutes after installation", seconds < 60 * MINUTES)
    modelled = done.truth["quantity"].str.contains("model-based")
    sampled, model = done.truth.filter(~modelled)["overlap"], done.truth.filter(modelled)["overlap"]
    words = f"intervals of sampled estimates and true values meet ({sampled.sum()} of {len(sampled)})"
    result.target("truth", words, bool(sampled.all()))
    words = f"those of fitted Q over the full horizon, model-based, do too ({model.sum()} of {len(model)})"
    result.target("model", words, bool(model.all()))


if __name__ == "__main__":
    main("demo", demo)
