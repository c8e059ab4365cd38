"""billing.stripe_payments: the payments of our invoices as Stripe showed them, to whoever had asked.

A run that has paid an invoice writes its payment from the answer, so that the event that tells of it needs no question.
"""

from dataclasses import asdict

from sqlalchemy import Connection, text

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.stripe_gateway.rules.api import Payment


def record_payment(connection: Connection, invoice_id: str, payment: Payment) -> None:
    """Write a payment of an invoice of ours where it differs; what is paid or canceled is never open again."""
    parameters = {**asdict(payment), "invoice_id": invoice_id}
    connection.execute(text(load_sql("charging/record_payment.sql")), parameters)
