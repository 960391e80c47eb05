"""Which features a calibrated head may use, by name: the words of `envs.features`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from envs.encoding import CONTACT_FIELDS
from envs.features import Feature, Options, parse_feature, product_options, treatment_options
from envs.observation import Encoder
from envs.profile import features, profile_fields
from envs.response import design_matrix
from training.calibration_rows import HeadRows

OWN_CHANNEL = ("recency", "pressure", "engagements")
OWN_PRODUCT = ("intent", "lead", "offered", "refusals", "holds")
BENDING = ("own_product.intent", "own_channel.pressure")  # also squared: effects level off
TRACES = ("offered", "intent")  # of every product, by which an earlier offer can act on what is unasked
FEW = 16  # products up to which every product's trace is a candidate
FEW_NUMBERS = 10  # numbers of a profile up to which their squares and products are candidates
TASTES = ("contact:pressure", "contact:spend")  # besides the profile, what effects may vary with


@dataclass(frozen=True)
class Candidates:
    """Names of features, by group."""

    offer: tuple[str, ...]  # what is offered, and what earlier offers of it and on its channel left behind
    state: tuple[str, ...]  # of the customer and the day
    attributes: tuple[str, ...]  # of the offer, to cross with
    fields: tuple[str, ...]  # of the customer


@dataclass(frozen=True)
class Words:
    """Resolves names of features for one catalogue and schema."""

    encoder: Encoder

    def options(self, head: HeadRows) -> Options:
        catalogue = self.encoder.catalogue
        return treatment_options(catalogue) if head.per == "decision" else product_options(catalogue)

    def matrix(self, names: tuple[str, ...], head: HeadRows, observation: np.ndarray) -> np.ndarray:
        """(n, names) float64, the features' values in the rows of a head."""
        options = self.options(head)
        parsed: tuple[Feature, ...] = tuple(parse_feature(name, options, self.encoder) for name in names)
        return design_matrix(parsed, observation[head.look], head.option)

    def candidates(self, head: HeadRows) -> Candidates:
        """What a head may look at, before the data are asked."""
        if head.name.startswith("trigger:"):
            return Candidates((), (*self._profile, *self._stages, *self._calendar, "contact:complaints"), (), ())
        attributes = self.options(head).attributes.names
        fields = (*self._profile, *TASTES)
        own = [f"own_product.{name}" for name in OWN_PRODUCT]
        if head.per == "decision":
            own += [f"own_channel.{name}" for name in OWN_CHANNEL] + ["conflict"]
        own += [f"{name} * {name}" for name in BENDING if name in own]
        offer = [*attributes, *own, *(name for name, *_ in CONTACT_FIELDS)]
        state = [*self._profile, *self._stages, *self._calendar, *self._clock]
        state += [f"{a} * {b}" for a, b in combinations_with_replacement(self._bends, 2)]
        if head.per == "decision" and head.given in ("always", "purchased"):
            products = self.encoder.catalogue.product_ids
            state += [f"product:{p}:{t}" for p in products for t in TRACES if len(products) <= FEW]
        return Candidates(tuple(offer), tuple(state), attributes, fields)

    @property
    def _profile(self) -> list[str]:
        return list(profile_fields(self.encoder.schema, lambda name, *_: name))

    @property
    def _stages(self) -> list[str]:
        """Stages of life but the first, with which the others are compared."""
        return [name for name in self.encoder.names if name.startswith("stage:")][1:]

    @property
    def _bends(self) -> list[str]:
        """Numbers whose squares and products are candidates."""
        numbers = [column.name for column in features(self.encoder.schema) if column.type == "number"]
        return [*numbers, *TASTES] if len(numbers) <= FEW_NUMBERS else []

    @property
    def _calendar(self) -> list[str]:
        return [name for name in self.encoder.names if name.startswith("calendar:")]

    @property
    def _clock(self) -> list[str]:
        finite = self.encoder.schema.task.kind == "finite"
        return ["task:time_left", "task:gap"] if finite and len(self.encoder.schema.task.days) > 1 else []
