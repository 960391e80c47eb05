"""Fit one head: put rows aside, choose features or take them as given, estimate, measure on customers held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from envs.errors import InputError
from envs.response import Head, Term
from training.calibration_choice import Chooser, Model, Shape
from training.calibration_effects import FRAILTY, Effect, correlations, repeats, whole_customers
from training.calibration_estimates import Estimate, Estimator, Numbers
from training.calibration_fidelity import Fidelity, fidelity
from training.calibration_findings import Finding
from training.calibration_held import empty_class, separated
from training.calibration_rows import HeadRows, idle_options, thinned
from training.random_effects import marginal

NEVER, ALWAYS = -30.0, 30.0  # linear predictors under which nothing, or everything, happens


@dataclass(frozen=True)
class FittedHead:
    """A head with what is known about it."""

    name: str
    head: Head
    rows: int
    events: int
    shape: Shape | None  # None: the features were given
    fidelity: Fidelity
    inside: Head  # fitted without the customers held out
    replicates: tuple[Head, ...]  # with bootstrap coefficients
    estimates: tuple[Estimate, ...]
    effect: Effect | None  # of the customer, where the data ask for one
    modes: tuple[np.ndarray, np.ndarray] | None  # customers, and the likeliest values of their effects
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class HeadFitter:
    """Everything that fitting heads shares."""

    chooser: Chooser
    estimator: Estimator
    form: Mapping[str, Head]  # heads whose features are given
    random_effects: bool
    most: int  # rows kept per head; events first, each kept row weighted by how many it stands for
    source: str  # written beside every coefficient

    def __call__(self, rows: HeadRows, heldout: np.ndarray) -> FittedHead:
        """heldout: (customers,) bool, customers kept for measuring; the final coefficients use all."""
        idle = idle_options(rows, self.chooser.words.encoder.catalogue)
        whole = rows.take(np.flatnonzero(~np.isin(rows.option, idle)))
        head = thinned(whole, self.most, self.chooser.rng)
        inside, outside = _parted(head, heldout)
        shape, before, model = self._models(head, inside)
        x = self._matrix(model.names, head)
        numbers = self.estimator.plain(model, x, head)
        mixed = self._mixed(whole, model, numbers) if self.random_effects and repeats(whole) else None
        if mixed is None:
            point = self.estimator.point(before, self._matrix(before.names, inside), inside)
            eta = self._matrix(before.names, outside) @ point
        else:
            point = self._mixed_inside(_parted(whole, heldout)[0], inside, before, float(mixed.debiased[-1]))
            eta = self._matrix(before.names, outside) @ point[:-1]
            eta = marginal(head.link, eta, abs(point[-1]), outside.rows.days)
            numbers = mixed
        value, se = self.estimator.used(numbers)
        spread, fixed = before.solution.sigma, self._fixed(rows, idle)
        effect = numbers.names[len(model.names) :]
        return FittedHead(
            name=head.name,
            head=self._head(head, numbers.names, value, se, numbers.sigma, fixed),
            rows=len(head.look),
            events=int(head.events),
            shape=shape,
            fidelity=fidelity(head.link, eta, spread, inside.rows, outside.rows),
            inside=self._head(head, (*before.names, *effect), point, None, spread, fixed),
            replicates=tuple(
                self._head(head, numbers.names, drawn, se, numbers.sigma, fixed) for drawn in numbers.replicates
            ),
            estimates=numbers.estimates,
            effect=numbers.effect,
            modes=numbers.modes,
            findings=(*rows.findings, *empty_class(head), *separated(head, model.names, x)),
        )

    def _models(self, head: HeadRows, inside: HeadRows) -> tuple[Shape | None, Model, Model]:
        """How the head looks, without the customers held out and with them."""
        if head.name not in self.form:
            shape = self.chooser.shape(inside)
            return shape, self.chooser.model(inside, shape), self.chooser.model(head, shape)
        given = self.form[head.name]
        if (given.link, given.given, given.per) != (head.link, head.given, head.per):
            need = f"must be the form in which the log shows it: {head.link}, given {head.given}, per {head.per}"
            value = f"{given.link}, given {given.given}, per {given.per}"
            raise InputError(need, field=f"form.heads.{head.name}", value=value)
        names = tuple(term.feature for term in given.terms if "latent." not in term.feature)
        return None, self.chooser.given(inside, names), self.chooser.given(head, names)

    def _mixed(self, whole: HeadRows, model: Model, plain: Numbers, sigma: float | None = None) -> Numbers | None:
        """The head with an effect of the customer; without `sigma`, if the data ask for it."""
        some = whole_customers(whole, len(model.names), self.chooser.rng)
        return self.estimator.mixed(model, plain, self._matrix(model.names, some.head), some, sigma)

    def _mixed_inside(self, whole: HeadRows, head: HeadRows, before: Model, sigma: float) -> np.ndarray:
        """The estimate that is used, without the customers held out. -> (features + 1,)."""
        plain = replace(self.estimator, luck=self.estimator.luck[:0]).plain(
            before, self._matrix(before.names, head), head
        )
        found = self._mixed(whole, before, plain, sigma)
        return self.estimator.used(found)[0] if found is not None else np.append(self.estimator.used(plain)[0], 0.0)

    def _fixed(self, head: HeadRows, idle: np.ndarray) -> tuple[Term, ...]:
        """What keeps idle options from ever selling, and makes a step certain where the log does not record it."""
        if head.link == "lognormal":
            return ()
        words = self.chooser.words
        catalogue, attributes = words.encoder.catalogue, words.options(head).attributes.names
        products = sorted(set(idle if head.per == "product" else catalogue.product_of[idle]))
        names = {f"product={catalogue.product_ids[p]}": (NEVER, "sells nothing") for p in products}
        names |= {f"channel={catalogue.channel_ids[c]}": (ALWAYS, "not recorded there") for c in head.certain}
        known = ((name, *names[name]) for name in names if name in attributes)
        return tuple(Term(feature=name, value=value, source=source) for name, value, source in known)

    def _matrix(self, names: tuple[str, ...], head: HeadRows) -> np.ndarray:
        return self.chooser.words.matrix(names, head, self.chooser.observation)

    def _head(
        self,
        head: HeadRows,
        names: tuple[str, ...],
        value: np.ndarray,
        se: np.ndarray | None,
        sigma: float | None,
        fixed: tuple[Term, ...],
    ) -> Head:
        errors = [None] * len(names) if se is None else se.tolist()
        terms = tuple(
            Term(feature=name, value=float(v), se=error, source=self.source)
            for name, v, error in zip(names, value, errors, strict=True)
        )
        return Head(link=head.link, given=head.given, per=head.per, sigma=sigma, terms=terms + fixed)


def _parted(head: HeadRows, heldout: np.ndarray) -> tuple[HeadRows, HeadRows]:
    """Without the customers held out, and these; a head too rare to be measured goes into the fit as a whole."""
    out = heldout[head.rows.customer]
    inside, outside = head.take(np.flatnonzero(~out)), head.take(np.flatnonzero(out))
    return (inside, outside) if inside.events else (head, head.take(np.zeros(0, np.int64)))


def one_sign(heads: Sequence[FittedHead]) -> tuple[FittedHead, ...]:
    """The heads, effects turned so that customers' likeliest values agree with those of the strongest effect."""
    known = [(h, h.effect, h.modes) for h in heads if h.effect is not None and h.modes is not None]
    known.sort(key=lambda one: -one[1].ratio)
    agree = dict(zip((h.name for h, _, _ in known), correlations(modes for _, _, modes in known), strict=True))
    return tuple(_agreeing(h, agree[h.name]) if h.name in agree else h for h in heads)


def _agreeing(head: FittedHead, correlation: float) -> FittedHead:
    sign = -1.0 if correlation < 0 else 1.0
    inside, *replicates = (_turned(h, sign) for h in (head.inside, *head.replicates))
    effect = None if head.effect is None else replace(head.effect, correlation=correlation)
    return replace(head, head=_turned(head.head, sign), inside=inside, replicates=tuple(replicates), effect=effect)


def _turned(head: Head, sign: float) -> Head:
    terms = [t.model_copy(update={"value": sign * t.value}) if t.feature == FRAILTY else t for t in head.terms]
    return head.model_copy(update={"terms": tuple(terms)})
