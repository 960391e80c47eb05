"""`serve`: take the port, load the model, open the ledger, rehearse, answer until told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import uvicorn

from envs.errors import InputError
from serving.app import create_app, described
from serving.engine import Engine, Manners
from serving.known import known_tables, load_tables
from serving.ledger import Ledger
from serving.model import load_model
from serving.rehearsal import rehearse
from serving.settings import ServeConfig

BACKLOG = 2048  # connections that may wait; uvicorn's default
LINES: list[Any] = [structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()]
COMPILING = "compiling kernels (once per version and processor, about 10 s)"
GRACE = 10  # seconds that open requests get at the end; assumed


class Service(uvicorn.Server):
    """A server that says when it answers, and returns (rather than dies) on SIGTERM and SIGINT."""

    def __init__(self, config: uvicorn.Config, answering: Callable[[], None]) -> None:
        super().__init__(config)
        self._answering = answering

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._answering()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or Ctrl-C, from when the kernels are compiled on.

    InputError, before anything is written, if port, policy or ledger do not serve.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening(config.host, config.port))
        model = load_model(config)
        tables = None if config.tables is None else known_tables(config.tables, model.catalogue, model.encoder.digest)
        ledger = Ledger.open(config.ledger_file(), model.catalogue, model.schema)
        stack.callback(ledger.close)
        if tables is not None:
            load_tables(ledger, tables)
        manners = Manners(config.prices_outside, timedelta(days=config.ahead_days), config.seeded_requests)
        log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=LINES)
        engine = Engine(model, ledger, np.random.default_rng(config.seed), manners, log)
        url = _url(config.host, listener)
        said = described(engine)
        rehearse(model, lambda: log.info(COMPILING))

        def answering() -> None:
            log.info("serving", url=url, **said)
            if said["expired"]:
                log.warning("the policy is past its last day; train and promote another one", expires=said["expires"])
            print(url, flush=True)
            if config.ready_file is not None:
                _write_whole(config.ready_file, url)

        options = uvicorn.Config(
            create_app(engine), log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE
        )
        Service(options, answering).run(sockets=[listener])
        log.info("stopped", url=url)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; InputError if the port is in use or the address is not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(
            family, kind, protocol
        )  # named TCP, or asyncio leaves Nagle's delay on: 40 ms an answer
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as fault:
        field, value = ("host", host) if isinstance(fault, socket.gaierror) else ("port", port)
        raise InputError(f"must be free to listen on {host} ({fault.strerror})", field=field, value=value) from None
    listener.set_inheritable(True)
    return listener


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def _write_whole(file: Path, text: str) -> None:
    """Readers see the file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, file)
