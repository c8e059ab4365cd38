"""What a way of sending does, and how it fails. Who sends (sending.py) knows no more of it."""

from collections.abc import Callable
from typing import Protocol

from billing_pipeline.core.errors import UserError
from billing_pipeline.notices.letters import Letter


class SenderUnavailable(UserError):  # noqa: N818 - reads as what happened
    """Nobody can be told anything this way just now; nothing was given away. The text holds no secret."""


class NotTaken(Exception):  # noqa: N818 - reads as what happened
    """The other side said no to this letter. `for_good`: it will say so again."""

    def __init__(self, reason: str, *, for_good: bool) -> None:
        super().__init__(reason)
        self.for_good = for_good


class NobodyThere(Exception):  # noqa: N818 - reads as what happened
    """The recipient wants to be told nothing any more; nothing was given away."""


class AnswerLost(Exception):  # noqa: N818 - reads as what happened
    """The other side may have the letter: it was handed over, and no answer came."""


class Sender(Protocol):
    """A way of sending letters."""

    def send(self, letter: Letter, edge: Callable[[], None]) -> None:
        """Hand the letter over; calls `edge` right before the first byte after which the other side may have it.

        Raises:
            SenderUnavailable: nothing can be sent.
            NotTaken: this letter is refused.
            NobodyThere: the recipient is gone.
            AnswerLost: nobody knows whether it was taken.
        """

    def close(self) -> None:
        """End what is open."""
