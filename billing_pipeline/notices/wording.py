"""A notice in the customer's words: text and HTML from the same data.

Words are in `words/LANGUAGE.yaml`, the two layouts in `templates/`. A company's own folder may have any of these files;
its words come before the package's, kind by kind. Money and days are written by CLDR, as the language does.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_interval
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup, escape
from mjml import mjml2html

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import WHOLE_UNITS_AS_CENTS, exponent
from billing_pipeline.core.plain_yaml import YamlWrong, read_yaml
from billing_pipeline.notices.letters import Notice, Words
from billing_pipeline.notices.rules.kinds import SHOWS_INVOICE

_OWN = Path(__file__).parent
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")
"""What must not stand in a line: control characters, and those that turn the direction of the text around them."""
_DOCUMENT = re.compile(r"[A-Z]{2,}-\d+")
"""A number such as INV-00000042, which a line must not break in the middle."""
_LETTERS_AND_SIGN = re.compile(r"([A-Z]\$)")
_NAMES = ("number", "replaces", "credit_note", "plan", "plan_before", "meter", "unit")
"""Facts that are names of things, in whatever script."""
_MAY_LACK = ("due_on", "suspends_on", "replaces", "plan", "plan_before", "meter", "unit")
"""Facts that a notice of the same kind may have or not; what is not there is none."""
_ROWS = {
    "number": ("number", None),
    "replaces": ("replaces", None),
    "amount": ("amount_minor", "money"),
    "credits": ("credits_minor", "money"),
    "due": ("due_minor", "money"),
    "due_on": ("due_on", "day"),
    "credit_note": ("credit_note", None),
    "credited": ("credited_minor", "money"),
    "refunded": ("refunded_minor", "money"),
    "effective_on": ("effective_on", "day"),
    "plan": ("plan", None),
    "balance": ("balance_minor", "money"),
    "granted": ("granted_minor", "money"),
    "expires_on": ("expires_on", "day"),
    "meter": ("meter", None),
    "unit": ("unit", None),
    "so_far": ("so_far_minor", "money"),
    "so_far_quantity": ("so_far_quantity", "count"),
    "limit": ("limit_minor", "money"),
    "limit_quantity": ("limit_quantity", "count"),
    "included_quantity": ("included_quantity", "count"),
    "used_quantity": ("used_quantity", "count"),
    "usual_quantity": ("usual_quantity", "count"),
    "quantity": ("quantity", "count"),
    "used_on": ("used_on", "day"),
    "trial_until": ("trial_until", "day"),
}


_NOTHING: Mapping[str, Any] = {"greeting": "", "rows": [], "pages": [], "action": "", "link": None, "footer": ""}
"""What a mail may have and need not."""


class WordsWrong(UserError):  # noqa: N818 - reads as what happened
    """A file of words or a layout cannot be used; the text names it."""


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
        folders = [_OWN / "words", *([self.folder] if self.folder else [])]
        return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))

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
        values = self._values(notice, language, spoken)

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
            "rows": [row for name in said["rows"] for row in _rows(name, values, spoken["labels"])],
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
        values = {"company": _line(self.company), "customer": {"name": _line(name)}, "minutes": minutes}

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
        except (TemplateError, KeyError, TypeError) as error:
            raise WordsWrong(f"{written}.yaml, sign_in: {error}") from None
        return Words(written, page["subject"], *self._laid_out(page))

    def _pages(self, notice: Notice, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        """What a mail links beside the action: a label and an address each, and none that is not there."""
        if notice.kind not in SHOWS_INVOICE:
            return []
        found = (("invoice_page", notice.page_url), ("invoice_pdf", notice.pdf_url))
        return [(labels[name], url) for name, url in found if url is not None]

    def framed(self, title: str, paragraphs: Sequence[str]) -> tuple[str, str]:
        """Text and HTML of what is written in English already, such as an alert."""
        written = [_line(paragraph) for paragraph in paragraphs]
        page = {"language": "en", "direction": "ltr", "company": _line(self.company), "subject": title, "title": title}
        return self._laid_out({**page, "body": written, "footer": "billing_pipeline"})

    def _laid_out(self, said: Mapping[str, Any]) -> tuple[str, str]:
        page = {**_NOTHING, **said}
        text = self._plain.get_template("layout.txt.j2").render(page).strip() + "\n"
        html = mjml2html(self._escaping.get_template("layout.mjml.j2").render(page), disable_comments=False, fonts={})
        return text, html

    def _values(self, notice: Notice, language: str, spoken: Mapping[str, Any]) -> dict[str, Any]:
        """What a text may use: the facts, the customer, and functions that write amounts and days."""
        locale = Locale.parse(language.replace("-", "_"))
        facts = {name: _line(value) if isinstance(value, str) else value for name, value in notice.facts.items()}

        def apart(text: str) -> str:
            """A number or a name within Arabic keeps its own direction, and the text around it too."""
            return f"\u2068{text}\u2069" if spoken["direction"] == "rtl" else text

        facts |= {name: apart(str(facts[name])) for name in _NAMES if facts.get(name) is not None}
        facts = dict.fromkeys(_MAY_LACK) | facts
        listed = {name: value for name, value in notice.facts.items() if isinstance(value, list)}
        currency = str(facts.get("currency"))
        reasons = spoken["reasons"]
        return {
            **facts,
            "customer": {"name": apart(_line(notice.customer_name)), "id": apart(_line(notice.customer_id))},
            "company": apart(_line(self.company)),
            "reason": reasons.get(facts.get("reason_code"), reasons["other"]),
            "state_text": spoken["states"].get(facts.get("state"), ""),
            "money": lambda amount_minor: apart(_money(amount_minor, currency, locale)),
            "day": lambda day: format_date(date.fromisoformat(day), "long", locale=locale),
            "count": lambda quantity: apart(_count(quantity, locale)),
            "share": lambda percent: apart(format_percent(Decimal(percent) / 100, locale=locale)),
            "meters": format_list([apart(_line(meter)) for meter in listed.get("meters", ())], locale=locale),
            "details": format_list([spoken["details"][name] for name in listed.get("details", ())], locale=locale),
            "changes": [
                (apart(_line(change["meter"])), apart(f"{before} → {after} {currency.upper()}"))
                for change in listed.get("changes", ())
                for before, after in [(_count(change["before"], locale), _count(change["after"], locale))]
            ],
            "period": _period(facts, locale),
        }

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
        return {language: self._read(language) for language in self.languages}

    def _read(self, language: str) -> dict[str, Any]:
        shipped = _OWN / "words" / f"{language}.yaml"
        # a language of the company's own may leave out what English has
        words = _packaged(shipped if shipped.is_file() else _OWN / "words" / "en.yaml")
        own = self.folder / f"{language}.yaml" if self.folder else None
        if own is not None and own.is_file():
            words = _merged(words, _yaml(own))
        try:
            Locale.parse(language.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            raise WordsWrong(f"{language}.yaml: expected the name of a language, such as fr") from None
        return words

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
        environment.filters["unbroken"] = _unbroken
        return environment


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


def _rows(name: str, values: Mapping[str, Any], labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """The rows of a name: one, none where there is nothing to say, or as many as prices change."""
    if name == "changes":
        return list(values["changes"])
    if name == "period":
        return [(labels[name], values["period"])] if values["period"] else []
    key, function = _ROWS[name]
    value = values.get(key)
    if value is None or (name == "credits" and not value):
        return []
    return [(labels[name], values[function](value) if function else str(value))]


def _money(amount_minor: int, currency: str, locale: Locale) -> str:
    amount = Decimal(amount_minor).scaleb(-exponent(currency))
    if currency in WHOLE_UNITS_AS_CENTS:
        amount = amount.quantize(Decimal(1))
    # CLDR has a blank between letters and digits, which Babel leaves out
    written = re.sub(r"([A-Z]{3})(?=\d)", "\\1\xa0", format_currency(amount, currency.upper(), locale=locale))
    # a sign behind letters stays behind them, also where all else goes from right to left: US$, not $US
    return _LETTERS_AND_SIGN.sub("\\1\u200e", written) if locale.text_direction == "rtl" else written


def _count(quantity: str, locale: Locale) -> str:
    """With as many places as it has."""
    return format_decimal(Decimal(quantity), locale=locale, decimal_quantization=False)


def _period(facts: Mapping[str, Any], locale: Locale) -> str | None:
    if "first_day" not in facts:
        return None
    first, last = (date.fromisoformat(facts[name]) for name in ("first_day", "last_day"))
    return format_interval(first, last, "yMMMd", locale=locale) if first != last else format_date(first, locale=locale)


def _unbroken(text: str) -> Markup:
    """For HTML: the text, in which no number of a document is broken at its hyphen."""
    return Markup(_DOCUMENT.sub(r'<span style="white-space:nowrap">\g<0></span>', str(escape(text))))  # noqa: S704 - escaped


def _line(text: str) -> str:
    """One line: what was typed as a name cannot start a header, a paragraph or another direction of writing."""
    return " ".join(_NO_TEXT.sub(" ", text).split())
