"""The command line: each verb builds its frozen configuration, makes one call and prints the result.

    nextbest VERB --help

Nothing heavy is imported before a verb runs: help needs the configuration models only.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

from envs.errors import InputError
from envs.flags import config_from_flags, flag_signature, with_signature

BAD_INPUT, INTERRUPTED = 2, 130  # exit codes; 130 = 128 + SIGINT, the shell's convention


@dataclass(frozen=True)
class Verb:
    """A verb of the command line: the model it is configured by, the call it makes, the words of its page."""

    name: str
    config: str  # "module:Model"
    call: str  # "package:function"
    page: str  # one sentence, a paragraph, what it reads and writes, an example
    positional: tuple[str, ...] = ()
    fixed: dict[str, str] = field(default_factory=dict)  # fields that the verb itself sets
    hidden: tuple[str, ...] = ()  # fields that mean nothing to this verb
    file: str = ""  # name of the output when it is one file, not a directory


def page(line: str, teach: str, reads: str, writes: str, example: str) -> str:
    """The words of a verb's help, in the same order for every verb."""
    return f"{line}\n\n{teach}\n\nReads: {reads}\n\nWrites: {writes}\n\nExample: {example}"


VERBS = (
    Verb("demo", "training.configs:DemoConfig", "training:demo", page(
        "Run the whole loop on the built-in bank; needs no data.",
        "Simulates a bank's contact log, calibrates a world on it, trains a policy, evaluates it on "
        "customers it never saw, asks the gate, serves ten decisions, prints each estimate beside the truth.",
        "nothing",
        "tables, world, policy, report.html and the decision ledger; the rules decide if the gate refuses",
        "nextbest demo --quick",
    )),
    Verb("init", "training.configs:InitConfig", "training:init", page(
        "Write commented starter files: catalogue, schema, rules, mapping, training.",
        "Start here with your own bank: edit the files, then check each with `nextbest validate`.",
        "nothing",
        "catalogue.yaml, schema.yaml, rules.yaml, mapping.yaml, training.yaml and evaluation.yaml in DIRECTORY",
        "nextbest init my-bank",
    ), positional=("directory",)),
    Verb("validate", "training.configs:ValidateConfig", "training:validate", page(
        "Check a file or directory; say what it is and that it is fine, or the one thing that is not.",
        "Knows catalogues, schemas, rules, mappings, training files, gates, tables, worlds and artifacts.",
        "PATH",
        "nothing",
        "nextbest validate my-bank/catalogue.yaml",
    ), positional=("path",)),
    Verb("spaces", "training.configs:SpacesConfig", "training:spaces", page(
        "Show what a world lets a policy see and do: every observed field, every treatment.",
        "A field has an index, a name, a meaning, a unit and a range; a treatment has the index by which it is chosen.",
        "a world: `bank` or a directory",
        "nothing, or the section between two comments of the file that --into names",
        "nextbest spaces --world bank",
    )),
    Verb("simulate", "training.configs:SimulateConfig", "training:simulate", page(
        "Simulate a contact log with a known truth.",
        "Most customers are contacted by siloed campaigns, a stated share by a stochastic coordinated policy "
        "whose propensities are logged, as in a bank that has agreed to learn.",
        "a world: `bank` or a calibrated directory",
        "canonical tables: catalogue, schema, customers, decisions, events",
        "nextbest simulate --world bank --customers 5000 --days 180 --out runs/bank",
    )),
    Verb("population", "training.configs:PopulationConfig", "training:population", page(
        "Simulate a population whose customers share pools, and say what the pools lacked.",
        "Customers are decided one after another in a random order until a day's pools are exhausted; each region has "
        "pools of its own. Says how full each pool was, what was refused, and what one more unit was worth.",
        "a world: `bank` or a calibrated directory; an artifact, if one decides",
        "population.html (one self-contained page), population.json (every number); with --log also tables/",
        "nextbest population --world bank --customers 5000 --days 14 --by region --out runs/population",
    )),
    Verb("capacity", "training.capacity_configs:CapacityConfig", "training:capacity", page(
        "Clear the pools by prices, and say what more of them would be worth, with an interval.",
        "Every morning finds the prices at which a policy's customers ask for no more than there is. With --more it "
        "runs the same customers with the same luck once more: the difference is what the pool's growth brings.",
        "a world: `bank` or a calibrated directory; a policy that reads prices",
        "capacity.json (differences and prices), population.html and population.json",
        "nextbest capacity --world runs/world --policy runs/train/policy --more agents=60",
    )),
    Verb("worth", "training.capacity_configs:WorthConfig", "training:worth", page(
        "Say what each channel is worth: the gain that is lost when it is taken away.",
        "One run with every channel and one without each, on the same customers with the same luck; pools are cleared "
        "by prices in all of them. The policy is not retrained unless --retrained names another one.",
        "a world: `bank` or a calibrated directory; a policy that reads prices",
        "worth.json",
        "nextbest worth --world runs/world --policy runs/train/policy --customers 5000",
    )),
    Verb("limit", "training.capacity_configs:LimitConfig", "training:limit", page(
        "Find the lowest price at which a policy keeps to a limit, and check it on other customers.",
        "Limits are set on complaints, opt-outs, annoyance, cost or contacts. The price of annoyance is searched by "
        "bisection on one population; another one says whether the limit holds there and what gain it costs.",
        "a world: `bank` or a calibrated directory; a policy that reads prices",
        "limit.json",
        "nextbest limit --world runs/world --policy runs/train/policy --limit complaints=2/10k",
    )),
    Verb("frontier", "training.capacity_configs:FrontierConfig", "training:frontier", page(
        "Draw what a policy earns, spends and annoys as its price of annoyance is dialled.",
        "One policy, one price after the other, the same simulated customers with the same luck: margin, cost and "
        "annoyance beyond silence, with intervals.",
        "a world: `bank` or a calibrated directory; a policy that reads prices",
        "frontier.json, frontier.png",
        "nextbest frontier --world runs/world --policy runs/train/policy",
    )),
    Verb("import starbucks", "training.configs:ImportConfig", "training:import_log", page(
        "Import the Starbucks capstone data: six waves of offers per customer.",
        "The reward of a wave is what the customer spends until the next wave, less the rewards paid out. "
        "Rows that cannot be read are quarantined with a reason, none is lost.",
        "SOURCE, a directory with portfolio.json, profile.json and transcript.json",
        "canonical tables, quarantine.parquet and import.json with the counts",
        "nextbest import starbucks data/starbucks --out runs/starbucks",
    ), positional=("source",), fixed={"kind": "starbucks"}, hidden=("outcome", "policy", "mapping")),
    Verb("import hillstrom", "training.configs:ImportConfig", "training:import_log", page(
        "Import the Hillstrom e-mail test: one randomised step with three arms.",
        "The outcome to optimise is an option: a visit, a conversion or the amount spent within two weeks.",
        "SOURCE, the CSV file or the directory it stands in",
        "canonical tables, quarantine.parquet and import.json with the counts",
        "nextbest import hillstrom data/hillstrom --outcome visit --out runs/hillstrom",
    ), positional=("source",), fixed={"kind": "hillstrom"}, hidden=("policy", "mapping")),
    Verb("import open_bandit", "training.configs:ImportConfig", "training:import_log", page(
        "Import the Open Bandit Dataset, campaign men: which of 34 items to show, propensities logged.",
        "Each row is one decision about one of three positions of a page; a click is the outcome. The rows of "
        "the random policy are marked randomised, those of Thompson sampling (bts) champion.",
        "SOURCE, a directory with random/men and bts/men, each with men.csv and item_context.csv",
        "canonical tables, quarantine.parquet and import.json with the counts",
        "nextbest import open_bandit data/open_bandit --policy both --out runs/open_bandit",
    ), positional=("source",), fixed={"kind": "open_bandit"}, hidden=("outcome", "mapping")),
    Verb("import bank_calls", "training.configs:ImportConfig", "training:import_log", page(
        "Import the UCI bank marketing calls: a term deposit offered by phone, May 2008 to November 2010.",
        "A row is the last call to a client in a campaign; only what was known before it is observed. Observational: "
        "everybody was called, propensities are missing, and the import lists what therefore cannot be identified.",
        "SOURCE, bank-full.csv or the directory it stands in",
        "canonical tables, quarantine.parquet and import.json with the counts",
        "nextbest import bank_calls data/bank_marketing --out runs/bank_calls",
    ), positional=("source",), fixed={"kind": "bank_calls"}, hidden=("outcome", "policy", "mapping")),
    Verb("import mapped", "training.configs:ImportConfig", "training:import_log", page(
        "Import a bank's own CSV files by a mapping of their columns.",
        "Start from `nextbest init`: it writes mapping.yaml with catalogue.yaml and schema.yaml beside it. "
        "Rows that do not fit are quarantined with a reason, none is lost.",
        "SOURCE, the directory of the CSV files that the mapping names",
        "canonical tables, quarantine.parquet and import.json with the counts",
        "nextbest import mapped exports --mapping my-bank/mapping.yaml --out runs/my-bank",
    ), positional=("source",), fixed={"kind": "mapped"}, hidden=("outcome", "policy", "salt", "test_share")),
    Verb("indicators", "evaluation.configs:WatchConfig", "evaluation:watch", page(
        "Measure what a bank watches on a contact log, with intervals.",
        "Conversion, margin, retention, complaints per 10,000 contacts and more, each by one formula "
        "(docs/indicators.md); per channel and hand-over: delivery, engagement, leads, time to follow-up.",
        "TABLES",
        "indicators.html, indicators.json, indicators.csv, process.csv",
        "nextbest indicators runs/bank --out runs/indicators",
    ), positional=("tables",)),
    Verb("calibrate", "training.configs:CalibrateConfig", "training:calibrate", page(
        "Fit a world to a contact log: how customers respond, with standard errors.",
        "Reads the training customers only, compares the fitted world with one that knows only the base rates, on "
        "customers held out from the fit, and lists what the log cannot tell.",
        "TABLES",
        "a world: catalogue, rules, coefficients with their standard errors, calibration.json, figures; with "
        "--half-lives estimate also tables/, the log encoded with the half-lives that were chosen",
        "nextbest calibrate runs/starbucks --out runs/world",
    ), positional=("tables",)),
    Verb("fidelity", "training.configs:FidelityConfig", "training:fidelity", page(
        "Judge a calibrated world on customers it never saw: its heads, and its replay of the log.",
        "Each head stands beside base rates and LightGBM on the same information; calibration, groups, time and "
        "differences between customers are checked, and each verdict says in plain words what is wrong.",
        "TABLES and the world calibrated on them",
        "fidelity.html (one self-contained page), fidelity.json (the same numbers)",
        "nextbest fidelity runs/starbucks --world runs/world --out runs/fidelity",
    ), positional=("tables",)),
    Verb("train", "training.configs:TrainConfig", "training:train", page(
        "Train a contact policy that sees its prices.",
        "Imitates a softened one-step rule, then learns by MaskablePPO in the simulated world; the best state that "
        "validation customers saw leaves as ONNX with a JSON manifest and is registered as the challenger. A training "
        "that was stopped goes on from its checkpoint with --resume, bit for bit.",
        "a world, and the TABLES it was calibrated on (optional); with --resume a stopped training",
        "an artifact in policy/ (policy.onnx, manifest.json), curves, checkpoint, card; a run and version in MLflow",
        "nextbest train runs/starbucks --world runs/world --steps 300000 --out runs/train",
    ), positional=("tables",)),
    Verb("adapt", "training.configs:AdaptConfig", "training:adapt", page(
        "Adapt a trained policy to a world with other products, channels or treatments, without training.",
        "The network's weights belong to no product: a new one is scored by its own fields and features. Nothing is "
        "learned about it, so evaluate the new artifact before it decides.",
        "TRAINING, the directory of a finished training, and a world",
        "an artifact in policy/ that decides over the new catalogue",
        "nextbest adapt runs/train --world runs/world-with-pension --out runs/adapted",
    ), positional=("training",)),
    Verb("tune", "training.tune_configs:TuneConfig", "training:tune", page(
        "Search for training settings that earn more, by Optuna.",
        "Each trial trains a policy and is judged beside silence on simulated customers of its own, at several prices; "
        "trials behind the others end early. The same command goes on where it was left, killed or not.",
        "a world, the TABLES it was calibrated on (optional)",
        "study.db, trials.csv, best.yaml for `nextbest train --config`, importance.png, history.png; runs in MLflow",
        "nextbest tune --train.world runs/world --trials 30 --out runs/tune",
    )),
    Verb("evaluate", "training.configs:EvaluateConfig", "training:evaluate", page(
        "Say what a policy is worth on customers that nothing has learned from, with intervals.",
        "The lead estimate is one that the log supports; model-based figures are marked as such. "
        "Differences are paired, and effective sample sizes stand beside every estimate.",
        "TABLES, artifacts, and a world for the simulation",
        "report.html (one self-contained page), report.json (the same numbers)",
        "nextbest evaluate runs/starbucks --policy runs/train/policy --world runs/world --out runs/report",
    ), positional=("tables",)),
    Verb("apply", "evaluation.configs:ApplyConfig", "evaluation:apply_policy", page(
        "Write a policy's probabilities for every logged decision, for your own check.",
        "One row per logged decision point: ids, the logged treatment, the policy's probabilities, the mask "
        "and the prices.",
        "TABLES and one artifact; the customers may be new to the policy",
        "one Parquet file",
        "nextbest apply runs/starbucks --policy runs/train/policy --out runs/decisions.parquet",
    ), positional=("tables",), file="decisions.parquet"),
    Verb("promote", "training.configs:PromoteConfig", "training:promote", page(
        "Ask the gate whether the challenger becomes champion.",
        "The gate is mlflow/promotion.yaml. It reads the evaluation's report and the registered artifact, "
        "and either moves the alias or says which line failed (exit code 1). Who approves did not train it.",
        "report.json, the registry, the gate file",
        "promotion.json, the model card; the alias and tags in the registry",
        "nextbest promote --report runs/report --approved-by NAME --reason TEXT",
    )),
    Verb("tracking-server", "training.tracking_configs:TrackingServerConfig", "training:tracking_server", page(
        "Run an MLflow server: runs and registered policies in SQLite or PostgreSQL, files in a folder.",
        "Listens on this machine alone unless told otherwise. Name it in MLFLOW_TRACKING_URI, and every verb uses it.",
        "the database of --store or $MLFLOW_BACKEND_STORE_URI; by default the SQLite file under runs/",
        "the database, the folder of --artifacts",
        "nextbest tracking-server --port 5000",
    )),
    Verb("serve", "serving.settings:ServeConfig", "serving:serve", page(
        "Answer decisions over HTTP, each durable in the ledger before it is answered.",
        "The champion is resolved once at start and its digest verified; without one, the rules decide.",
        "the registry or an artifact, catalogue and rules",
        "the ledger (SQLite)",
        "nextbest serve --port 8080",
    )),
    Verb("decide", "serving.settings:DecideConfig", "serving:decide", page(
        "Ask a running service what to do next for one customer.",
        "Prints the treatment, its probability, the policy's digest and why others were not allowed.",
        "a running service",
        "nothing here; the service keeps the decision",
        "nextbest decide --customer-id C17",
    )),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `nextbest` command."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code is 0, 1 (the verb says no), 2 (bad input) or 130 (interrupted)."""
    try:
        code = build(arguments)(list(arguments), print_error=False, exit_on_error=False)
        return code if isinstance(code, int) else 0
    except (InputError, CycloptsError) as fault:
        print("nextbest:", " ".join(str(fault).split()), file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as told:
        print("nextbest:", str(told) or "interrupted", file=sys.stderr)
        return INTERRUPTED


def build(arguments: Sequence[str] = ()) -> App:
    """The command line; flags are read from the model of the verb that `arguments` name, and of no other."""
    app = App(
        "nextbest",
        help="nextbest decides which contact a bank makes next with each customer, or to stay silent.",
        help_epilogue="Start with: nextbest demo. Your own data: nextbest init, then import or validate.",
        version=lambda: version("nextbest"),
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    groups: dict[str, App] = {}
    for verb in VERBS:
        *group, name = verb.name.split()
        parent = app
        if group:
            if group[0] not in groups:
                groups[group[0]] = App(group[0], help="Turn a foreign contact log into the canonical tables.")
                app.command(groups[group[0]])
            parent = groups[group[0]]
        asked = list(arguments[: len(group) + 1]) == verb.name.split()
        parent.command(command(verb) if asked else listed(verb), name=name, help=verb.page)
    return app


def listed(verb: Verb) -> Callable[..., Any]:
    """A verb that is only named in a list: no flags, no model loaded."""
    return lambda: run([*verb.name.split(), "--help"])


def command(verb: Verb) -> Callable[..., Any]:
    """A verb with its flags: configuration, one call, the result, and where the outputs are."""
    model = resolve(verb.config)

    def act(*bare: str, **flags: Any) -> int:
        said = dict(zip(verb.positional, bare, strict=False)) | flags
        config, where = with_output(verb, config_from_flags(model, said, verb.fixed))
        result = resolve(verb.call)(config)
        show(result, where)
        return int(getattr(result, "exit_code", 0))

    signature = flag_signature(model, verb.positional, (*verb.fixed, *verb.hidden))
    return with_signature(act, signature, verb.name.split()[-1], verb.page)  # type: ignore[no-any-return]


def with_output(verb: Verb, config: Any) -> tuple[Any, Path | None]:
    """Name the output under runs/ when the user did not, and nothing goes on; None for verbs that write nowhere."""
    if "out" not in type(config).model_fields:
        return config, None
    if getattr(config, "resume", None) is not None:
        return config, config.resume
    if config.out is not None:
        return config, config.out
    from training.runs import unused_directory

    out = unused_directory(verb.name.split()[0]) / verb.file
    return config.model_copy(update={"out": out}), out


def show(result: object, where: Path | None) -> None:
    """Print a result as the terminal shows it best, then where the outputs are."""
    from rich.console import Console

    console = Console()
    if hasattr(result, "__rich__") or hasattr(result, "__rich_console__"):
        console.print(result)
    elif result is not None:
        console.print(str(result), soft_wrap=True, highlight=False, markup=False)
    if where is not None:
        console.print(f"Written to {where}", soft_wrap=True, highlight=False)


def resolve(path: str) -> Any:
    """The object behind "module:name"."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    main()
