"""The request that a charge sends to Stripe, frozen with the intent: canonical JSON of the draft and of its lines.

Here: which fields Stripe gets. Not here: the customer (it may not exist there yet; the row has it in a column of its
own), keys, calls.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from billing_pipeline.invoicing.rules.line_text import Priced, line_text

REQUEST_VERSION = 2
"""Stored with each request, so that an earlier one can be computed again as it was.

1: lines have their description alone; 2: quantity, tier and unit price stand in their text (line_text)."""
LINES_MAX = 250
"""Stripe's limit of lines on an invoice: https://docs.stripe.com/api/invoices/add_lines."""
DESCRIPTION_MAX = 500


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line item as it stands in Postgres; `amount_minor` in minor units of the invoice's currency.

    The rest says how a metered line was priced (line_text.Priced); an adjustment has no model.
    """

    line_no: int
    meter: str
    description: str
    amount_minor: int
    kind: str = "adjustment"
    quantity: Decimal | None = None
    included_quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    model: str | None = None
    tier_no: int | None = None
    tier_from: Decimal | None = None
    tier_up_to: Decimal | None = None
    package_size: Decimal | None = None

    @property
    def priced(self) -> Priced | None:
        """How it was priced; None: its description says all."""
        if self.kind != "usage" or self.model is None or self.quantity is None or self.unit_amount is None:
            return None
        return Priced(
            self.model,
            self.quantity,
            self.included_quantity or Decimal(0),
            self.unit_amount,
            self.tier_no or 0,
            self.tier_from or Decimal(0),
            self.tier_up_to,
            self.package_size,
        )


@dataclass(frozen=True, slots=True)
class BilledInvoice:
    """A finalised invoice. The period is half-open, its dates are in the customer's time zone."""

    invoice_id: str
    number: str
    customer_id: str
    billing_month: date
    currency: str
    due_minor: int
    period_start: datetime
    period_end: datetime
    start_date: date
    end_date: date


def frozen_request(invoice: BilledInvoice, lines: Sequence[BilledLine], *, version: int = REQUEST_VERSION) -> bytes:
    """`{"invoice": …, "lines": […]}` as canonical JSON: keys sorted, no spaces, UTF-8.

    The lines' amounts add up to the invoice's total; an invoice without lines gets one of 0, because Stripe adds no
    empty list of lines. With more than 250 lines those of one meter are merged (and, with more than 250 meters, the
    last ones), so that the total stays. `version` is REQUEST_VERSION, or that of a request that is computed again.

    Raises:
        ValueError: the lines do not add up to the total.
    """
    if sum(line.amount_minor for line in lines) != invoice.due_minor:
        raise ValueError(f"invoice {invoice.invoice_id}: the lines do not add up to {invoice.due_minor}")
    # Stripe's `end` is inclusive, our period's is not
    period = {"start": int(invoice.period_start.timestamp()), "end": int(invoice.period_end.timestamp()) - 1}
    last_day = date.fromordinal(invoice.end_date.toordinal() - 1)
    body = {
        "invoice": {
            "auto_advance": False,
            "collection_method": "charge_automatically",
            "currency": invoice.currency,
            "description": f"Usage from {invoice.start_date} to {last_day}",
            "metadata": {
                "billing_month": invoice.billing_month.isoformat(),
                "customer_id": invoice.customer_id,
                "invoice_id": invoice.invoice_id,
            },
            "number": invoice.number,
            "pending_invoice_items_behavior": "exclude",
        },
        "lines": [
            {
                "amount": amount_minor,
                "description": _short(description),
                # a discount that the customer has at Stripe would change the total
                "discountable": False,
                "metadata": {"line_no": numbers},
                "period": period,
            }
            for amount_minor, description, numbers in _at_most_250(lines, invoice.currency, version)
        ],
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_request(body: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The draft and the lines of a frozen request."""
    request = json.loads(body)
    return request["invoice"], request["lines"]


def _at_most_250(lines: Sequence[BilledLine], currency: str, version: int) -> Iterable[tuple[int, str, str]]:
    if not lines:
        return [(0, "No usage", "0")]
    if len(lines) <= LINES_MAX:
        return [(line.amount_minor, _text(line, currency, version), str(line.line_no)) for line in lines]
    by_meter: dict[str, list[BilledLine]] = {}
    for line in lines:
        by_meter.setdefault(line.meter, []).append(line)
    groups = list(by_meter.items())
    if len(groups) > LINES_MAX:
        rest = [line for _, own in groups[LINES_MAX - 1 :] for line in own]
        groups = [*groups[: LINES_MAX - 1], ("other meters", rest)]
    return [_merged(meter, own, currency, version) for meter, own in groups]


def _text(line: BilledLine, currency: str, version: int) -> str:
    return line.description if version == 1 else line_text(line.description, line.priced, currency)


def _merged(meter: str, lines: list[BilledLine], currency: str, version: int) -> tuple[int, str, str]:
    first, last = lines[0], lines[-1]
    if len(lines) == 1:
        return first.amount_minor, _text(first, currency, version), str(first.line_no)
    numbers = f"{first.line_no}-{last.line_no}"
    return sum(line.amount_minor for line in lines), f"{meter}: {len(lines)} lines", numbers


def _short(description: str) -> str:
    return description if len(description) <= DESCRIPTION_MAX else f"{description[: DESCRIPTION_MAX - 1]}…"
