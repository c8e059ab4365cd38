"""Notices before they go out: a preview for one customer, and a check that renders all of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from billing_pipeline.core.notice_kinds import KINDS
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.letters import Notice, Words
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.word_files import WordsWrong
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.warehouse import Warehouse

SAMPLE: dict[str, Any] = {
    "number": "INV-00000042",
    "amount_minor": 101000,
    "credits_minor": 1000,
    "due_minor": 100000,
    "currency": "usd",
    "first_day": "2026-10-01",
    "last_day": "2026-10-31",
    "due_on": "2026-11-15",
    "replaces": "INV-00000041",
    "reason_code": "insufficient_funds",
    "attempt": 1,
    "credit_note": "CN-00000007",
    "credited_minor": 4000,
    "reduction_minor": 0,
    "refund_minor": 4000,
    "elsewhere_minor": 0,
    "refunded_minor": 4000,
    "effective_on": "2026-12-01",
    "state": "active",
    "plan": "pro",
    "state_before": "active",
    "plan_before": "basic",
    "suspends_on": "2026-12-01",
    "balance_minor": 20000,
    "granted_minor": 100000,
    "expires_on": "2026-12-01",
    "meter": "calls",
    "unit": "call",
    "percent": 80,
    "so_far_quantity": "8123",
    "limit_quantity": "10000",
    "included_quantity": "10000",
    "used_quantity": "8000",
    "quantity": "4000",
    "usual_quantity": "412.5",
    "used_on": "2026-10-28",
    "hour_from": "14:00",
    "hour_to": "15:00",
    "meters": ["calls", "storage"],
    "changes": [{"meter": "calls", "before": "0.015", "after": "0.0175"}],
    "trial_until": "2026-12-01",
    "details": ["address", "tax_id"],
    "method": "Visa •••• 4242",
}
"""Facts of every kind, for a notice that there is not."""
_NOBODY = Notice(
    0, KINDS[0], f"{KINDS[0]}:sample", "ann@example.com", SAMPLE, datetime(2026, 11, 1, tzinfo=UTC), "0042", "Ann & Co",
    None, "UTC", page_url="https://invoice.stripe.com/i/sample", pdf_url="https://pay.stripe.com/invoice/sample/pdf",
)  # fmt: skip


def preview(warehouse: Warehouse, wording: Wording, kind: str, customer_id: str) -> Words:
    """The newest notice of the kind to the customer in its words; where there is none, one with sample facts.

    Raises:
        UserError: there is no such customer, or the words cannot be used.
    """
    customer = read_customer(warehouse, customer_id)
    known = list_notices(warehouse, customer_id=customer_id, kind=kind, limit=1)
    pages = warehouse.rows(_PAGES, notice_id=known[0]["notice_id"])[0] if known else {}
    language = warehouse.scalar("SELECT language FROM billing.customers WHERE customer_id = :id", id=customer_id)
    notice = replace(
        _NOBODY,
        kind=kind,
        facts=known[0]["facts"] if known else SAMPLE | {"currency": customer["currency"]},
        customer_id=customer_id,
        customer_name=customer["name"],
        language=language,
        **pages,
    )
    return wording.words(notice)


def check_words(wording: Wording) -> tuple[int, list[str]]:
    """Render every kind in every language, with all facts and with the fewest; how many, and what is wrong."""
    try:
        wording.read()
    except WordsWrong as error:
        return 0, [str(error)]
    rendered, problems = 0, []
    lacking = ("due_on", "replaces", "suspends_on", "meter", "unit", "so_far_quantity", "limit_quantity")
    amounts = {"so_far_minor": 80123, "limit_minor": 100000}
    few = {name: value for name, value in SAMPLE.items() if name not in lacking} | amounts
    for language in wording.languages:
        try:
            wording.sign_in(language, _NOBODY.customer_name, "https://billing.example.com/enter", timedelta(minutes=15))
        except WordsWrong as error:
            problems.append(str(error))
        for kind in KINDS:
            fewest = few | ({"due_on": SAMPLE["due_on"]} if kind == "payment_due_soon" else {})
            for notice in (_NOBODY, replace(_NOBODY, facts=fewest, page_url=None, pdf_url=None)):
                try:
                    wording.words(replace(notice, kind=kind, language=language))
                    rendered += 1
                except WordsWrong as error:
                    problems.append(str(error))
    return rendered, list(dict.fromkeys(problems))


_PAGES = """
SELECT p.page_url, p.pdf_url
FROM billing.notices AS n LEFT JOIN billing.invoice_pages AS p USING (invoice_id)
WHERE n.notice_id = :notice_id
"""
