"""The yardstick: gradient-boosted trees (LightGBM) on everything that a head may see.

How large the trees are and how many, is chosen on training customers alone: they are divided into five parts, each
model grows until a part that it does not learn from stops getting better, and the five are averaged. Nothing of the
judged customers is looked at.

Ke et al. (2017), "LightGBM: a highly efficient gradient boosting decision tree"; averaging the folds' models is
bagging over customers, which only makes a yardstick stronger (Breiman 1996, "Bagging predictors").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.encoding import CHANNEL_FIELDS, PRODUCT_FIELDS
from envs.errors import InputError
from envs.features import Options, parse_feature, product_options, treatment_options
from envs.observation import Encoder
from envs.response import design_matrix
from training.calibration_rows import HeadRows
from training.fidelity_scores import LEVELS
from training.glm import Rows

if TYPE_CHECKING:
    from lightgbm import Booster

FOLDS, TRIAL_FOLDS = 5, 1  # parts of the training customers; those on which sizes of tree are compared
LEAVES = (4, 15, 31)  # leaves of a tree that are tried, from two questions to LightGBM's default
ROUNDS, PATIENCE = 2000, 50  # most trees; trees without progress after which growing stops
SETTINGS: dict[str, Any] = {  # LightGBM's own defaults but for a slower pace, sampling and a unit ridge; assumed usual
    "learning_rate": 0.05,
    "min_child_samples": 20,
    "lambda_l2": 1.0,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
OPTION, DAYS = "which treatment or product", "days until the next decision"


@dataclass(frozen=True)
class Inputs:
    """What the yardstick sees of rows."""

    values: np.ndarray  # (n, columns) float32
    names: tuple[str, ...]  # of the columns, in the words of envs.features


@dataclass(frozen=True)
class Forest:
    """Five models grown on five parts of the training customers each, averaged."""

    models: tuple[Booster, ...]
    leaves: int
    within: np.ndarray  # (training rows,) raw prediction of each training row, by the model that did not see it

    def predict(self, values: np.ndarray) -> np.ndarray:  # (n,) float64
        """The mean of the models' probabilities ("binary") or values ("regression")."""
        return np.asarray(np.mean([np.asarray(model.predict(values)) for model in self.models], axis=0))

    def added(self, values: np.ndarray) -> np.ndarray:  # (n,) float64
        """The mean of what the models add to the raw score that they were started from."""
        return np.asarray(self.each(values).mean(axis=0))

    def each(self, values: np.ndarray) -> np.ndarray:  # (folds, n) float64
        """What each model adds to the raw score that it was started from."""
        return np.stack([np.asarray(model.predict(values, raw_score=True)) for model in self.models])


def lightgbm() -> Any:
    """The library; an InputError that says how to get it, where it is not installed."""
    try:
        import lightgbm as library
    except ImportError:
        need = "must be installed for its boosted trees: pip install -c constraints.txt 'nextbest[fidelity]'"
        raise InputError(need, field="lightgbm", value="(missing)") from None
    return library


def inputs(encoder: Encoder, data: HeadRows, observation: np.ndarray) -> Inputs:
    """Everything a head may name: the observation without the prices, the option, and fields of its own.

    observation: (decisions, fields) float32. Prices are told to policies; customers do not see them.
    """
    options = treatment_options(encoder.catalogue) if data.per == "decision" else product_options(encoder.catalogue)
    seen = observation[data.look]
    kept = [i for i, name in enumerate(encoder.names) if not name.startswith("price:")]
    own = _own(encoder, options, data)
    features = tuple(parse_feature(name, options, encoder) for name in own)
    columns = [
        seen[:, kept],
        design_matrix(features, seen, data.option) if own else np.zeros((len(seen), 0)),
        options.attributes.values[data.option],
        data.option[:, None],
        np.log(data.rows.days)[:, None],
    ]
    names = (*(encoder.names[i] for i in kept), *own, *options.attributes.names, OPTION, DAYS)
    return Inputs(np.hstack([column.astype(np.float32) for column in columns]), names)


