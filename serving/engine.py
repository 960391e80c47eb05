"""The engine: state -> mask -> probabilities -> draw -> ledger -> answer. No HTTP; randomness is handed in."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import structlog

from agents.artifact import price_check
from agents.policy import draw
from agents.price_range import Outside, clamped
from envs.catalogue import SILENCE
from envs.digest import digest_of
from envs.errors import InputError
from envs.history import EVENTS
from envs.prices import Prices, prices_from
from serving.errors import Conflict, Unknown
from serving.ledger import Ledger, Turn
from serving.model import Model
from serving.records import TICK, Decision, Event, instant, micros
from serving.schemas import Contact, DecisionRequest, DecisionResponse, EventIn, EventsRequest, EventsResponse
from serving.state import Asking, State, encoded, profile_from, state_of

PROFILES = 4096  # encoded profiles kept at hand; assumed


@dataclass(frozen=True)
class Manners:
    """How requests are taken."""

    prices_outside: Outside = "refuse"
    ahead: timedelta = timedelta(days=1)  # how far a request may lie after the clock
    seeded_requests: bool = False  # whether a request may hand in a seed


class Engine:
    """Decides for customers of one ledger by one model."""

    def __init__(
        self,
        model: Model,
        ledger: Ledger,
        rng: np.random.Generator,
        manners: Manners | None = None,
        log: structlog.typing.WrappedLogger | None = None,
    ) -> None:
        """log: told of what was asked and not done as asked; None: nobody is"""
        self._log = log or structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
        self.model, self.ledger, self.manners = model, ledger, manners or Manners()
        self._rng, self._luck = rng, threading.Lock()
        self._encoded = lru_cache(maxsize=PROFILES)(
            lambda text: encoded(json.loads(text), model.schema, len(model.catalogue.products))
        )

    def decide(self, request: DecisionRequest, now: datetime) -> DecisionResponse:
        """One decision, in the ledger before it is returned. A repeated request_id returns the first answer."""
        self._check_seed(request)
        name = digest_of(request.model_dump(mode="json"))
        with self.ledger.turn() as turn:
            given = turn.given(request.request_id) if request.request_id else None
            if given is not None:
                if given.request_digest != name:
                    need = "must be new, or repeat its first request exactly"
                    raise Conflict(need, field="request_id", value=request.request_id)
                return DecisionResponse.model_validate_json(given.answer)
            decision, reasons = self._decision(turn, request, now)
            answer = self._answer(request, decision, reasons)
            turn.add_decision(decision, request.request_id, name, answer.model_dump_json())
        if answer.prices_clamped:
            said = {
                "asked": answer.prices_clamped,
                "taken": {name: answer.prices[name] for name in answer.prices_clamped},
            }
            self._log.warning(
                "prices outside the range of training were clamped", decision_id=answer.decision_id, **said
            )
        return answer

    def record(self, request: EventsRequest, now: datetime) -> EventsResponse:
        """Events, in the ledger before this returns: all of them or none. Known ones are reported, not taken twice."""
        duplicates: list[str] = []
        with self.ledger.turn() as turn:
            for given in request.events:
                event = self._event(turn, given, now)
                known = turn.event(event.event_id)
                if known is None:
                    turn.add_event(event)
                elif event != (known if given.at is not None else replace(known, at=event.at)):
                    need = "must be new, or repeat the same event"
                    raise Conflict(need, field="event_id", value=event.event_id)
                else:
                    duplicates.append(event.event_id)
        return EventsResponse(accepted=len(request.events) - len(duplicates), duplicates=duplicates)

    def _decision(self, turn: Turn, request: DecisionRequest, now: datetime) -> tuple[Decision, dict[str, list[str]]]:
        model, customer_id = self.model, request.customer_id
        taken = turn.decisions_of(customer_id)
        at = self._moment(request, now, max((row.at for row in taken), default=None))
        profile = self._profile(turn, request, at)
        prices = price_check(model.manifest, self._asked(request), self.manners.prices_outside)
        asking = Asking(customer_id, micros(at), request.trigger)
        state = state_of(turn, model.encoder, asking, self._encoded(profile), prices, taken)
        observation = state.observation(model.encoder)
        mask, reasons = state.mask(model.rule_book)
        probabilities = model.policy.probabilities(observation, mask)
        chosen = int(draw(probabilities, np.array([self._uniform(request, state)]))[0])
        decision = Decision(
            decision_id=uuid.uuid4().hex,
            customer_id=customer_id,
            at=at,
            trigger=request.trigger,
            observation=observation[0],
            mask=mask[0],
            treatment=model.catalogue.treatment_ids[chosen],
            propensity=float(probabilities[0, chosen]),
            probabilities=probabilities[0],
            policy_digest=model.policy.digest,
            rules_digest=model.rule_book.digest,
            prices=prices,
            assignment=model.assignment,
        )
        return decision, reasons

    def _asked(self, request: DecisionRequest) -> Prices:
        return prices_from(request.prices, self.model.catalogue, self.model.schema)

    def _moment(self, request: DecisionRequest, now: datetime, last: int | None) -> datetime:
        """When the decision is taken: after every decision that this customer already has (the last at `last`)."""
        if request.at is None:
            return now if last is None else max(now, instant(last) + TICK)
        at = self._not_ahead(request.at, now)
        if last is not None and micros(at) <= last:
            need = f"must be after the customer's last decision, {instant(last).isoformat()}"
            raise Conflict(need, field="at", value=at.isoformat())
        return at

    def _profile(self, turn: Turn, request: DecisionRequest, at: datetime) -> str:
        """The customer's profile at the decision, as JSON; what the request says of it is kept from then on."""
        schema, known = self.model.schema, turn.profile(request.customer_id, micros(at))
        if known is None and request.customer is None and schema.columns:
            need = "must be a customer known by then, or come with its profile in `customer`"
            raise Unknown(need, field="customer_id", value=request.customer_id)
        full = profile_from(request.customer or {}, known or {}, schema)
        if full != known:
            turn.put_profile(request.customer_id, micros(at), full)
        return json.dumps(full)

    def _event(self, turn: Turn, given: EventIn, now: datetime) -> Event:
        """The event as a record: names checked, channel and product taken from the decision where not said."""
        catalogue, channel, product = self.model.catalogue, given.channel, given.product
        if given.decision_id is not None:
            answered = turn.decision(given.decision_id)
            if answered is None:
                raise Unknown("must be a decision of this ledger", field="decision_id", value=given.decision_id)
            if answered.customer_id != given.customer_id:
                need = "must be the customer of the decision it answers to"
                raise Conflict(need, field="customer_id", value=given.customer_id)
            what = self._contact(answered.treatment)
            if what is not None:
                channel, product = channel or what.channel, product or what.product
        for field, value, known in (
            ("event", given.event, tuple(sorted(EVENTS))),
            ("channel", channel, catalogue.channel_ids),
            ("product", product, catalogue.product_ids),
        ):
            if value is not None and value not in known:
                raise InputError(f"must be one of: {', '.join(known)}", field=field, value=value)
        at = now if given.at is None else self._not_ahead(given.at, now)
        return Event(
            given.event_id, given.customer_id, at, given.event, channel, product, given.value, given.decision_id
        )

    def _not_ahead(self, at: datetime, now: datetime) -> datetime:
        if at > now + self.manners.ahead:
            need = f"must not be later than {(now + self.manners.ahead).isoformat()}"
            raise InputError(need, field="at", value=at.isoformat())
        return at.astimezone(UTC)

    def _check_seed(self, request: DecisionRequest) -> None:
        if request.seed is not None and not self.manners.seeded_requests:
            need = "must be left out: this service was not started with seeded requests"
            raise InputError(need, field="seed", value=request.seed)

    def _uniform(self, request: DecisionRequest, state: State) -> float:
        """The draw, in [0, 1): a function of (seed, customer, number of the decision) for a seeded request."""
        if request.seed is None:
            with self._luck:
                return float(self._rng.random())
        words = np.frombuffer(hashlib.sha256(request.customer_id.encode()).digest(), np.uint32)
        return float(np.random.default_rng([request.seed, state.decisions, *words.tolist()]).random())

    def _contact(self, treatment: str) -> Contact | None:
        if treatment == SILENCE:
            return None
        found = self.model.catalogue.treatments[self.model.catalogue.treatment_ids.index(treatment) - 1]
        return Contact(**{name: getattr(found, name) for name in Contact.model_fields})

    def _answer(self, request: DecisionRequest, decision: Decision, reasons: dict[str, list[str]]) -> DecisionResponse:
        more: dict[str, Any] = {}
        if request.explain:
            shares = zip(self.model.catalogue.treatment_ids, decision.probabilities.tolist(), strict=True)
            seen = zip(self.model.encoder.names, decision.observation.tolist(), strict=True)
            allowed = decision.mask.tolist()
            more["probabilities"] = {name: p for (name, p), ok in zip(shares, allowed, strict=True) if ok}
            more["observation"] = dict(seen)
        return DecisionResponse(
            decision_id=decision.decision_id,
            customer_id=decision.customer_id,
            at=decision.at,
            treatment=decision.treatment,
            contact=self._contact(decision.treatment),
            probability=decision.propensity,
            policy=self.model.policy.name,
            policy_digest=decision.policy_digest,
            rules_digest=decision.rules_digest,
            prices=decision.prices.named(self.model.catalogue),
            prices_clamped=clamped(
                self._asked(request).named(self.model.catalogue), decision.prices.named(self.model.catalogue)
            ),
            mask_reasons=reasons,
            assignment=decision.assignment,
            **more,
        )
