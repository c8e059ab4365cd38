"""The portal's sentences in the languages that we have: a file a language, with CLDR's plural forms."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from babel import Locale

LANGUAGES = ("en", "de", "ar")


class Words:
    """The sentences of one language: `words("open_invoices", count=3)`."""

    def __init__(self, language: str, sentences: dict[str, Any]) -> None:
        self._plural = Locale.parse(language).plural_form
        self._sentences = sentences

    def __call__(self, key: str, **values: object) -> str:
        """The sentence, filled in; `count` chooses its plural form."""
        sentence = self._sentences[key]
        if isinstance(sentence, dict):
            sentence = sentence.get(self._plural(int(str(values["count"]))), sentence["other"])
        return str(sentence).format(**values)

    @property
    def keys(self) -> frozenset[str]:
        """What it has sentences for."""
        return frozenset(self._sentences)


@cache
def words_of(language: str) -> Words:
    """The sentences of the language."""
    text = files("billing_pipeline.web.pages").joinpath("languages", f"{language}.yaml").read_text(encoding="utf-8")
    return Words(language, yaml.safe_load(text))


def language_for(asked: str | None, accepted: str) -> str:
    """The first that we have: what was asked for, then the browser's languages in its order, then English."""
    names = [asked or "", *(part.split(";")[0] for part in accepted.split(","))]
    for name in names:
        short = name.strip().lower().split("-")[0]
        if short in LANGUAGES:
            return short
    return "en"
