"""Pictures of a search: how much each setting mattered, and what was found when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluation.drawing import PALETTE, canvas, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.study import Study

FEWEST = 4  # judged trials below which nothing can be said of importance; assumed
TREES = 64  # of the forest behind it, Optuna's default


def importances(study: Study, seed: int) -> dict[str, float]:
    """Share of the variance of the gain that each setting explains alone, largest first; empty: too few trials.

    Source: functional ANOVA on a random forest, Hutter, Hoos & Leyton-Brown 2014, as in Optuna.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    from training.tune_study import complete

    trials = complete(study)
    moved = [name for name in (trials[0].params if trials else ()) if len({str(t.params[name]) for t in trials}) > 1]
    if len(trials) < FEWEST or not moved or np.ptp([t.value for t in trials]) == 0:
        return {}
    evaluator = FanovaImportanceEvaluator(n_trees=TREES, seed=seed)
    found = get_param_importances(study, evaluator=evaluator, params=moved)
    return {name: float(share) for name, share in found.items()}


def importance_figure(found: dict[str, float], trials: int) -> Figure:
    """A bar for each setting."""
    figure, axes = canvas(1.1 + 0.32 * max(1, len(found)))
    names = list(found)[::-1]
    axes.barh(range(len(names)), [found[name] for name in names], color=PALETTE[0], height=0.6)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1)
    said = f"share of the gain's variance between {trials} judged trials"
    axes.set_xlabel(said if found else f"{trials} judged trials are too few to tell")
    styled(axes)
    return figure


def history_figure(study: Study, currency: str) -> Figure:
    """The gain of every trial in order, the best so far, and where trials were ended early."""
    from training.tune_study import complete, settled

    figure, axes = canvas(3.2)
    judged = complete(study)
    numbers, values = [t.number for t in judged], [t.value or 0.0 for t in judged]
    axes.plot(numbers, values, "o", color=PALETTE[0], label="judged")
    if judged:
        axes.step(numbers, np.maximum.accumulate(values), where="post", color=PALETTE[5], label="best so far")
    early = [t for t in settled(study) if t.value is None or t not in judged]
    for trial in early:
        axes.axvline(trial.number, color=PALETTE[7], linewidth=0.8, linestyle=":")
    if early:
        axes.plot([], [], color=PALETTE[7], linestyle=":", label="ended early, or failed")
    axes.set_xlabel("trial")
    axes.set_ylabel(f"gain, {currency} per customer")
    axes.legend(frameon=False)
    styled(axes)
    return figure
