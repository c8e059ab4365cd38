"""Processes that run beside each other until they are told to end, each the leader of a process group of its own.

They are ended by those groups, never by name, with whatever they started.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import click

from billing_pipeline.settings import ROOT, Settings
from billing_pipeline.settings.environment import private_folder

POLL_S = 0.5
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 15.0
LOG_LINES_SHOWN = 15
RESTARTS_MAX = 5
RESTARTS_WITHIN_S = 600.0
"""More ends of children than RESTARTS_MAX within this time end everything: it would not get better."""


@dataclass(frozen=True)
class Child:
    """A process of ours, the leader of a process group of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def start(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], settings: Settings, *, again: bool = False
) -> Child:
    """Run Python with these arguments; what it prints goes to a log of its name, after what is there if `again`."""
    log = settings.state_dir / "up" / f"{name}.log"
    private_folder(log.parent)
    with log.open("ab" if again else "wb") as output:
        # a session of its own: Ctrl-C in the terminal reaches us alone, and what the child starts can be ended with it
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Child(name, process, log, arguments, environment)


@contextmanager
def running() -> Iterator[list[Child]]:
    """Collects children and ends them all, the last first."""
    children: list[Child] = []
    try:
        yield children
    finally:
        for child in reversed(children):
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        for child in reversed(children):
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            # the whole process group: it holds Dagster's code servers, which the child leaves behind
            _signal_group(child, signal.SIGKILL)
            child.process.wait()


def _signal_group(child: Child, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def wait_until_ready(children: Sequence[Child], url: str, stop: threading.Event) -> Child | None:
    """Return None when `url` answers, or the child that ended before it did."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        ended = _ended(children)
        if ended is not None or _answers(url) or stop.wait(POLL_S):
            return ended
    return None


def keep_running(children: list[Child], stop: threading.Event, settings: Settings) -> Child | None:
    """Start children that end again, until `stop`; return one that ends too often."""
    restarts: list[float] = []
    while not stop.wait(POLL_S):
        ended = _ended(children)
        if ended is None:
            continue
        now = time.monotonic()
        restarts = [at for at in restarts if now - at < RESTARTS_WITHIN_S]
        if len(restarts) >= RESTARTS_MAX:
            return ended
        restarts.append(now)
        # its code servers would go on without it
        _signal_group(ended, signal.SIGKILL)
        click.echo(f"The {ended.name} ended with status {ended.process.returncode}; it is started again.", err=True)
        started = start(ended.name, ended.arguments, ended.environment, settings, again=True)
        children[children.index(ended)] = started
    return None


def _ended(children: Sequence[Child]) -> Child | None:
    return next((child for child in children if child.process.poll() is not None), None)


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=POLL_S)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def explain(ended: Child) -> None:
    """Say on stderr which child ended, and the last lines of its log."""
    click.echo(
        f"Error: the {ended.name} ended with status {ended.process.returncode}; {ended.log} ends with:", err=True
    )
    lines = ended.log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines[-LOG_LINES_SHOWN:]:
        click.echo(f"  {line}", err=True)
