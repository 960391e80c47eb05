"""Coordinated rules: one priority list over all channels, in points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from agents.scored import Scored
from envs.catalogue import Catalogue, Channel, Product, Treatment
from envs.observation import Encoder


class Points(NamedTuple):
    """Priorities of the coordinated rules."""

    interest: float = 2.0  # per piece of evidence of intent, two at most
    answered: float = 0.5  # at most, for a channel that the customer answers
    refused: float = -2.0  # on the field of refusals
    held: float = -0.5
    broken_off: float = 2.0  # on the trace of a break-point, 0.5 on the next day
    inbound: float = 3.0
    hot: float = 0.5  # trace from which a lead counts as hot
    remote_hot: float = 1.5
    offline_hot: float = 0.5
    remote: float = -1.5
    offline: float = -3.0
    complexity: float = -2.0  # of a person's contact about a complex product that is not hot
    bundle: float = 0.2
    expensive: float = -0.3
    care: float = -0.5
    complaint_fresh: float = 0.19  # field of complaints: one within four days
    answer: float = 6.0  # of a complaint
    again: float = -8.0  # on the trace of the last contact on the channel, of care and verification
    verify: float = 10.0  # under a risk hold
    unasked_for: float = -10.0  # verification without one
    silence: float = 0.5
    pressure: float = 4.0  # more silence, on the field of contact pressure


POINTS = Points()


@dataclass(frozen=True)
class CoordinatedRules(Scored):
    """One priority list over all channels, as the pilots of designed coordination describe it (KPMG 2023, Yin'ao 2026).

    1. A risk hold is verified first, on another channel where one was tried in vain; a fresh complaint is answered by a
       person, who sells nothing.
    2. Whoever comes in hears of the product they showed most interest in, on the channel they came by.
    3. A hot lead (engaged within a week, no answer yet) goes to a remote person; to the relationship manager where no
       remote person offers the product. Applications that were just broken off go first.
    4. Interest that is no longer hot is met online, on a channel that the customer answers; complex products and
       expensive contacts stand back.
    5. Without interest, or with contact pressure already there, silence.

    Priorities are points: assumed, as a campaign manager would set them; they are not tuned.
    """

    catalogue: Catalogue
    encoder: Encoder
    name: str = "coordinated_rules"
    points: Points = POINTS

    def scores(self, observation: np.ndarray) -> np.ndarray:
        """Points of each treatment; silence has as many as the contact pressure deserves. float32, cheap to add up."""
        p, product, channel = self.points, self.catalogue.product_of, self.catalogue.channel_of
        intent, lead, broken = (self._of_product(observation, f) for f in ("intent", "lead", "abandoned"))
        holds, refusals = (self._of_product(observation, f) for f in ("holds", "refusals"))
        answered, tried = (self._of_channel(observation, f) for f in ("engagements", "recency"))
        hot = (lead > p.hot)[:, product]  # within a week at the default half-life
        points = (p.interest * np.minimum(5 * intent, 2.0))[:, product]
        points += np.minimum(answered, p.answered)[:, channel]
        points += (p.refused * refusals + p.held * holds + p.broken_off * broken)[:, product]
        points[:, self._inbound] += p.inbound
        points += np.where(hot, *self._by_family)
        people, cold = self._complex
        points[:, people] += np.where(hot[:, people], 0.0, cold)
        dear, extra = self._extra
        points[:, dear] += extra
        points[:, self._care] += p.care
        complained = self._field(observation, "contact:complaints") > p.complaint_fresh
        answering = self._answering
        points[:, answering] += p.answer * complained + p.again * tried[:, channel[answering]]
        held = self._field(observation, "contact:risk_hold") > 0
        verifying = self._verifying
        points[:, verifying] += np.where(held, p.verify, p.unasked_for) + p.again * tried[:, channel[verifying]]
        points[:, 0] = p.silence + p.pressure * self._field(observation, "contact:pressure")[:, 0]
        return np.asarray(points)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.encoder.names)}

    def _field(self, observation: np.ndarray, name: str) -> np.ndarray:  # (batch, 1)
        return np.asarray(observation[:, [self._columns[name]]])

    def _of_product(self, observation: np.ndarray, field: str) -> np.ndarray:  # (batch, products + 1), last: none
        return self._table(observation, [f"product:{p}:{field}" for p in self.catalogue.product_ids])

    def _of_channel(self, observation: np.ndarray, field: str) -> np.ndarray:  # (batch, channels + 1), last: none
        return self._table(observation, [f"channel:{c}:{field}" for c in self.catalogue.channel_ids])

    def _table(self, observation: np.ndarray, names: list[str]) -> np.ndarray:
        found = np.zeros((len(observation), len(names) + 1), np.float32)
        found[:, :-1] = observation[:, [self._columns[name] for name in names]]
        return found

    def _where(self, test: Callable[[Treatment], bool]) -> np.ndarray:  # positions of treatments
        return np.array([k for k, t in enumerate(self.catalogue.treatments, start=1) if test(t)], np.int64)

    def _channel(self, treatment: Treatment) -> Channel:
        return self.catalogue.channels[self.catalogue.channel_ids.index(treatment.channel)]

    def _product(self, treatment: Treatment) -> Product:
        return self.catalogue.products[self.catalogue.product_ids.index(treatment.product)]

    @cached_property
    def _inbound(self) -> np.ndarray:
        return self._where(lambda t: self._channel(t).inbound is not None)

    def _people(self, family: str) -> np.ndarray:
        """Treatments of a family that go out to the customer."""
        return self._where(lambda t: self._channel(t).family == family and self._channel(t).inbound is None)

    @cached_property
    def _by_family(self) -> tuple[np.ndarray, np.ndarray]:
        """Points of people's contacts about a product that is hot, and of others. (treatments,) float32."""
        hot, cold = np.zeros((2, len(self.catalogue.treatment_ids)), np.float32)
        hot[self._people("remote")], cold[self._people("remote")] = self.points.remote_hot, self.points.remote
        hot[self._people("offline")], cold[self._people("offline")] = self.points.offline_hot, self.points.offline
        return hot, cold

    @cached_property
    def _complex(self) -> tuple[np.ndarray, np.ndarray]:
        """Treatments by which people speak of a complex product, and their points while it is not hot."""
        chosen = np.union1d(self._people("remote"), self._people("offline"))
        feature = [self._product(self.catalogue.treatments[k - 1]).features.get("complexity", 0.0) for k in chosen]
        return chosen, self.points.complexity * np.array(feature)

    @cached_property
    def _extra(self) -> tuple[np.ndarray, np.ndarray]:
        """Treatments with a benefit or a high cost, and their points."""
        points = self.points.bundle * (self.catalogue.benefit_cost > 0)
        points = points + self.points.expensive * (self.catalogue.cost > 5)
        return np.flatnonzero(points), points[points != 0]

    @cached_property
    def _care(self) -> np.ndarray:
        return self._where(lambda t: not self._product(t).selling and not self._product(t).clears_hold)

    @cached_property
    def _answering(self) -> np.ndarray:
        return np.intersect1d(self._care, self._people("remote"))

    @cached_property
    def _verifying(self) -> np.ndarray:
        return self._where(lambda t: self._product(t).clears_hold)


def coordinated_rules(catalogue: Catalogue, encoder: Encoder) -> CoordinatedRules:
    """The coordinated rules of a catalogue."""
    return CoordinatedRules(catalogue, encoder)
