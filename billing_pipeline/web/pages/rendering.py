"""Templates, and how money, quantities and times are written in them: by CLDR, in the reader's language."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton
from babel.numbers import format_decimal
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from billing_pipeline.notices.written_money import written_money, written_price
from billing_pipeline.web.pages.words import Words, words_of

# Everything comes from our own files: no script or style in the page, none from another host.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors {frame_ancestors}"
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom a page is written for: language (`en`, `de`, `ar`) and time zone."""

    language: str = "en"
    timezone: str = "UTC"

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return "rtl" if Locale.parse(self.language).text_direction == "rtl" else "ltr"


def headers(frame_ancestors: str = "'none'") -> dict[str, str]:
    """What every page is sent with."""
    return {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY.format(frame_ancestors=frame_ancestors),
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def page(
    template: str,
    reader: Reader,
    *,
    status: int = 200,
    frame_ancestors: str = "'none'",
    **values: Any,
) -> HTMLResponse:
    """The template, filled in for the reader."""
    words = words_of(reader.language)
    content = _environment().get_template(template).render(reader=reader, t=words, **_formats(reader, words), **values)
    return HTMLResponse(content, status, headers(frame_ancestors))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("billing_pipeline.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _formats(reader: Reader, words: Words) -> dict[str, Callable[..., Any]]:
    locale = Locale.parse(reader.language)

    def money(amount_minor: int | Decimal | None, currency: str | None) -> str:
        if amount_minor is None or currency is None:
            return words("nothing")
        return written_money(amount_minor, currency, locale)

    def price(value: Decimal | None, currency: str) -> str:
        return "" if value is None else written_price(value, currency, locale)

    def number(value: Decimal | int | None) -> str:
        return "" if value is None else format_decimal(value, locale=locale, decimal_quantization=False)

    def day(value: date | datetime | None) -> str:
        return "" if value is None else format_date(value, "medium", locale=locale)

    def month(value: date) -> str:
        return format_skeleton("yMMMM", value, locale=locale)

    def instant(value: datetime | None) -> str:
        return (
            "" if value is None else format_datetime(value, "medium", tzinfo=ZoneInfo(reader.timezone), locale=locale)
        )

    def countries(codes: Iterable[str]) -> list[tuple[str, str]]:
        return sorted(((code, str(locale.territories.get(code, code))) for code in codes), key=lambda one: one[1])

    return {
        "countries": countries,
        "money": money,
        "price": price,
        "number": number,
        "day": day,
        "month": month,
        "instant": instant,
    }
