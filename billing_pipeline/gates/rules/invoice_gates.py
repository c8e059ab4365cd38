"""The gates of `invoices`: the drafts of a month, before they are charged."""

from billing_pipeline.gates.rules.gate import Gate, NoRows
from billing_pipeline.gates.rules.gate_remedies import CORRECT, DRAFT, SHOW_LINES, not_ours
from billing_pipeline.gates.rules.remedies import Remedy

INVOICE_GATES: tuple[Gate, ...] = (
    Gate(
        "invoices",
        "one_invoice_per_period",
        NoRows(),
        "A period has one live invoice.",
        not_ours("A period would be billed twice.", DRAFT),
    ),
    Gate(
        "invoices",
        "total_is_sum_of_lines",
        NoRows(),
        "Every total is the sum of the invoice's lines.",
        Remedy(
            "The drafts were made from other lines than those that are there now. Draft the month again. If that does"
            " not help, leave the month uncharged and report the sample.",
            (DRAFT,),
        ),
    ),
    Gate(
        "invoices",
        "one_currency",
        NoRows(),
        "Invoice, lines and customer share one currency.",
        Remedy(
            "A customer's currency changed after the draft was made. If that was a mistake, import the customer with"
            " the right one. Then draft the month again.",
            ("billing import customers FILE", DRAFT),
        ),
    ),
    Gate(
        "invoices",
        "every_customer_invoiced_or_excluded",
        NoRows(),
        "Every customer has an invoice, or a reason for having none.",
        Remedy(
            "A customer of the sample would be forgotten: mostly one who came in after the month was drafted. Draft it"
            " again. If that does not help, leave the month uncharged and report the sample.",
            (DRAFT,),
        ),
    ),
    Gate(
        "invoices",
        "no_invoice_over_cap",
        NoRows(),
        "No draft is above BILLING_INVOICE_CAP_MINOR.",
        Remedy(
            "Look at the draft's lines. If the usage is wrong, correct it and draft again. If the amount is right,"
            " draft and charge the month with a higher cap: charging keeps to it as well.",
            (SHOW_LINES, CORRECT, DRAFT, f"BILLING_INVOICE_CAP_MINOR=CAP {DRAFT}"),
        ),
    ),
)
