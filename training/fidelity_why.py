"""Why a head is too stiff: a ladder from the head to LightGBM, and what each rung is made of.

head
bends     every field may also act in a curve of its own (trees with one question, started from the head)
pairs     every two fields may also act together (trees with two questions, started from the rung before)
LightGBM  anything

Beside the ladder stands the level: what is left of the gap once both are shifted to what came true, which is what
resetting intercepts would repair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.fidelity_checks import shift
from training.fidelity_models import ByForm, ByTrees, linked
from training.fidelity_rows import HeadSample, LogRows, Sample
from training.fidelity_scores import crps_lognormal, log_loss, mean_score
from training.fidelity_yardstick import DAYS, FOLDS, OPTION, Forest, Inputs, Plot, grow, inputs

NAMED = 5  # fields and pairs that are listed
LEAST_SHARE = 0.02  # of a rung's gain, below which a field is not worth a word
SQUARE = "as its square alone"
REST = "What is left needs more than two fields at a time, or is luck."
LEAST_STEP = 0.05  # of the gap, below which a rung's fields, or the level, are not worth a word


@dataclass(frozen=True)
class Lack:
    """A field, or a pair of them, that the form lacks."""

    name: str
    share: float  # of the rung's gain
    known: str  # how the form has it already


@dataclass(frozen=True)
class Why:
    """What LightGBM uses that a form lacks. Scores are means over the judged rows."""

    head: float
    level: float  # of the head, shifted to what came true
    bends: float
    pairs: float
    lightgbm: float
    lightgbm_level: float  # of LightGBM, shifted to what came true
    fields: tuple[Lack, ...]
    together: tuple[Lack, ...]

    @property
    def sentence(self) -> str:
        """In plain words."""
        gap = self.head - self.lightgbm
        if gap <= 0:
            return "LightGBM is no better on the judged rows."
        reset = self.level / self.lightgbm_level
        level = 1 - (self.level - self.lightgbm_level) / gap
        parts = [f"its level {level:.0%} (with both set to what came true it scores {reset:.3f} of LightGBM's)"]
        parts = parts if level >= LEAST_STEP else []
        curves = ("curves of single fields", self.head - self.bends, self.fields)
        pairs = ("pairs of fields", self.bends - self.pairs, self.together)
        for what, step, lacks in (curves, pairs):
            share = max(step, 0) / gap
            parts.append(f"{what} {share:.0%}{_listed(lacks) if share >= LEAST_STEP else ''}")
        text = f"Of the gap to LightGBM, these close: {'; '.join(parts)}."
        return text if max(level, 1 - (self.pairs - self.lightgbm) / gap) > 1 - LEAST_STEP else f"{text} {REST}"


def why_stiff(sample: HeadSample, log: LogRows, yardstick: ByTrees, seed: int) -> Why:
    """Climb the ladder on the training rows; score each rung on the judged ones."""
    train, test = sample.train, sample.test
    encoder, observation = log.world.encoder, log.source.observation
    seen, judged = inputs(encoder, train.data, observation), inputs(encoder, test.data, observation)
    fold = np.random.default_rng(seed).integers(0, FOLDS, int(train.rows.customer.max()) + 1)
    target = np.log(train.rows.y) if train.is_amount else train.rows.y
    objective = "regression" if train.is_amount else "binary"
    raw, raw_test = np.tile(_raw(train), (FOLDS, 1)), _raw(test)

    def rung(start: np.ndarray, leaves: int) -> Forest:
        plot = Plot(objective, seen, train.rows, target, fold, seed, start)
        return grow(plot, (leaves,), max_depth=leaves // 2)

    bends = rung(raw, 2)
    pairs = rung(raw + bends.each(seen.values), 4)
    curved = raw_test + bends.added(judged.values)
    words = known_words(train)
    link, own = test.data.link, ByForm(test.data.link)
    own_level, other_level = (
        mean_score(model.score(test, shift(link, model.eta(test), test.rows)), test.rows.weight)
        for model in (own, yardstick)
    )
    return Why(
        head=_score(test, raw_test),
        level=own_level,
        bends=_score(test, curved),
        pairs=_score(test, curved + pairs.added(judged.values)),
        lightgbm=mean_score(yardstick.score(test), test.rows.weight),
        lightgbm_level=other_level,
        fields=_lacks(_field_gains(bends, seen), words),
        together=_lacks(_pair_gains(pairs, seen), words),
    )


def known_words(sample: Sample) -> Mapping[str, str]:
    """Field or attribute -> how the form has it."""
    words: dict[str, str] = {}
    terms = [[part.strip() for part in feature.name.split("*")] for feature in sample.head.features]
    for parts in sorted(terms, key=len, reverse=True):  # what is alone says more than what is in a product
        if len(parts) == 1:
            words[parts[0]] = "as a parabola" if words.get(parts[0]) == SQUARE else "as a straight line"
        elif len(set(parts)) == 1:
            words[parts[0]] = SQUARE
        else:
            words |= {part: "only in products" for part in parts if part not in words}
            words[" × ".join(sorted(parts))] = "as a product"
    return words


def _raw(sample: Sample) -> np.ndarray:
    """The head as a raw score to start trees from: log odds, or the mean logarithm."""
    if sample.is_amount:
        return np.asarray(sample.eta - (sample.head.head.sigma or 0.0) ** 2 / 2)
    return linked("logit", sample.mean, sample.rows.days)


def _score(test: Sample, raw: np.ndarray) -> float:
    """Mean score of a raw score on the judged rows; amounts keep the head's spread."""
    if not test.is_amount:
        return mean_score(log_loss(test.rows.y, 1 / (1 + np.exp(-raw))), test.rows.weight)
    sigma = test.head.head.sigma or 1.0
    return mean_score(crps_lognormal(test.rows.y, np.exp(raw + sigma**2 / 2), sigma), test.rows.weight)