def _own(encoder: Encoder, options: Options, data: HeadRows) -> list[str]:
    """Fields of the option's own product and channel, and the conflict with others."""
    names = [f"own_product.{name}" for name, *_ in PRODUCT_FIELDS] if encoder.catalogue.product_ids else []
    if data.per == "decision" and encoder.catalogue.channel_ids:
        names += [f"own_channel.{name}" for name, *_ in CHANNEL_FIELDS]
        names += ["conflict"] if names else []
    return names


@dataclass(frozen=True)
class Plot:
    """What forests are grown on."""

    objective: str  # "binary": target 0 or 1; "regression": any number
    inputs: Inputs
    rows: Rows
    target: np.ndarray  # (n,) float64
    fold: np.ndarray  # (customers,) int, the part of each customer
    seed: int
    start: np.ndarray | None = None  # (folds, n) raw score that each model starts from: log odds, or a value

    def model(self, number: int, leaves: int, **settings: Any) -> tuple[Booster, float]:
        """A model that learns from all parts but one, and its mean loss there."""
        library = lightgbm()
        sets: list[Any] = []
        part = self.fold[self.rows.customer]
        columns = [name.translate(_PLAIN) for name in self.inputs.names]
        for which in (np.flatnonzero(part != number), np.flatnonzero(part == number)):
            data = library.Dataset(
                self.inputs.values[which],
                self.target[which],
                weight=self.rows.weight[which],
                init_score=None if self.start is None else self.start[number, which],
                feature_name=columns,
                categorical_feature=[self.inputs.names.index(OPTION)],
                reference=sets[0] if sets else None,
            )
            sets.append(data)
        chosen = {**SETTINGS, "objective": self.objective, "num_leaves": leaves, "seed": self.seed, **settings}
        stop = library.early_stopping(PATIENCE, verbose=False)
        model = library.train(chosen, sets[0], ROUNDS, valid_sets=[sets[1]], callbacks=[stop])
        return model, float(next(iter(model.best_score["valid_0"].values())))


def grow(plot: Plot, leaves: Sequence[int] = LEAVES, **settings: Any) -> Forest:
    """Five models; of several sizes of tree, the one with the smallest loss on the first parts."""
    tried = {size: [plot.model(k, size, **settings) for k in range(TRIAL_FOLDS)] for size in leaves}
    best = min(tried, key=lambda size: sum(loss for _, loss in tried[size]))
    grown = [*tried[best], *(plot.model(k, best, **settings) for k in range(TRIAL_FOLDS, FOLDS))]
    models = tuple(model for model, _ in grown)
    part, within = plot.fold[plot.rows.customer], np.zeros(len(plot.target))
    for number, model in enumerate(models):
        aside = np.flatnonzero(part == number)
        within[aside] = np.asarray(model.predict(plot.inputs.values[aside], raw_score=True))
    return Forest(models, best, within)


_PLAIN = str.maketrans(dict.fromkeys('",:[]{}= ', "_"))  # LightGBM refuses these in names


@dataclass(frozen=True)
class AmountForest:
    """Trees for an amount: where its logarithm lies, how far it spreads there, and the shape of what is left.

    The shape is that of the training rows' standardised residuals, each by models that did not see its row.
    """

    location: Forest
    spread: Forest
    shape: np.ndarray  # (levels,) quantiles of the standardised residuals at LEVELS

    @property
    def leaves(self) -> int:
        return self.location.leaves

    def quantiles(self, values: np.ndarray) -> np.ndarray:  # (n, levels) float64
        """Quantiles of the amount at LEVELS."""
        scale = np.exp(self.spread.predict(values))
        return np.asarray(np.exp(self.location.predict(values)[:, None] + scale[:, None] * self.shape))


def grow_amount(
    inputs: Inputs, rows: Rows, fold: np.ndarray, seed: int, leaves: Sequence[int] = LEAVES
) -> AmountForest:
    """Trees for amounts rows.y > 0."""
    logs = np.log(rows.y)
    location = grow(Plot("regression", inputs, rows, logs, fold, seed), leaves)
    residual = logs - location.within
    spread = grow(Plot("regression", inputs, rows, np.log(np.abs(residual) + 1e-3), fold, seed), LEAVES[:1])
    standard = residual / np.exp(spread.within)
    order = np.argsort(standard)
    place = np.cumsum(rows.weight[order]) / rows.weight.sum()
    return AmountForest(location, spread, np.interp(LEVELS, place, standard[order]))
