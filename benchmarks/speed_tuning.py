"""Tuning of stock MaskablePPO in the built-in bank: `python -m benchmarks.speed_tuning` finds `benchmarks.speed.TUNED`.

Optuna's tree-structured Parzen estimator over twelve settings, a median pruner; the first trial is a hand-made guess.
A trial learns for a minute of the processor's time on one core, so that a busy machine changes little, and is judged by
its last gain over silence on the customers that trainings are validated on: its own examiners, in its favour.
"""

from __future__ import annotations

import time
from dataclasses import asdict

import polars as pl
import torch

from benchmarks.curves import judge_of
from benchmarks.kit import Options, Result, main, show
from benchmarks.stock import ACTIVATIONS, Settings, learn
from envs.world import load_world
from training.configs import TrainConfig

TRIALS, SECONDS, POINTS = 24, 60.0, 3
GUESS = Settings(3e-4, True, 1024, 32, 4096, 4, 1e-3, 0.9, 128, 2, "tanh", 300.0)


def speed_tuning(options: Options, result: Result) -> None:
    """Search, and print the best settings."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    world, config = load_world("bank"), TrainConfig(world="bank")
    trials, seconds = (3, 4.0) if options.quick else (TRIALS, SECONDS)
    judge = judge_of(world, config, options.seed)

    def tried(trial: optuna.Trial) -> float:
        gains: list[float] = []

        def watch(gain: float) -> bool:
            gains.append(gain)
            trial.report(gain, len(gains))
            if trial.should_prune():
                raise optuna.TrialPruned
            return True

        learn(world, config, suggested(trial), judge, options.seed, seconds=seconds, points=POINTS,
              clock=time.process_time, watch=watch)  # fmt: skip
        print(f"trial {trial.number}: {gains[-1]:.1f} {trial.params}", flush=True)
        return gains[-1]

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=8, seed=options.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),  # the first point is of no learning
    )
    study.enqueue_trial(asdict(GUESS))
    study.optimize(tried, n_trials=trials)
    best = Settings(**study.best_params)
    done = [{"trial": t.number, "state": t.state.name, "gain": t.value, **t.params} for t in study.trials]
    show("Trials of stock MaskablePPO", pl.DataFrame(done).sort("gain", descending=True, nulls_last=True))
    print(best)
    result.figures |= {"trials": done, "best": asdict(best), "gain": study.best_value}
    result.conditions |= {"trials": trials, "processor_seconds": seconds}


def suggested(trial: optuna.Trial) -> Settings:  # type: ignore[name-defined]  # noqa: F821
    """The ranges, all assumed: wide around what is usual."""
    return Settings(
        learning_rate=trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        falling=trial.suggest_categorical("falling", [True, False]),
        envs=trial.suggest_categorical("envs", [64, 256, 1024]),
        n_steps=trial.suggest_categorical("n_steps", [16, 32, 64]),
        batch_size=trial.suggest_categorical("batch_size", [256, 1024, 4096]),
        n_epochs=trial.suggest_int("n_epochs", 1, 8, log=True),
        entropy=trial.suggest_float("entropy", 1e-5, 3e-2, log=True),
        gae_lambda=trial.suggest_float("gae_lambda", 0.5, 0.98),
        width=trial.suggest_categorical("width", [64, 128, 256]),
        layers=trial.suggest_int("layers", 1, 3),
        activation=trial.suggest_categorical("activation", list(ACTIVATIONS)),
        reward_scale=trial.suggest_float("reward_scale", 10.0, 3000.0, log=True),
    )


if __name__ == "__main__":
    main("speed_tuning", speed_tuning)
