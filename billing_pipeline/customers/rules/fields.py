"""What the customers file holds: one rule a column, with the words that a user reads when it is broken."""

import re
from datetime import date

from billing_pipeline.core.money import is_currency
from billing_pipeline.core.timezones import is_timezone
from billing_pipeline.customers.rules.billing_cycle import parse_cycle
from billing_pipeline.imports.rules.fields import CONTROL, KEY_LENGTH_MAX, PLAIN_KEY, Field, key

NAME_LENGTH_MAX = 256
"""Stripe's limit on a customer's name."""
EMAIL_LENGTH_MAX = 512
"""Stripe's limit on a customer's email."""
DATE = "a date such as 2026-10-31"

_DATE = re.compile(r"(?:19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_STRIPE_CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]{1,250}")


def name(text: str) -> str:
    """A name to print on an invoice, unchanged."""
    if not text.strip() or len(text) > NAME_LENGTH_MAX or CONTROL.search(text):
        raise ValueError(f"1 to {NAME_LENGTH_MAX} characters without control characters")
    return text


def email(text: str) -> str:
    """One e-mail address; whether it exists only a message can tell."""
    if len(text) > EMAIL_LENGTH_MAX or not _EMAIL.fullmatch(text) or CONTROL.search(text):
        raise ValueError("an e-mail address such as billing@example.com")
    return text


def currency(text: str) -> str:
    """A currency that Stripe charges, in lower case."""
    if not is_currency(text.lower()):
        raise ValueError("an ISO 4217 currency code that Stripe charges, such as usd")
    return text.lower()


def timezone(text: str) -> str:
    """A zone of the IANA database."""
    if not is_timezone(text):
        raise ValueError("a time zone of the IANA database such as Europe/Berlin")
    return text


def billing_cycle(text: str) -> str:
    """The canonical spelling of a cycle; blank is calendar months. That N days need an anchor is a row's rule."""
    try:
        return parse_cycle(text, date.min).text
    except ValueError:
        raise ValueError("calendar_month or 1 to 366 days such as 30_days") from None


def cycle_anchor(text: str) -> str:
    """A date from year 1900 to 2999, or blank."""
    if not text:
        return ""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(DATE) from None


def stripe_customer_id(text: str) -> str:
    """The customer at Stripe, or blank."""
    if text and not _STRIPE_CUSTOMER.fullmatch(text):
        raise ValueError("a Stripe customer such as cus_NffrFeUfNV2Hib, or blank")
    return text


CUSTOMER_FIELDS = (
    Field("customer_id", key, plain=PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("name", name),
    Field("email", email),
    Field("currency", currency),
    Field("timezone", timezone),
    Field("billing_cycle", billing_cycle, required=False),
    Field("cycle_anchor", cycle_anchor, kind="date", required=False),
    Field("stripe_customer_id", stripe_customer_id, required=False),
)
"""The customers file. The last three may be absent or blank."""
