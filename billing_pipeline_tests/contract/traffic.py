"""Requests and answers of emulators in this process, as they were on the wire."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from billing_pipeline.sandbox.stripe_emulator.calls import Answer, Call
from billing_pipeline.sandbox.stripe_emulator.dispatch import Dispatcher


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer; `status` None: the connection was cut. `encoded` is the form, or the query."""

    method: str
    path: str
    encoded: str
    headers: Mapping[str, str]
    status: int | None
    answer: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"


@contextmanager
def recorded() -> Iterator[list[Exchange]]:
    """All that is said to emulators of this process meanwhile."""
    said: list[Exchange] = []
    handle = Dispatcher.handle

    async def remember(dispatcher: Dispatcher, call: Call) -> tuple[Answer, dict[str, str]]:
        answer, headers = await handle(dispatcher, call)
        kept: dict[str, Any] = {"status": answer.status, "answer": answer.body}
        said.append(Exchange(call.method, call.path, call.encoded, dict(call.headers), **kept))
        return answer, headers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "handle", remember)
        yield said
