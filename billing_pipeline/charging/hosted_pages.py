"""Where a customer pays an invoice and changes the payment method: pages of Stripe's, asked for when they are wanted.

They are asked for each time, since they end. Mails link an invoice's as Stripe named it first (billing.invoice_pages).
"""

from sqlalchemy import text

from billing_pipeline.charging.customers import ensure_customer
from billing_pipeline.charging.operations import invoice_named
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.hosted_pages import HostedInvoice


def invoice_page(warehouse: Warehouse, api: StripeGateway, reference: str) -> HostedInvoice:
    """Stripe's page of a finalised invoice, by number or id, where it can be paid and read.

    Raises:
        NotFound: there is no such invoice.
        UserError: Stripe does not have it yet.
        StripeFailure: Stripe cannot be asked.
    """
    invoice_id = invoice_named(warehouse, reference)
    stripe_id = warehouse.scalar(
        "SELECT stripe_invoice_id FROM billing.stripe_charges WHERE invoice_id = CAST(:id AS uuid)", id=invoice_id
    )
    page = api.retrieve_hosted_invoice(stripe_id) if stripe_id is not None else None
    if page is None or page.url is None:
        raise UserError(f"{reference}: Stripe does not have this invoice yet; it comes there when it is charged")
    return page


def payment_methods_page(
    warehouse: Warehouse, api: StripeGateway, customer_id: str, signature: Signature, *, return_url: str
) -> str:
    """Address of a page of Stripe's where the customer's default payment method is set; written to the audit log.

    A refused invoice is tried again when Stripe's event of the new payment method comes.

    Raises:
        UserError: several customers at Stripe may be this one, or Stripe refused to make one.
        StripeFailure: charging is paused while a customer has to be made there, or Stripe cannot be asked.
    """
    stripe_customer_id = ensure_customer(warehouse, api, customer_id, "hosted-pages")
    url = api.open_payment_methods(stripe_customer_id, return_url)
    with warehouse.transaction() as connection:
        connection.execute(
            text("SELECT billing.log_action(:author, 'payment_methods.open', 'customer', :customer_id, :reason)"),
            {"author": signature.author, "customer_id": customer_id, "reason": signature.reason},
        )
    return url
