"""The boundaries of a process, which it counts as it crosses them, and at one of which it is killed."""

import http.client
import os
import signal
import smtplib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from billing_pipeline.notices import queue
from billing_pipeline.postgres.warehouse import Warehouse


class Crossings:
    """Counts; at the `occurrence`-th crossing of `doomed` the process is gone."""

    def __init__(self, doomed: str | None = None, occurrence: int = 1) -> None:
        self.doomed = doomed
        self.occurrence = occurrence
        self.counted: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        self.counted[name] += 1
        if name == self.doomed and self.counted[name] == self.occurrence:
            os.kill(os.getpid(), signal.SIGKILL)


class Watched(Warehouse):
    """Each transaction has three boundaries: before it, before its commit, after it."""

    crossings: Crossings
    doing = "other"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        doing, crossed = self.doing, self.crossings
        crossed(f"{doing}: before")
        with super().transaction() as connection:
            yield connection
            crossed(f"{doing}: not committed")
        crossed(f"{doing}: committed")


def watch(warehouse: Watched, crossed: Crossings) -> None:
    """From now on this process counts its crossings. It is a child that ends with them: nothing is put back."""
    object.__setattr__(warehouse, "crossings", crossed)
    for function in (queue.claim, queue.begin_handing_over, queue.sent, queue.not_taken, queue.postpone):
        setattr(queue, function.__name__, _named(warehouse, function))
    _watch_smtp(crossed)
    _watch_http(crossed)


def _named(warehouse: Watched, function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any, **options: Any) -> Any:
        object.__setattr__(warehouse, "doing", f"outbox, {function.__name__}")
        try:
            return function(*arguments, **options)
        finally:
            object.__setattr__(warehouse, "doing", "other")

    return called


def _watch_smtp(crossed: Crossings) -> None:
    smtp: Any = smtplib.SMTP
    connect, putcmd, send, getreply = smtp.connect, smtp.putcmd, smtp.send, smtp.getreply

    def connecting(self: Any, *arguments: Any, **options: Any) -> Any:
        self.step = "connect"
        crossed("smtp, connect: before")
        return connect(self, *arguments, **options)

    def saying(self: Any, command: str, args: str = "") -> None:
        self.step, self.is_command = command.upper(), True
        crossed(f"smtp, {self.step}: before")
        putcmd(self, command, args)
        self.is_command = False
        crossed(f"smtp, {self.step}: said")

    def sending(self: Any, content: bytes) -> None:
        if getattr(self, "is_command", False):
            send(self, content)
            return
        self.step = "content"
        half = len(content) // 2
        crossed("smtp, content: before")
        send(self, content[:half])
        crossed("smtp, content: half said")
        send(self, content[half:])
        crossed("smtp, content: said")

    def answered(self: Any) -> Any:
        answer = getreply(self)
        crossed(f"smtp, {self.step}: answered")
        return answer

    smtp.connect, smtp.putcmd, smtp.send, smtp.getreply = connecting, saying, sending, answered


def _watch_http(crossed: Crossings) -> None:
    for name in ("connect", "request", "getresponse"):
        setattr(http.client.HTTPConnection, name, _around(getattr(http.client.HTTPConnection, name), name, crossed))


def _around(function: Callable[..., Any], name: str, crossed: Crossings) -> Callable[..., Any]:
    def called(*arguments: Any, **options: Any) -> Any:
        crossed(f"webhook, {name}: before")
        found = function(*arguments, **options)
        crossed(f"webhook, {name}: done")
        return found

    return called
