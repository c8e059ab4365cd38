"""Files of words: `words/LANGUAGE.yaml` of the package, and the files of the same name in a company's own folder."""

from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale, UnknownLocaleError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.plain_yaml import YamlWrong, read_yaml

_OWN = Path(__file__).parent


class WordsWrong(UserError):  # noqa: N818 - reads as what happened
    """A file of words or a layout cannot be used; the text names it."""


def languages_of(folder: Path | None) -> tuple[str, ...]:
    """The languages that have words."""
    folders = [_OWN / "words", *([folder] if folder else [])]
    return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))


def read_words(folder: Path | None, language: str) -> dict[str, Any]:
    """The words of a language: a company's own in this folder before the package's, kind by kind.

    Raises:
        WordsWrong: a file of them is wrong.
    """
    shipped = _OWN / "words" / f"{language}.yaml"
    # a language of the company's own may leave out what English has
    words = _packaged(shipped if shipped.is_file() else _OWN / "words" / "en.yaml")
    own = folder / f"{language}.yaml" if folder else None
    if own is not None and own.is_file():
        words = _merged(words, _yaml(own))
    try:
        Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        raise WordsWrong(f"{language}.yaml: expected the name of a language, such as fr") from None
    return words


def _yaml(path: Path) -> dict[str, Any]:
    try:
        read = read_yaml(path.read_text(encoding="utf-8"), path.name)
    except YamlWrong as error:
        raise WordsWrong(str(error)) from None
    except (UnicodeDecodeError, OSError) as error:
        raise WordsWrong(f"{path.name}: {' '.join(str(error).split())}") from None
    if not isinstance(read, dict):
        raise WordsWrong(f"{path.name}: expected labels, reasons and kinds, as words/en.yaml has them")
    return read


@cache
def _packaged(path: Path) -> dict[str, Any]:
    """Read once: the package's files stay as they are while it runs."""
    return _yaml(path)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Mappings join; anything else is the upper one's."""
    joined = dict(below)
    for name, value in above.items():
        known = joined.get(name)
        joined[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return joined
