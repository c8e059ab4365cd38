"""What the remedies of several gates share: commands, and what to do about rows that no build writes."""

from billing_pipeline.gates.rules.remedies import Remedy

SHOW_USAGE = (
    'billing sql -c "SELECT event_id, quantity, occurred_at, received_at FROM billing.usage_events'
    " WHERE customer_id = 'CUSTOMER' AND meter = 'METER' ORDER BY occurred_at\""
)
SHOW_LINES = (
    'billing sql -c "SELECT * FROM billing.invoice_lines '
    "WHERE customer_id = 'CUSTOMER' AND billing_month = '{month}-01'\""
)
CORRECT = 'billing correct usage --event-id EVENT --quantity QUANTITY --author YOU --reason "WHY"'
MEASURE = "billing run --month {month} --through usage_snapshots"
DRAFT = "billing run --month {month} --through invoices"


def not_ours(wrong: str, build: str) -> Remedy:
    """For rows that no build of ours writes."""
    return Remedy(
        f"{wrong} No build writes such rows: something else did, or there is a mistake in the program. Build them"
        " again; if that does not help, leave the month uncharged and report the sample.",
        (build,),
    )
