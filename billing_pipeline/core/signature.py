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
            text = getattr(self, name).strip()
            if not text or "\0" in text:
                raise UserError(f'{name} "{text}": expected a text, for the audit log')
            object.__setattr__(self, name, text)
