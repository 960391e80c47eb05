"""HTTP on one side, the engine on the other: four routes, and one place that turns faults into problems."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from agents.expiry import last_day
from envs.errors import InputError
from serving.engine import Engine
from serving.errors import Conflict, Unknown
from serving.schemas import DecisionRequest, DecisionResponse, EventsRequest, EventsResponse, Problem

TITLES = {404: "Unknown", 409: "Conflict", 422: "Bad input", 503: "The ledger cannot be written"}
PROBLEMS: dict[int | str, dict[str, Any]] = {code: {"model": Problem, "description": t} for code, t in TITLES.items()}


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(engine: Engine, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The application. Routes are plain functions: they wait for the disk, so each runs on a thread of the pool."""
    app = FastAPI(title="nextbest", summary="Which contact to make next, or to stay silent.")

    @app.post("/v1/decisions", responses=PROBLEMS)
    def decisions(request: DecisionRequest) -> DecisionResponse:
        """Decide what to do next for a customer; the decision is in the ledger before it is answered."""
        return engine.decide(request, clock())

    @app.post("/v1/events", responses=PROBLEMS)
    def events(request: EventsRequest) -> EventsResponse:
        """Take events, one or {"events": [...]}; they are in the ledger before they are acknowledged."""
        return engine.record(request, clock())

    @app.get("/health/live")
    def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @app.get("/health/ready", responses={503: PROBLEMS[503]})
    def ready() -> dict[str, Any]:
        """A decision can be taken: by which policy, under which rules, and the ledger can be locked."""
        with engine.ledger.turn():
            return {"status": "ready", **described(engine)}

    for fault in (InputError, RequestValidationError, SQLAlchemyError):
        app.add_exception_handler(fault, problem)
    return app


def described(engine: Engine) -> dict[str, Any]:
    """What decides here."""
    model = engine.model
    ends = last_day(model.manifest)
    return {
        "policy": model.policy.name,
        "policy_digest": model.policy.digest,
        "expires": None if ends is None else ends.isoformat(),
        "expired": ends is not None and utc_now().date() > ends,
        "kind": model.manifest.kind,
        "origin": model.origin,
        "fallback": model.fallback,
        "assignment": model.assignment,
        "catalogue_digest": model.catalogue.digest,
        "rules_digest": model.rule_book.digest,
        "ledger": str(engine.ledger.file),
    }


def problem(_: Request, fault: Exception) -> JSONResponse:
    """Any fault of the domain as a problem (RFC 9457)."""
    status = 422
    if isinstance(fault, SQLAlchemyError):
        status = 503
    elif isinstance(fault, Unknown | Conflict):
        status = 404 if isinstance(fault, Unknown) else 409
    detail = _said(fault) if isinstance(fault, RequestValidationError) else str(fault)
    content = Problem(title=TITLES[status], status=status, detail=detail if status != 503 else TITLES[503])
    return JSONResponse(content.model_dump(), status_code=status, media_type="application/problem+json")


def _said(fault: RequestValidationError) -> str:
    """The first thing that is wrong, as InputError says it."""
    first = fault.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    if first["type"] == "missing":
        return str(InputError("must be given", field=field))
    if first["type"] == "extra_forbidden":
        return str(InputError("is not a field", field=field))
    need = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return str(InputError(need if need.startswith("must") else f"must be: {need}", field=field, value=first["input"]))
