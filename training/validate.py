"""Validation: say what a file or directory is and that it is fine, or raise the one line that says what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from envs.config import load_config, read_config
from envs.errors import InputError
from training.configs import EvaluateConfig, TrainConfig, ValidateConfig


@dataclass(frozen=True)
class Valid:
    """What a path is, and its size in words."""

    path: Path
    kind: str
    summary: str

    def __str__(self) -> str:
        return f"{self.path} is a valid {self.kind}: {self.summary}"


def validate(config: ValidateConfig) -> Valid:
    """Recognise the path by its content and check it completely."""
    path = config.path
    if not path.exists():
        raise InputError("does not exist", file=path)
    marks, what = (_DIRECTORIES, path) if path.is_dir() else (_FILES, path)
    found = {child.name for child in path.iterdir()} if path.is_dir() else _fields(path)
    for kind, needs, check in marks:
        if needs <= found:
            return Valid(path, kind, check(what))
    choice = ", ".join(kind for kind, _, _ in marks)
    raise InputError(f"is not recognised, must be one of: {choice}", file=path)


def _fields(path: Path) -> set[str]:
    if path.suffix == ".json":
        return {"manifest.json"} if path.name == "manifest.json" else {"report.json"}
    return set(read_config(path)[0])


def _catalogue(path: Path) -> str:
    from envs.catalogue import load_catalogue

    catalogue = load_catalogue(path)
    return (
        f"{len(catalogue.treatments)} treatments and silence, {len(catalogue.products)} products, "
        f"{len(catalogue.channels)} channels, {len(catalogue.pools)} pools, digest {catalogue.digest[:12]}"
    )


def _schema(path: Path) -> str:
    from envs.schema import load_schema

    schema = load_schema(path)
    return f"{len(schema.columns)} customer columns, a {schema.task.kind} task, gamma {schema.task.gamma} a day"


def _rules(path: Path) -> str:
    """Rules name products, channels and columns: with catalogue and schema beside them these are checked too."""
    from envs.catalogue import load_catalogue
    from envs.rules import RuleBook, load_rules
    from envs.schema import load_schema

    rules = load_rules(path)
    beside = path.with_name("catalogue.yaml"), path.with_name("schema.yaml")
    together = all(file.is_file() for file in beside)
    if together:
        RuleBook(rules, load_catalogue(beside[0]), load_schema(beside[1]))
    levels = 0 if rules.levels is None else len(rules.levels.rules)
    size = f"{len(list(rules.named()))} rules by name, {levels} levels below"
    return f"{size}, checked against the catalogue and schema beside it" if together else size


def _mapping(path: Path) -> str:
    """A mapping names columns, treatments and events: with catalogue and schema beside it these are checked too."""
    from envs.catalogue import load_catalogue
    from envs.schema import load_schema
    from training.mapping import Mapping, check_mapping

    mapping = load_config(Mapping, path)
    beside = path.with_name("catalogue.yaml"), path.with_name("schema.yaml")
    together = all(file.is_file() for file in beside)
    if together:
        check_mapping(path, mapping, load_catalogue(beside[0]), load_schema(beside[1]))
    files = f"{mapping.customers.file}, {mapping.decisions.file}, {mapping.events.file}, times in {mapping.timezone}"
    return f"{files}, checked against the catalogue and schema beside it" if together else files


def _training(path: Path) -> str:
    config = load_config(TrainConfig, path)
    return f"{config.steps} steps in {config.world}, {config.envs} customers side by side"


def _evaluation(path: Path) -> str:
    config = load_config(EvaluateConfig, path)
    who = ", ".join([*map(str, config.policy), *config.compare]) or "the baselines"
    return f"{who} on the log {config.tables}, at least {config.settings.min_ess:g} effective customers for a claim"


def _gate(path: Path) -> str:
    from training.gate import read_gate

    gate = read_gate(path)
    return f"lower bound above {gate.min_lower_bound:g} against the {gate.reference}, {gate.min_ess:g} effective"


def _tables(path: Path) -> str:
    from envs.tables import read_tables

    tables = read_tables(path)
    size = f"{len(tables.customers)} customers, {len(tables.decisions)} decisions, {len(tables.events)} events"
    return size + _imported(path, tables.digest)


def _imported(path: Path, digest: str) -> str:
    """What the import put aside, where there was one; the tables must still be the ones that it wrote."""
    account = path / "import.json"
    if not account.is_file():
        return ""
    try:
        said = json.loads(account.read_text(encoding="utf-8"))
        written, aside = said["tables_digest"], sum(said["quarantined"].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError("must be the account that an import writes", file=account) from None
    if written != digest:
        need = "must be the digest of the tables beside it: they were changed since; import again"
        raise InputError(need, file=account, field="tables_digest", value=written)
    return f", as imported, {aside} rows quarantined"


def _world(path: Path) -> str:
    from agents.baselines import parameters
    from envs.frozen import NAME, check_frozen
    from envs.world import load_world

    world = load_world(path)
    size = f"{len(world.heads)} heads over {len(world.catalogue.treatment_ids)} treatments, digest {world.digest[:12]}"
    return f"{size}, {check_frozen(path, parameters())}" if (path / NAME).is_file() else size


def _artifact(path: Path) -> str:
    from agents.artifact import load_policy

    policy = load_policy(path)
    manifest = policy.manifest
    return f"{policy.name}, {len(manifest.treatments)} treatments, digest {manifest.policy_digest[:12]}"


def _report(path: Path) -> str:
    from training.evidence import read_report

    _, report = read_report(path)
    return f"{len(report.get('policies', []))} policies"


Check = tuple[str, set[str], Callable[[Path], str]]  # kind, what must be found, summary or InputError
_DIRECTORIES: tuple[Check, ...] = (
    ("policy artifact", {"manifest.json"}, _artifact),
    ("set of canonical tables", {"decisions.parquet"}, _tables),
    ("world", {"coefficients.yaml"}, _world),
    ("evaluation report", {"report.json"}, _report),
)
_FILES: tuple[Check, ...] = (
    ("policy artifact", {"manifest.json"}, lambda path: _artifact(path.parent)),
    ("evaluation report", {"report.json"}, _report),
    ("mapping", {"customers", "decisions", "events"}, _mapping),
    ("catalogue", {"treatments"}, _catalogue),
    ("schema", {"task"}, _schema),
    ("gate", {"min_lower_bound"}, _gate),
    ("training file", {"steps"}, _training),
    ("evaluation file", {"simulate_customers"}, _evaluation),
    ("rule book", {"caps"}, _rules),
    ("rule book", {"consent"}, _rules),
    ("rule book", {"extends"}, _rules),
)
