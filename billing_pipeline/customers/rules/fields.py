"""What the customers file holds: one rule a column, with the words that a user reads when it is broken."""

import re
from datetime import date

from billing_pipeline.core.countries import COUNTRIES
from billing_pipeline.core.email_addresses import is_email
from billing_pipeline.core.money import is_currency
from billing_pipeline.core.texts import CONTROL, is_blank
from billing_pipeline.core.timezones import is_timezone
from billing_pipeline.customers.rules.billing_cycle import CYCLES, parse_cycle
from billing_pipeline.imports.rules.fields import KEY_LENGTH_MAX, PLAIN_KEY, Field, key

NAME_LENGTH_MAX = 256
"""Stripe's limit on a customer's name."""
PAYMENT_TERMS_DAYS_MAX = 365
DATE = "a date such as 2026-10-31"

PLAIN_EMAIL = r"^[a-z0-9]+([._+-][a-z0-9]+)*@([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,3}$"
PLAIN_EMAIL_LENGTH_MAX = 63
"""What most addresses are: no label of theirs is too long, no domain of so short an ending is for tests only."""
_DATE = re.compile(r"(?:19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_STRIPE_CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]{1,250}")


def name(text: str) -> str:
    """A name to print on an invoice, unchanged."""
    if not text.strip() or len(text) > NAME_LENGTH_MAX or CONTROL.search(text):
        raise ValueError(f"1 to {NAME_LENGTH_MAX} characters without control characters")
    if is_blank(text):
        raise ValueError("a name that can be seen")
    return text


def email(text: str) -> str:
    """One e-mail address, unchanged; whether it exists only a message can tell."""
    if not is_email(text):
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
    """The canonical spelling of a cycle; blank is calendar months. That others need an anchor is a row's rule."""
    try:
        return parse_cycle(text, date.min).text
    except ValueError:
        raise ValueError(CYCLES) from None


def day(text: str) -> str:
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


def plan(text: str) -> str:
    """The name of a plan of the price book, or blank."""
    return key(text) if text else ""


def language(text: str) -> str:
    """A language as BCP 47 names it, such as `de` or `pt-BR`, or blank."""
    if text and not _LANGUAGE.fullmatch(text):
        raise ValueError("a language such as de or pt-BR, or blank")
    return text


def payment_terms_days(text: str) -> str:
    """Whole days until an invoice is due, or blank."""
    if not text:
        return ""
    if not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) > PAYMENT_TERMS_DAYS_MAX:
        raise ValueError(f"whole days from 0 to {PAYMENT_TERMS_DAYS_MAX}, or blank")
    return str(int(text))


def country(text: str) -> str:
    """A country as ISO 3166-1 alpha-2, in upper case, or blank."""
    if text and not (len(text) == 2 and text.upper() in COUNTRIES):
        raise ValueError("a country of ISO 3166 in two letters such as DE, or blank")
    return text.upper()


def short_text(text: str) -> str:
    """A line of an address or a tax id, without blanks around it, or blank."""
    if len(text) > NAME_LENGTH_MAX or CONTROL.search(text):
        raise ValueError(f"at most {NAME_LENGTH_MAX} characters without control characters, or blank")
    return "" if is_blank(text) else text.strip()


CUSTOMER_FIELDS = (
    Field("customer_id", key, plain=PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("name", name),
    Field("email", email, plain=PLAIN_EMAIL, plain_length_max=PLAIN_EMAIL_LENGTH_MAX),
    Field("currency", currency),
    Field("timezone", timezone),
    Field("billing_cycle", billing_cycle, required=False),
    Field("cycle_anchor", day, kind="date", required=False),
    Field("stripe_customer_id", stripe_customer_id, required=False),
    Field("starts_on", day, kind="date", required=False),
    Field("ends_on", day, kind="date", required=False),
    Field("plan", plan, required=False),
    Field("language", language, required=False),
    Field("payment_terms_days", payment_terms_days, kind="number", required=False),
    Field("address_line1", short_text, required=False),
    Field("address_line2", short_text, required=False),
    Field("postal_code", short_text, required=False),
    Field("city", short_text, required=False),
    Field("state", short_text, required=False),
    Field("country", country, required=False),
    Field("tax_id", short_text, required=False),
    Field("trial_until", day, kind="date", required=False),
)
"""The customers file. Those from billing_cycle on may be absent or blank."""

CONTRACT_FIELDS = ("starts_on", "ends_on", "plan", "trial_until")
"""What the file says of the contract; it goes to billing.contract_terms."""

KEPT_FIELDS = (
    "stripe_customer_id", "language", "payment_terms_days", "address_line1", "address_line2", "postal_code", "city",
    "state", "country", "tax_id",
)  # fmt: skip
"""Where these are blank, what is stored stays: a file without the column takes nothing away."""
