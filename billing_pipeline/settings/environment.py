"""One cast path from the environment to plain values; a mistake names the variable and what was expected."""

import os
import re
from datetime import date
from itertools import pairwise
from pathlib import Path

from billing_pipeline.core.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
_IN_WHEEL = _PACKAGE / "project_files"
"""Where the wheel has what a checkout has beside the package (pyproject.toml, force-include)."""
IS_INSTALLED = _IN_WHEEL.is_dir()
"""Whether this is an installed wheel and no checkout."""
PROJECT_FILES = _IN_WHEEL if IS_INSTALLED else _PACKAGE.parent
"""The folder with sql/, dagster.yaml and workspace.yaml."""
ROOT = Path.cwd() if IS_INSTALLED else _PACKAGE.parent
"""The checkout; of an installed wheel the current folder. The state folder is in it."""
PORT_MAX = 65_535
HOURS_MAX = 8_760


class SettingsError(UserError):
    """A setting that cannot work; the text names the variable and what was expected."""


def private_folder(folder: Path) -> Path:
    """The folder; what is missing of its path is made for its owner alone, what is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def text_or_none(name: str) -> str | None:
    """The variable's text; blank counts as unset."""
    return os.environ.get(name) or None


def positive(name: str, default: int) -> int:
    """A whole number above 0.

    Raises:
        SettingsError: it is something else.
    """
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{name}={text!r}: expected a whole number above 0")
    return int(text)


def percent(name: str, default: int) -> int:
    """A whole number from 0 to 100.

    Raises:
        SettingsError: it is something else.
    """
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) > 100:
        raise SettingsError(f"{name}={text!r}: expected a whole number from 0 to 100")
    return int(text)


def hours_or_none(name: str) -> int | None:
    """Whole hours, 0 to a year's; None: unset.

    Raises:
        SettingsError: it is something else.
    """
    text = text_or_none(name)
    if text is not None and not (text.isdecimal() and int(text) <= HOURS_MAX):
        raise SettingsError(f"{name}={text!r}: expected whole hours from 0 to {HOURS_MAX}")
    return int(text) if text is not None else None


def port(name: str, default: int) -> int:
    """A TCP port.

    Raises:
        SettingsError: it is something else.
    """
    number = positive(name, default)
    if number > PORT_MAX:
        raise SettingsError(f"{name}={number}: expected at most {PORT_MAX}")
    return number


def month_or_none(name: str) -> date | None:
    """A month as its first day; None: unset.

    Raises:
        SettingsError: it is something else.
    """
    text = text_or_none(name)
    if text is None:
        return None
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text)
    if match is None or match[1] == "0000":
        raise SettingsError(f"{name}={text!r}: expected a month such as 2026-10")
    return date(int(match[1]), int(match[2]), 1)


def yes_or_no(name: str) -> bool | None:
    """Yes or no; None: unset.

    Raises:
        SettingsError: it is something else.
    """
    text = (os.environ.get(name) or "").lower()
    if text not in ("", "yes", "no", "true", "false", "1", "0"):
        raise SettingsError(f"{name}={text!r}: expected yes or no")
    return text in ("yes", "true", "1") if text else None


def rising_days_or_none(name: str) -> tuple[int, ...] | None:
    """Rising whole days, comma-separated; `none` is no day; None: unset.

    Raises:
        SettingsError: it is something else.
    """
    text = text_or_none(name)
    if text is None:
        return None
    if text == "none":
        return ()
    parts = [part.strip() for part in text.split(",")]
    days = tuple(int(part) for part in parts if part.isdecimal())
    if len(days) != len(parts) or any(later <= before for before, later in pairwise((0, *days))):
        raise SettingsError(f"{name}={text!r}: expected rising whole days such as 1,3,7,14, or none")
    return days
