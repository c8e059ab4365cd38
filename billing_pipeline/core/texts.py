"""What no text of a person or program may hold, through whichever door it comes."""

import re
import unicodedata

from billing_pipeline.core.errors import UserError

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of a surrogate pair: JSON can write them, and nothing can store them."""
CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""The same in a text of several lines, which may have tabs and line breaks."""
LINE_LENGTH_MAX = 500
"""Characters of a line that customers read on an invoice (Stripe's limit on a line's description)."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, also in full width; an apostrophe too, so that taking one off is never wrong."""

_UNSEEN = frozenset(("Zs", "Zl", "Zp", "Cc", "Cf", "Cs"))
_MARKS = frozenset(("Mn", "Mc", "Me"))
# letters and a symbol to Unicode, and nothing to the eye: fillers of Hangul, a cell of braille without dots
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def counted(count: int, one: str, many: str) -> str:
    """`1 draft`, `2,000 drafts`: the count, and the words that go with it."""
    return f"{count:,} {one if count == 1 else many}"


def is_blank(text: str) -> bool:
    """Whether nothing of it can be seen: white space, format characters, and marks without a letter."""
    return all(_is_unseen(char) or unicodedata.category(char) in _MARKS for char in text)


def has_unseen_ends(text: str) -> bool:
    """Whether its first or last character cannot be seen, so that two ids would look the same."""
    return bool(text) and (_is_unseen(text[0]) or _is_unseen(text[-1]))


def _is_unseen(char: str) -> bool:
    return char in _FILLERS or unicodedata.category(char) in _UNSEEN


def one_line(name: str, text: str, length_max: int = LINE_LENGTH_MAX) -> str:
    """A line to read, without blanks around it.

    Raises:
        UserError: nothing of it can be seen, it is too long, or it holds a control character.
    """
    text = text.strip()
    if is_blank(text) or len(text) > length_max or CONTROL.search(text):
        raise UserError(f'{name} "{shown(text)}": expected 1 to {length_max} characters that can be seen, on one line')
    return text


def spreadsheet_text(text: str) -> str:
    """For a CSV file: an apostrophe before what a spreadsheet would take for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(FORMULA) else text


def shown(text: str, length_max: int = 80) -> str:
    """The beginning of a text that was refused, fit for a terminal and a log."""
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], text[:length_max])
