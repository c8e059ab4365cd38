"""What is wrong with a file, in the words its author reads.

Here: one problem, the list of them, and the refusal. Not here: what is a problem (imports/rules/fields.py and
the imports themselves).
"""

import bisect
import re
from dataclasses import dataclass, field

from billing_pipeline.core.errors import UserError

PROBLEMS_SHOWN = 20
VALUE_SHOWN_MAX = 80

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Problem:
    """One mistake. `line` is the physical line where the row starts (in Parquet the row, from 1); None: the file.

    `field` and `value` are None where the row or the file as a whole is meant.
    """

    file: str
    line: int | None
    field: str | None
    value: str | None
    expected: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = self.field or ""
        if self.value is not None:
            subject = f'{subject} "{shown(self.value)}"'.strip()
        return f"{place}: {subject}: expected {self.expected}" if subject else f"{place}: expected {self.expected}"


def shown(value: str) -> str:
    """A value as one printable line of limited length."""
    return printable(value if len(value) <= VALUE_SHOWN_MAX else f"{value[:VALUE_SHOWN_MAX]}…")


def printable(text: str) -> str:
    r"""Text as one line; control characters and bytes that are no UTF-8 become escapes such as `\xe9`."""
    text = _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)
    # a surrogate is either a byte that was not UTF-8, or half of a surrogate pair that JSON spelled
    raw = "".join(c if not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" else ascii(c)[1:-1] for c in text)
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class ImportRefused(UserError):  # noqa: N818 - the CLI and its users read it as a verdict
    """A file was refused and nothing of it loaded.

    Attributes:
        total: how many problems there are.
        problems: the first 20 of them by line.
    """

    def __init__(self, total: int, problems: list[Problem]) -> None:
        self.total = total
        self.problems = problems
        rest = [f"… and {total - len(problems):,} more"] if total > len(problems) else []
        super().__init__("\n".join([*map(str, problems), *rest]))


def refused(
    file: str, expected: str, *, line: int | None = None, field: str | None = None, value: str | None = None
) -> ImportRefused:
    """A refusal for one reason."""
    return ImportRefused(1, [Problem(file, line, field, value, expected)])


@dataclass
class ProblemList:
    """The problems of one file: all are counted, the first 20 (`kept_max`) kept, so a bad file of any length fits."""

    file: str
    kept_max: int = PROBLEMS_SHOWN
    total: int = 0
    first: list[Problem] = field(default_factory=list)

    def add(self, line: int, field_name: str | None, value: str | None, expected: str) -> None:
        """Count a problem of a row, and keep it if it is among the first."""
        self.total += 1
        if len(self.first) == self.kept_max and line >= (self.first[-1].line or 0):
            return
        bisect.insort(self.first, Problem(self.file, line, field_name, value, expected), key=lambda p: p.line or 0)
        del self.first[self.kept_max :]

    def count_more(self, count: int) -> None:
        """Count problems that are known to come after the first 20."""
        self.total += count

    def raise_if_any(self) -> None:
        """Refuse the file if there was a problem."""
        if self.total:
            raise ImportRefused(self.total, list(self.first))
