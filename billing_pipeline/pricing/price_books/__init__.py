"""Price books that the package ships, and the text of the one that holds when no other is named."""

from importlib.resources import files


def default_book_text() -> str:
    """The packaged Lyceum book, as YAML."""
    return files(__name__).joinpath("lyceum.yaml").read_text(encoding="utf-8")
