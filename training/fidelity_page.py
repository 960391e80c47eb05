"""The fidelity report's page: one HTML file that opens anywhere, verdict first."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from evaluation.digits import number
from evaluation.drawing import svg
from training.fidelity_checks import FOR_PRODUCT, MISSING, ON_CHANNEL, OVERALL
from training.fidelity_figures import FIGURES
from training.fidelity_verdict import ADEQUATE, NOT_ENOUGH, NOT_JUDGED

if TYPE_CHECKING:
    from jinja2 import Template

    from evaluation.intervals import Interval
    from training.fidelity_checks import Check
    from training.fidelity_judge import HeadFidelity
    from training.fidelity_posterior import Compared
    from training.fidelity_report import FidelityReport
    from training.fidelity_verdict import HeadVerdict


def page(report: FidelityReport) -> str:
    """The whole report as one self-contained HTML page."""
    replayed = report.replayed
    drawn = [kind for kind in FIGURES if _has(report, kind)]
    return _template().render(
        report=report,
        config=report.config,
        faulty=[v for v in report.verdicts if v.faults],
        sound=[v for v in report.verdicts if v.outcome in (ADEQUATE, NOT_JUDGED)],
        few=_few(report),
        adequate=ADEQUATE,
        heads=[_head(report, head) for head in sorted(report.heads, key=lambda head: not head.enough)],
        times=[_time(report, head) for head in report.heads if head.time is not None],
        whys=[head for head in report.heads if head.why is not None],
        failed=[(name, _check(check)) for name, check in report.checks if check.failed(report.certain)],
        spreads=[(head.name, _spreads(report, head)) for head in report.heads if head.checks],
        replayed=replayed,
        indicators=[_number(n, report.certain) for n in replayed.numbers if n.kind == "indicator"],
        off=[_number(n, report.certain) for n in _others(report)],
        compared=sum(n.judged for n in replayed.numbers),
        figures={kind: svg(FIGURES[kind](report), kind) for kind in drawn},
        thresholds=_thresholds(report),
    )


def _few(report: FidelityReport) -> list[tuple[HeadVerdict, str]]:
    """The heads that were not judged for want of events, each with what it has the fewest of."""
    heads, found = {head.name: head for head in report.heads}, []
    for verdict in report.verdicts:
        if verdict.outcome == NOT_ENOUGH:
            head = heads[verdict.head]
            few, what = min((head.events, "events"), (head.others, "rows without"))
            found.append((verdict, f"{few:,} {what}"))
    return found


def _others(report: FidelityReport) -> list[Compared]:
    """Faults of the replay besides its indicators."""
    return [n for n in report.replayed.numbers if n.kind != "indicator" and n.failed(report.certain)]


def _has(report: FidelityReport, kind: str) -> bool:
    numbers = report.replayed.numbers
    if kind == "indicators":
        return any(n.kind == "indicator" for n in numbers)
    if kind == "curves":
        return any(n.kind == "curve" and n.name != "contacted" for n in numbers)
    return bool(report.heads) if kind == "ratios" else any(head.enough for head in report.heads)


def _head(report: FidelityReport, head: HeadFidelity) -> dict[str, str]:
    outcome = next(v.outcome for v in report.verdicts if v.head == head.name)
    return {
        "name": head.name,
        "outcome": outcome,
        "events": f"{head.events:,}",
        "rows": f"{head.rows:,}",
        "score": head.score,
        "base": number(head.base),
        "head": number(head.head),
        "lightgbm": "–" if head.lightgbm is None else number(head.lightgbm),
        "ratio": "–" if head.ratio is None else f"{head.ratio.value:.3f}",
        "between": "" if head.ratio is None else _between(head.ratio),
        "level": f"{head.level.observed / head.level.expected:.2f}" if head.level.expected else "–",
    }


def _time(report: FidelityReport, head: HeadFidelity) -> dict[str, Any]:
    split = head.time
    assert split is not None  # chosen so
    level, effects = split.level, split.effects
    return {
        "name": head.name,
        "events": f"{split.events:,}",
        "before": [number(split.before[m]) for m in ("base rate", "head", "LightGBM")],
        "after": [number(split.after[m]) for m in ("base rate", "head", "LightGBM")],
        "ratio": f"{split.ratio.value:.3f}",
        "ratio_after": f"{split.ratio_after.value:.3f}",
        "level": f"{level.value:+.0%} ({level.lo:+.0%} to {level.hi:+.0%})",
        "drifts": level.failed(report.certain),
        "effects": f"{effects.value:.3f}",
        "effects_drift": effects.failed(report.certain),
    }


def _check(check: Check) -> dict[str, str]:
    return {
        "what": check.what,
        "fault": check.fault,
        "value": number(check.value, digits=3),
        "between": f"{number(check.lo, digits=3)} to {number(check.hi, digits=3)}",
        "z": f"{check.z:+.1f}",
    }


def _spreads(report: FidelityReport, head: HeadFidelity) -> list[dict[str, Any]]:
    """What LightGBM sees, and what customers differ by: overall, on a channel, for a product. A dash: not looked at."""
    wanted = (MISSING, OVERALL, ON_CHANNEL, FOR_PRODUCT)
    found = {check.what: check for check in head.checks}
    return [_spread(found.get(what), report.certain) for what in wanted]


def _spread(check: Check | None, certain: float) -> dict[str, Any]:
    if check is None:
        return {"value": "–", "between": "", "failed": False}
    between = f"{check.lo:.2f} to {check.hi:.2f}"
    return {"value": f"{check.value:.2f}", "between": between, "failed": check.failed(certain)}


def _number(n: Compared, certain: float) -> dict[str, Any]:
    return {
        "name": " ".join(part for part in (n.name, n.by, n.label) if part),
        "log": number(n.log),
        "mean": number(n.mean),
        "between": f"{number(n.lo)} to {number(n.hi)}" if n.lo == n.lo else "the world has no model of it",
        "p": f"{n.p:.2f}" if n.p == n.p else "–",
        "z": f"{n.z:+.1f}" if n.judged else "–",
        "failed": n.failed(certain),
    }


def _thresholds(report: FidelityReport) -> list[tuple[str, str, str]]:
    values = report.config.thresholds
    fields = type(values).model_fields
    return [(name, f"{getattr(values, name):g}", fields[name].description or "") for name in fields]


def _between(found: Interval) -> str:
    return f"{found.lo:.3f} to {found.hi:.3f}" if found.lo == found.lo else "no interval"


@cache
def _template() -> Template:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    places = ChoiceLoader([PackageLoader("training", "."), PackageLoader("evaluation", ".")])
    environment = Environment(
        loader=places, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("fidelity.html.j2")
