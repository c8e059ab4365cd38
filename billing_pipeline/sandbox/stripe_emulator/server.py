"""Serving the emulator on loopback: blocking for the command line, or in a thread for demo and tests."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn

from .app import create_app
from .config import EmulatorConfig

STARTED_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class RunningEmulator:
    """An emulator that answers. ``base_url`` has no slash at the end: ``http://127.0.0.1:43211``."""

    base_url: str
    port: int
    path: Path | None


class _Server(uvicorn.Server):
    """Announces when it serves; leaves the process's signal handlers alone when it runs in a thread."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def check_loopback(host: str) -> None:
    """ValueError for anything but a loopback address: the emulator lets any test key in."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"the Stripe emulator only listens on loopback addresses such as 127.0.0.1, not on {host!r}")


def _config(config: EmulatorConfig) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(config),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )


def serve(
    path: Path | None, host: str = "127.0.0.1", port: int = 12111, *, config: EmulatorConfig | None = None
) -> None:
    """Serve until Ctrl-C. ``path`` is the SQLite file (created if missing).

    Raises ValueError for a host that is not loopback and OSError if the port is taken.
    """
    check_loopback(host)
    with _bound(host, port) as listener, suppress(KeyboardInterrupt):
        _Server(_config(replace(config or EmulatorConfig(), path=path))).run(sockets=[listener])


@contextmanager
def running_emulator(
    path: Path | None = None,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    config: EmulatorConfig | None = None,
    **settings: Any,
) -> Iterator[RunningEmulator]:
    """An emulator in a background thread, up when the block begins and cleanly down when it ends.

    ``path`` None keeps everything in a temporary file. ``settings`` are fields of `EmulatorConfig`, for
    example ``rate_limit_per_s=0``. Raises ValueError for a host that is not loopback, OSError if the port is
    taken and RuntimeError if the server does not come up.
    """
    check_loopback(host)
    full = replace(config or EmulatorConfig(), path=path, **settings)
    with _bound(host, port) as listener:
        server = _Server(_config(full))
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="stripe-emulator", daemon=True
        )
        thread.start()
        try:
            if not server.ready.wait(STARTED_WITHIN_S):
                raise RuntimeError("the Stripe emulator did not start")
            bound_port = int(listener.getsockname()[1])
            yield RunningEmulator(f"http://{host}:{bound_port}", bound_port, path)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
        yield listener
