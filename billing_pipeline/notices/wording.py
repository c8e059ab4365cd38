"""A notice in the customer's words: text and HTML from the same data.

Words are in `words/LANGUAGE.yaml`, the two layouts in `templates/`. A company's own folder may have any of these files;
its words come before the package's, kind by kind. Money and days are written by CLDR, as the language does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from mjml import mjml2html

from billing_pipeline.notices.letters import Notice, Words
from billing_pipeline.notices.rules.kinds import SHOWS_INVOICE
from billing_pipeline.notices.word_files import WordsWrong, languages_of, read_words
from billing_pipeline.notices.written_facts import line, rows_of, unbroken, written_facts

_NOTHING: Mapping[str, Any] = {"greeting": "", "rows": [], "pages": [], "action": "", "link": None, "footer": ""}
"""What a mail may have and need not."""


@dataclass(frozen=True)
class Wording:
    """Whose words, and what is the same in all of them.

    Args:
        folder: a company's own words and layouts; None: the package's.
        language: of customers who have none, or one without words.
        company: who writes.
        link: where a customer can pay; None: no link.
    """

    folder: Path | None
    language: str
    company: str
    link: str | None

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages that have words."""
        return languages_of(self.folder)

    def words(self, notice: Notice) -> Words:
        """The notice in the language of its customer.

        Raises:
            WordsWrong: the words or the layout cannot be used.
        """
        language = self._language_of(notice.language)
        spoken = self._spoken[language]
        try:
            return self._words(notice, language, spoken)
        except (TemplateError, KeyError, TypeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise WordsWrong(f"{language}.yaml, {notice.kind}: {reason}") from None

    def _words(self, notice: Notice, language: str, spoken: Mapping[str, Any]) -> Words:
        said = spoken["kinds"][notice.kind]
        values = written_facts(notice, language, spoken, self.company)

        def write(text: str) -> str:
            if text not in self._compiled:
                self._compiled[text] = self._plain.from_string(text)
            return self._compiled[text].render(values).strip()

        page = {
            "language": language,
            "direction": spoken["direction"],
            "company": values["company"],
            "subject": write(said["subject"]),
            "title": write(said["title"]),
            "greeting": write(spoken["greeting"]),
            "body": [written for text in said["body"] if (written := write(text))],
            "rows": [row for name in said["rows"] for row in rows_of(name, values, spoken["labels"])],
            "action": write(spoken["action"]),
            "link": (self.link or notice.page_url) if said.get("action") else None,
            "pages": self._pages(notice, spoken["labels"]),
            "footer": write(spoken["footer"]),
        }
        return Words(language, page["subject"], *self._laid_out(page))

    def titles(self, language: str) -> dict[str, str]:
        """What each kind of notice is called."""
        kinds: Mapping[str, Mapping[str, str]] = self._spoken[self._language_of(language)]["kinds"]
        return {kind: said["title"] for kind, said in kinds.items()}

    def sign_in(self, language: str | None, name: str, link: str, lasts: timedelta) -> Words:
        """A link that lets somebody in, once and for so long.

        Raises:
            WordsWrong: the words or the layout cannot be used.
        """
        written = self._language_of(language)
        spoken = self._spoken[written]
        said = spoken["sign_in"]
        minutes = int(lasts.total_seconds() // 60)
        values = {"company": line(self.company), "customer": {"name": line(name)}, "minutes": minutes}

        def write(text: str) -> str:
            return self._plain.from_string(text).render(values).strip()

        try:
            page = {
                "language": written,
                "direction": spoken["direction"],
                "company": values["company"],
                **{part: write(said[part]) for part in ("subject", "title", "action")},
                "greeting": write(spoken["greeting"]),
                "body": [write(text) for text in said["body"]],
                "link": link,
            }
            return Words(written, page["subject"], *self._laid_out(page))
        except (TemplateError, KeyError, TypeError, ValueError) as error:
            raise WordsWrong(f"{written}.yaml, sign_in: {error}") from None

    def _pages(self, notice: Notice, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        """What a mail links beside the action: a label and an address each, and none that is not there."""
        if notice.kind not in SHOWS_INVOICE:
            return []
        found = (("invoice_page", notice.page_url), ("invoice_pdf", notice.pdf_url))
        return [(labels[name], url) for name, url in found if url is not None]

    def framed(self, title: str, paragraphs: Sequence[str]) -> tuple[str, str]:
        """Text and HTML of what is written in English already, such as an alert."""
        written = [line(paragraph) for paragraph in paragraphs]
        page = {"language": "en", "direction": "ltr", "company": line(self.company), "subject": title, "title": title}
        return self._laid_out({**page, "body": written, "footer": "billing_pipeline"})

    def _laid_out(self, said: Mapping[str, Any]) -> tuple[str, str]:
        page = {**_NOTHING, **said}
        text = self._plain.get_template("layout.txt.j2").render(page).strip() + "\n"
        html = mjml2html(self._escaping.get_template("layout.mjml.j2").render(page), disable_comments=False, fonts={})
        return text, html

    def read(self) -> None:
        """Read the words of all languages now.

        Raises:
            WordsWrong: a file of them is wrong.
        """
        _ = self._spoken

    def _language_of(self, wanted: str | None) -> str:
        """The customer's language, the same without its region, the company's, English: the first that has words."""
        for tag in (wanted, self.language, "en"):
            for candidate in (tag.lower(), tag.split("-")[0].lower()) if tag else ():
                if candidate in self.languages:
                    return candidate
        return "en"

    @cached_property
    def _spoken(self) -> dict[str, dict[str, Any]]:
        return {language: read_words(self.folder, language) for language in self.languages}

    @cached_property
    def _compiled(self) -> dict[str, Template]:
        """Texts that were used: compiling one takes longer than filling it in."""
        return {}

    @cached_property
    def _plain(self) -> SandboxedEnvironment:
        return self._environment(escaping=False)

    @cached_property
    def _escaping(self) -> SandboxedEnvironment:
        return self._environment(escaping=True)

    def _environment(self, *, escaping: bool) -> SandboxedEnvironment:
        loaders = [PackageLoader("billing_pipeline.notices", "templates")]
        if self.folder is not None:
            loaders.insert(0, FileSystemLoader(self.folder))  # type: ignore[arg-type] # both are loaders
        environment = SandboxedEnvironment(
            loader=ChoiceLoader(loaders),
            autoescape=escaping,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["unbroken"] = unbroken
        return environment
