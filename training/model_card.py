"""The model card: what a policy is for, what it cannot do, until when it may be used, what it is worth, who made it.

Fields and words follow Mitchell et al., Model Cards for Model Reporting (FAT* 2019): use, limits, data, figures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from envs.config import Config, build_config
from envs.errors import InputError
from training.runs import atomic_write

if TYPE_CHECKING:
    from jinja2 import Environment

STEM = "model_card"  # of its three files
SUFFIXES = (".html", ".md", ".json")
USE = (
    "Choosing the next contact with a customer, or silence: one treatment of its own catalogue, allowed by its own "
    "rules, at prices inside its range."
)
NOT_FOR = (
    "Decisions on credit, eligibility or terms: it chooses contacts, and what a customer may be offered is the rules'.",
    "Another catalogue, observation or rule book: an artifact that does not fit is refused when it is loaded.",
    "Prices outside the range below: serving refuses or clamps them, as it is told.",
)
NO_RESULTS = "No figures: it has not been evaluated."


class Result(Config):
    """A figure with its interval."""

    name: str
    """What was measured."""
    value: float | None
    """The estimate; null where there is none."""
    low: float | None
    """Lower end of the interval; null where there is none."""
    high: float | None
    """Upper end of the interval; null where there is none."""
    unit: str
    """In which unit."""
    source: str
    """How it was measured, and on whom."""


class ModelCard(Config):
    """Everything that a card says."""

    format: Literal["nextbest-model-card/1"] = "nextbest-model-card/1"
    """The format of the JSON file."""
    policy: str
    """Name of the policy."""
    policy_digest: str
    """Digest of the policy."""
    created: str
    """When it was made, ISO 8601, UTC."""
    trained_by: str
    """Who trained it."""
    expires: str | None
    """The last day on which it may be used; null: no term is set."""
    expires_because: str
    """Why then."""
    intended_use: str = USE
    """What it is for."""
    not_for: tuple[str, ...] = NOT_FOR
    """What it is not for."""
    limits: tuple[str, ...] = ()
    """What a user has to know before trusting it."""
    data: str
    """What it was trained on."""
    data_digest: str | None
    """Digest of the training tables; null: none were named."""
    world: str
    """The simulated world that it learned in."""
    world_digest: str
    """Digest of the world."""
    fidelity: str | None
    """What the fidelity report says of the world; null: none is known."""
    world_adequate: bool | None = None
    """Whether that report finds the world adequate; null: it cannot tell, or there is none."""
    price_range: dict[str, tuple[float, float]]
    """Price -> lowest and highest value on which it was trained."""
    treatments: int = Field(ge=1)
    """Treatments it chooses from, silence among them."""
    catalogue_digest: str
    """Digest of the catalogue."""
    observation_digest: str
    """Digest of the observation."""
    rules_digest: str
    """Digest of the rules."""
    results: tuple[Result, ...] = ()
    """What it is worth."""
    seed: int
    """Seed of the training."""
    code: str
    """Commit of the code that trained it."""
    packages: dict[str, str] = {}
    """Package -> version."""
    approved_by: str | None = None
    """Who approved it; null: nobody yet."""
    approval_reason: str | None = None
    """Why."""

    def html(self) -> str:
        """One self-contained page."""
        return _templates().get_template("model_card.html.j2").render(card=self, why=sentences())

    def markdown(self) -> str:
        """The same for a registry, a merge request, a mail."""
        return _templates().get_template("model_card.md.j2").render(card=self)

    def write(self, directory: Path) -> tuple[Path, ...]:
        """Write model_card.html, .md and .json; each is whole or not there."""
        texts = (self.html(), self.markdown(), self.model_dump_json(indent=2) + "\n")
        return tuple(atomic_write(directory / f"{STEM}{end}", text) for end, text in zip(SUFFIXES, texts, strict=True))

    def evaluated(self, results: Iterable[Result], approved_by: str | None, reason: str | None) -> ModelCard:
        """The card with further figures, and with who approved."""
        found = (*self.results, *results)
        limits = tuple(text for text in self.limits if text != NO_RESULTS or not found)
        said = {"results": found, "limits": limits, "approved_by": approved_by, "approval_reason": reason}
        return self.model_copy(update=said)

    def _repr_html_(self) -> str:
        return self.html()


def read_card(file: Path) -> ModelCard:
    """The card of a JSON file; InputError for what is wrong."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise InputError(f"must be a model card in JSON ({' '.join(str(fault).split())})", file=file) from None
    if not isinstance(content, dict):
        raise InputError("must be a model card: a JSON object", file=file)
    return build_config(ModelCard, content, file=file)


def card_beside(artifact: Path, policy_digest: str) -> ModelCard | None:
    """The model card that stands beside an artifact; None where there is none, InputError for another policy's."""
    file = artifact.parent / f"{STEM}.json"
    if not file.is_file():
        return None
    card = read_card(file)
    if card.policy_digest != policy_digest:
        need = f"must be the policy's, {policy_digest}"
        raise InputError(need, file=file, field="policy_digest", value=card.policy_digest)
    return card


def sentences() -> dict[str, str]:
    """Field -> what it is, in one sentence."""
    return {name: " ".join((info.description or "").split()) for name, info in ModelCard.model_fields.items()}


def shown(value: float | None) -> str:
    """A figure with four significant digits; a dash where there is none."""
    return "–" if value is None else f"{value:.4g}"


def cell(text: object) -> str:
    """Text that cannot break out of a Markdown table or become markup."""
    plain = " ".join(str(text).split())
    return "".join(f"\\{c}" if c in "\\|*_`[]<>#" else c for c in plain)


@cache
def _templates() -> Environment:
    from jinja2 import ChoiceLoader, PackageLoader, StrictUndefined
    from jinja2 import Environment as Templates

    places = ChoiceLoader([PackageLoader("training", "."), PackageLoader("evaluation", ".")])
    templates = Templates(
        loader=places, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=lambda name: bool(name) and str(name).endswith(".html.j2"),
    )  # fmt: skip
    templates.filters |= {"shown": shown, "cell": cell}
    return templates
