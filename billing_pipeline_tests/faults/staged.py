"""Stripe with something to happen beside one of its calls."""

from collections.abc import Callable
from typing import Any


class Staged:
    """A StripeApi with something to happen before or after one of its calls, the first time."""

    def __init__(
        self, api: Any, call: str, *, before: Callable[[], Any] | None = None, after: Callable[[], Any] | None = None
    ) -> None:
        self._api = api
        self._call = call
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        if name != self._call:
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            before, after, self._before, self._after = self._before, self._after, None, None
            if before:
                before()
            answer = found(*arguments, **options)
            if name.startswith("list"):
                answer = iter(list(answer))
            if after:
                after()
            return answer

        return call
