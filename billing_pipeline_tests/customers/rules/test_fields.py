"""What a cell of the customers file may hold."""

import pytest

from billing_pipeline.customers.rules import fields as rules


@pytest.mark.parametrize(
    ("rule", "good", "stored"),
    [
        (rules.currency, "USD", "usd"),
        (rules.timezone, "Europe/Berlin", "Europe/Berlin"),
        (rules.billing_cycle, "", "calendar_month"),
        (rules.billing_cycle, "30d", "30_days"),
        (rules.day, "", ""),
        (rules.day, "2024-02-29", "2024-02-29"),
        (rules.stripe_customer_id, "", ""),
        (rules.stripe_customer_id, "cus_NffrFeUfNV2Hib", "cus_NffrFeUfNV2Hib"),
        (rules.email, "A.b+c@Example.com", "A.b+c@Example.com"),
        (rules.name, "Müller & Söhne, Inc.", "Müller & Söhne, Inc."),
    ],
)
def test_customer_cells_in_canonical_spelling(rule, good: str, stored: str) -> None:
    assert rule(good) == stored


@pytest.mark.parametrize(
    ("rule", "bad", "expected"),
    [
        (rules.currency, "euro", "an ISO 4217 currency code"),
        (rules.currency, "", "an ISO 4217 currency code"),
        (rules.timezone, "CEST", "a time zone of the IANA database"),
        (
            rules.billing_cycle,
            "weekly",
            "calendar_month, monthly, quarterly, yearly, 1 to 60 months such as 6_months or 1 to 366 days",
        ),
        (
            rules.billing_cycle,
            "0_days",
            "calendar_month, monthly, quarterly, yearly, 1 to 60 months such as 6_months or 1 to 366 days",
        ),
        (
            rules.billing_cycle,
            "367_days",
            "calendar_month, monthly, quarterly, yearly, 1 to 60 months such as 6_months or 1 to 366 days",
        ),
        (rules.day, "2023-02-29", "a date such as"),
        (rules.day, "20230228", "a date such as"),
        (rules.day, "infinity", "a date such as"),
        (rules.stripe_customer_id, "acct_1", "a Stripe customer such as"),
        (rules.email, "nobody", "an e-mail address"),
        (rules.email, "a@b@c", "an e-mail address"),
        (rules.email, "a@b", "an e-mail address"),
        (rules.name, "\u200b\u3164", "a name that can be seen"),
        (rules.email, "a b@c", "an e-mail address"),
        (rules.name, " ", "1 to 256 characters"),
        (rules.name, "a\nb", "1 to 256 characters"),
        (rules.name, "x" * 257, "1 to 256 characters"),
    ],
)
def test_customer_cells_say_what_was_expected(rule, bad: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        rule(bad)
