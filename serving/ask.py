"""`decide`: ask a running service, from the shell or a notebook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from envs.errors import InputError
from serving.schemas import DecisionResponse
from serving.settings import DecideConfig


class Decided(DecisionResponse):
    """An answer that prints well."""

    def __str__(self) -> str:
        what = self.contact
        rows = [
            ("customer", self.customer_id),
            ("treatment", self.treatment),
            ("contact", "none" if what is None else f"{what.product} by {what.channel}, {what.format}, {what.daypart}"),
            ("benefit", "none" if what is None else what.benefit),
            ("probability", f"{self.probability:.4f}"),
            ("prices", ", ".join(self._price(name, value) for name, value in self.prices.items())),
            ("policy", f"{self.policy} {self.policy_digest[:12]} ({self.assignment})"),
            ("decision", self.decision_id),
            ("at", self.at.isoformat()),
            ("forbidden", f"{len(self.mask_reasons)} treatments"),
            *((f"  {name}", ", ".join(rules)) for name, rules in self.mask_reasons.items()),
        ]
        if self.probabilities is not None:
            rows.append(("allowed", f"{len(self.probabilities)} treatments"))
            likely = sorted(self.probabilities.items(), key=lambda item: -item[1])
            rows += [(f"  {name}", f"{share:.4f}") for name, share in likely]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _price(self, name: str, value: float) -> str:
        asked = self.prices_clamped.get(name)
        return f"{name} {value:g}" + ("" if asked is None else f" (asked: {asked:g})")

    def __rich__(self) -> str:
        return str(self).replace("[", r"\[")


def decide(config: DecideConfig) -> Decided:
    """One decision of a running service. InputError if it cannot be reached or refuses the request."""
    body = {
        "customer_id": config.customer_id,
        "customer": _profile(config.customer),
        "trigger": config.trigger,
        "at": config.at,
        "prices": config.prices,
        "request_id": config.request_id,
        "explain": config.explain,
        "seed": config.seed,
    }
    try:  # the service is asked directly, whatever proxies the environment names
        answer = httpx.post(
            f"{config.url.rstrip('/')}/v1/decisions", json=body, timeout=config.timeout, trust_env=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        reason = str(fault) or type(fault).__name__
        raise InputError(f"must be a running service ({reason})", field="url", value=config.url) from None
    if answer.status_code != 200:
        raise InputError(_refusal(answer), file=config.url)
    return Decided.model_validate_json(answer.content)


def _profile(text: str | None) -> dict[str, Any] | None:
    """Profile columns from JSON, or from a file of it."""
    if text is None:
        return None
    source = text.strip()
    try:
        if not source.startswith("{"):
            source = Path(source).read_text(encoding="utf-8")
        profile = json.loads(source)
    except (OSError, ValueError) as fault:
        raise InputError(f"must be a JSON object or a file of one ({fault})", field="customer", value=text) from None
    if not isinstance(profile, dict):
        raise InputError("must be a JSON object", field="customer", value=text)
    return profile


def _refusal(answer: httpx.Response) -> str:
    """What the service says is wrong."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"must be a nextbest service (it said {answer.status_code} {answer.reason_phrase})"
