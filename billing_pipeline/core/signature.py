"""Who does something by hand, and why: what every change by a person leaves in the audit log."""

import re
from dataclasses import dataclass

from billing_pipeline.core.errors import UserError

LENGTH_MAX = 2000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # a line break may stand in a reason


@dataclass(frozen=True, slots=True)
class Signature:
    """Author and reason, without blanks around them.

    Raises:
        UserError: one of them is blank, too long, or holds a control character.
    """

    author: str
    reason: str

    def __post_init__(self) -> None:
        for name in ("author", "reason"):
            object.__setattr__(self, name, _required(name, getattr(self, name)))


def required_author(author: str) -> str:
    """Who does something that needs no reason, without blanks around the name.

    Raises:
        UserError: it is blank, too long, or holds a control character.
    """
    return _required("author", author)


def _required(name: str, value: str) -> str:
    text = value.strip()
    if not text or len(text) > LENGTH_MAX or _CONTROL.search(text):
        more = f" of at most {LENGTH_MAX:,} characters" if len(text) > LENGTH_MAX else ""
        shown = _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text[:80])
        raise UserError(f'{name} "{shown}": expected a text{more}, for the audit log')
    return text
