"""Fidelity: heads beside LightGBM on the public logs; what the report finds, and imagines, where the truth is known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import polars as pl

from agents.baselines import Random
from benchmarks.fidelity_logs import WITHIN, Line, known_logs, lines_of
from benchmarks.fidelity_truths import CHANGES, OWN, truth, world_of
from benchmarks.kit import Options, Result, main, show
from envs.tables import write_tables
from envs.world import World, load_world, save_world
from training.calibrate import calibrate
from training.configs import CalibrateConfig, FidelityConfig, SimulateConfig
from training.fidelity import fidelity
from training.fidelity_report import FidelityReport
from training.simulate import simulate

CUSTOMERS, BANK = 3000, 6000  # of a log whose truth is known; of the built-in bank
REPLAYED = 1500  # customers
OWN_SEEDS, SEEDS = 10, 5  # logs of the form itself, of each other process
QUICK = ("hillstrom", "bank_calls")  # Starbucks takes two minutes
QUICK_WAYS = ((OWN, "given"), ("a product of three", "given"))


def run(options: Options, result: Result) -> None:
    """Heads beside LightGBM on the public logs; false alarms and misfits found on logs whose truth is known."""
    _public(options, result)
    _known(options, result)
    if not options.quick:
        _bank(options, result)


def _public(options: Options, result: Result) -> None:
    rows = 4000 if options.quick else 40_000
    names = [name for name in known_logs() if name in QUICK or not options.quick]
    lines = [line for name in names for line in lines_of(name, options.work, options.seed, rows)]
    frame = pl.DataFrame([{**asdict(line), "within 3 %": line.within} for line in lines], infer_schema_length=None)
    columns = ["log", "split", "head", "events", "base", "own", "lightgbm", "ratio", "lo", "hi", "within 3 %"]
    show("Log-loss on held-out customers, nats per row", frame.select(columns), digits=4)
    for line in lines:
        if line.why:
            print(f"  {line.log}, {line.split}, {line.head}: {line.why}")
    result.figures["public"] = frame.to_dicts()
    for line in (line for line in lines if line.ratio is not None):
        result.target(f"{line.log} {line.split} {line.head}", *_aim(line))


def _aim(line: Line) -> tuple[str, bool]:
    """The aim in words with its figure, and whether it is met: close enough, or it is said why not."""
    held = "within" if line.within else "not within"
    said = "" if line.within else ("; the report says why" if line.why else "; the report does not say why")
    between = f"{line.ratio:.4f} [{line.lo:.4f}, {line.hi:.4f}], {line.events:,} events"
    return f"{held} {WITHIN - 1:.0%} of LightGBM's log-loss ({between}){said}", bool(line.within or line.why)


def _known(options: Options, result: Result) -> None:
    """Logs from the form itself, and from others; the form is given, or its features are left to calibration."""
    every = ((OWN, "chosen"), *((process, "given") for process in CHANGES))
    rows = []
    for process, way in QUICK_WAYS if options.quick else every:
        logs = 1 if options.quick else OWN_SEEDS if process == OWN else SEEDS
        for seed in range(options.seed, options.seed + logs):
            rows.append(_judged(options, process, way, seed))
            print("  " + ", ".join(f"{name}: {value}" for name, value in rows[-1].items()), flush=True)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    summed = frame.group_by("process", "features", maintain_order=True).agg(
        logs=pl.len(),
        not_adequate=(pl.col("adequate") == False).sum(),  # noqa: E712  a column of bools
        found=pl.col("found").cast(pl.Int64).sum(),
        false_heads=pl.col("false_heads").sum(),
        lacking=pl.col("lacking").sum(),
        heads=pl.col("heads").sum(),
        replay_faults=pl.col("replay_faults").cast(pl.Int64).sum(),
        named=pl.col("named").first(),
    )
    show("Logs whose truth is known: heads called faulty", summed)
    result.figures["known"] = frame.to_dicts()
    for row in summed.iter_rows(named=True):
        key = f"{row['process']}, features {row['features']}"
        if row["process"] == OWN:
            words = "says no of {not_adequate} of {logs} logs, at most 1 is meant: {false_heads} of {heads} heads, "
            words += "{lacking} of which lack a field of the truth"
            result.target(key, words.format(**row), row["not_adequate"] <= 1)
        else:
            words = "finds the head in {found} of {logs} logs ({false_heads} other heads called faulty)"
            result.target(key, words.format(**row), row["found"] == row["logs"])


def _judged(options: Options, process: str, way: str, seed: int) -> dict[str, object]:
    """One log: generated, calibrated, judged."""
    place = options.work / "known" / f"{process}-{way}-{seed}".replace(" ", "-")
    made = truth(process, 800 if options.quick else CUSTOMERS, seed)
    write_tables(made.tables, place / "tables")
    form: str | None = None
    if way == "given":
        save_world(world_of(OWN), place / "form")
        form = str(place / "form")
    replicates = 2 if options.quick else 5
    calibrate(
        CalibrateConfig(tables=place / "tables", out=place / "world", replicates=replicates, seed=seed, form=form)
    )
    report = fidelity(_config(place, seed, 200 if options.quick else REPLAYED), policy=Random())
    faulty = [v.head for v in report.verdicts if v.faults]
    named = [v.outcome for v in report.verdicts if v.head == made.wrong]
    return {
        "process": process,
        "features": way,
        "seed": seed,
        "adequate": report.verdict.adequate,
        "found": made.wrong in faulty,
        "named": named[0] if named else "",
        "false_heads": len([head for head in faulty if head != made.wrong]),
        "lacking": len(_lacking(load_world(place / "world"), faulty)) if process == OWN else 0,
        "heads": len(report.heads),
        "replay_faults": _replay_faults(report) > 0,
    }


def _lacking(world: World, heads: list[str]) -> list[str]:
    """The heads from which calibration left out a field that their truth has: it is right to call them faulty."""
    true = world_of(OWN)
    return [head for head in heads if _fields(true, head) - _fields(world, head)]


def _fields(world: World, head: str) -> set[str]:
    """The fields of a head's terms, alone or in products; which option it is, is said in other words, too."""
    parts = {p.strip() for term in world.coefficients.heads[head].terms for p in term.feature.split("*")}
    return {part for part in parts if part != "1" and "=" not in part}


def _config(place: Path, seed: int, replayed: int = REPLAYED) -> FidelityConfig:
    where = {"tables": place / "tables", "world": str(place / "world"), "out": place / "fidelity"}
    return FidelityConfig.model_validate({**where, "replay_customers": replayed, "seed": seed})


def _replay_faults(report: FidelityReport) -> int:
    return sum(number.failed(report.certain) for number in report.replayed.numbers)


def _bank(options: Options, result: Result) -> None:
    """The built-in bank: tastes, frailty and irritation are hidden, the calibrated world has none of them."""
    place = options.work / "bank"
    simulate(SimulateConfig(customers=BANK, seed=options.seed, out=place / "tables"))
    calibrate(CalibrateConfig(tables=place / "tables", out=place / "world", seed=options.seed))
    report = fidelity(_config(place, options.seed))
    print(report)
    result.figures["bank"] = {v.head: v.outcome for v in report.verdicts}
    result.figures["bank_replay_faults"] = _replay_faults(report)
    words = f"the world calibrated on the built-in bank is not found adequate ({report.verdict.text})"
    result.target("bank", words, report.verdict.adequate is False)


if __name__ == "__main__":
    main("fidelity", run)