def _field_gains(forest: Forest, seen: Inputs) -> dict[str, float]:
    gains: dict[str, float] = defaultdict(float)
    for model in forest.models:
        for name, gain in zip(seen.names, model.feature_importance("gain"), strict=True):
            gains[name] += float(gain)
    return gains


def _pair_gains(forest: Forest, seen: Inputs) -> dict[str, float]:
    """Gain of the second question of each tree, where it asks for another field than the first."""
    gains: dict[str, float] = defaultdict(float)
    for model in forest.models:
        for tree in model.dump_model()["tree_info"]:
            for first, second, gain in _questions(tree["tree_structure"]):
                if first != second:
                    gains[" × ".join(sorted((seen.names[first], seen.names[second])))] += gain
    return gains


def _questions(root: Mapping[str, Any]) -> Iterator[tuple[int, int, float]]:
    """(first field, second field, gain of the second) of a tree of two questions."""
    for child in (root.get("left_child", {}), root.get("right_child", {})):
        if "split_feature" in child:
            yield int(root["split_feature"]), int(child["split_feature"]), float(child["split_gain"])


def _lacks(gains: Mapping[str, float], words: Mapping[str, str]) -> tuple[Lack, ...]:
    total = sum(gains.values())
    largest = sorted(gains.items(), key=lambda pair: -pair[1])[:NAMED]
    named = [(name, gain / total) for name, gain in largest if gain >= LEAST_SHARE * total > 0]
    return tuple(Lack(name, share, _known(name, words)) for name, share in named)


def _known(name: str, words: Mapping[str, str]) -> str:
    if name in (OPTION, DAYS):
        return "by its attributes" if name == OPTION else "as exposure"
    return words.get(name, "not at all")


def _listed(lacks: tuple[Lack, ...]) -> str:
    if not lacks:
        return ""
    return " (" + ", ".join(f"{lack.name}: the form has it {lack.known}" for lack in lacks[:3]) + ")"
