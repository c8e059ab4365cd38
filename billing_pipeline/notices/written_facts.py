"""The facts of a notice as its words use them: amounts, days and quantities as a language writes them, names apart."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from babel import Locale
from babel.dates import format_date, format_interval
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent
from markupsafe import Markup, escape

from billing_pipeline.notices.letters import Notice
from billing_pipeline.notices.written_money import written_money

_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")
"""What must not stand in a line: control characters, and those that turn the direction of the text around them."""
_DOCUMENT = re.compile(r"[A-Z]{2,}-\d+")
"""A number such as INV-00000042, which a line must not break in the middle."""
_NAMES = ("method", "number", "replaces", "credit_note", "plan", "plan_before", "meter", "unit")
"""Facts that are names of things, in whatever script."""
_MAY_LACK = ("due_on", "suspends_on", "replaces", "plan", "plan_before", "meter", "unit")
"""Facts that a notice of the same kind may have or not; what is not there is none."""
_ROWS = {
    "number": ("number", None),
    "replaces": ("replaces", None),
    "amount": ("amount_minor", "money"),
    "credits": ("credits_minor", "money"),
    "due": ("due_minor", "money"),
    "paid": ("due_minor", "money"),
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
    "trial_until": ("trial_until", "day"),
    "method": ("method", None),
}


def written_facts(notice: Notice, language: str, spoken: Mapping[str, Any], company: str) -> dict[str, Any]:
    """What a text may use: the facts, the customer, and functions that write amounts and days."""
    locale = Locale.parse(language.replace("-", "_"))
    facts = {name: line(value) if isinstance(value, str) else value for name, value in notice.facts.items()}

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
        "customer": {"name": apart(line(notice.customer_name)), "id": apart(line(notice.customer_id))},
        "company": apart(line(company)),
        "reason": reasons.get(facts.get("reason_code"), reasons["other"]),
        "state_text": spoken["states"].get(facts.get("state"), ""),
        "money": lambda amount_minor: apart(written_money(amount_minor, currency, locale)),
        "day": lambda day: format_date(date.fromisoformat(day), "long", locale=locale),
        "count": lambda quantity: apart(_count(quantity, locale)),
        "share": lambda percent: apart(format_percent(Decimal(percent) / 100, locale=locale)),
        "meters": format_list([apart(line(meter)) for meter in listed.get("meters", ())], locale=locale),
        "details": format_list([spoken["details"][name] for name in listed.get("details", ())], locale=locale),
        "changes": [
            (apart(line(change["meter"])), apart(f"{before} → {after} {currency.upper()}"))
            for change in listed.get("changes", ())
            for before, after in [(_count(change["before"], locale), _count(change["after"], locale))]
        ],
        "period": _period(facts, locale),
    }


def rows_of(name: str, values: Mapping[str, Any], labels: Mapping[str, str]) -> list[tuple[str, str]]:
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


def _count(quantity: str, locale: Locale) -> str:
    """With as many places as it has."""
    return format_decimal(Decimal(quantity), locale=locale, decimal_quantization=False)


def _period(facts: Mapping[str, Any], locale: Locale) -> str | None:
    if "first_day" not in facts:
        return None
    first, last = (date.fromisoformat(facts[name]) for name in ("first_day", "last_day"))
    return format_interval(first, last, "yMMMd", locale=locale) if first != last else format_date(first, locale=locale)


def unbroken(text: str) -> Markup:
    """For HTML: the text, in which no number of a document is broken at its hyphen."""
    return Markup(_DOCUMENT.sub(r'<span style="white-space:nowrap">\g<0></span>', str(escape(text))))  # noqa: S704 - escaped


def line(text: str) -> str:
    """One line: what was typed as a name cannot start a header, a paragraph or another direction of writing."""
    return " ".join(_NO_TEXT.sub(" ", text).split())
