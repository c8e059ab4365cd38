"""Price books that the package ships, and the one that the first run loads when no other is named."""

from importlib.resources import files
from pathlib import Path


def default_book_path() -> Path:
    """The packaged Lyceum book's file."""
    return Path(str(files(__name__) / "lyceum.yaml"))


def default_book_text() -> str:
    """The packaged Lyceum book, as YAML."""
    return default_book_path().read_text(encoding="utf-8")
