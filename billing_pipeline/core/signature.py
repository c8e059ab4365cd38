"""Who does something by hand, and why: what every change by a person leaves in the audit log."""

from dataclasses import dataclass

from billing_pipeline.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Signature:
    """Author and reason, without blanks around them.

    Raises:
        UserError: one of them is blank, or holds a NUL.
    """

    author: str
    reason: str

    def __post_init__(self) -> None:
        for name in ("author", "reason"):
            object.__setattr__(self, name, _required(name, getattr(self, name)))


def required_author(author: str) -> str:
    """Who does something that needs no reason, without blanks around the name.

    Raises:
        UserError: it is blank, or holds a NUL.
    """
    return _required("author", author)


def _required(name: str, value: str) -> str:
    text = value.strip()
    if not text or "\0" in text:
        raise UserError(f'{name} "{text}": expected a text, for the audit log')
    return text
