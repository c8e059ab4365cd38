"""Who does something by hand, and why: what every change by a person leaves in the audit log."""

from dataclasses import dataclass

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.texts import CONTROL_IN_LINES, is_blank, shown

LENGTH_MAX = 2000


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
    text = value.strip().replace("\r\n", "\n")  # as a browser sends the lines of a form
    if is_blank(text) or len(text) > LENGTH_MAX or CONTROL_IN_LINES.search(text):
        more = f" of at most {LENGTH_MAX:,} characters" if len(text) > LENGTH_MAX else ""
        raise UserError(f'{name} "{shown(text)}": expected a text{more}, for the audit log')
    return text
