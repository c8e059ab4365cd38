"""The table of operations: method, path, the SDK's parameter type, what of it is implemented, function.

What is not in this table answers 404 in Stripe's words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import (
    catalog,
    collection,
    credit_notes,
    customer_deletion,
    customers,
    disputes,
    events,
    invoice_items,
    invoice_lines,
    invoices,
    payment_methods,
    payments,
    refunds,
    subscriptions,
    webhook_endpoints,
)

Operation = Callable[..., Any]
PAGING = "limit starting_after ending_before"
LINE = (
    "lines.amount lines.description lines.discountable lines.invoice_item lines.metadata lines.period "
    "lines.pricing lines.price_data.currency lines.price_data.product lines.price_data.product_data.name "
    "lines.price_data.product_data.description lines.price_data.product_data.metadata "
    "lines.price_data.product_data.unit_label lines.price_data.unit_amount "
    "lines.price_data.unit_amount_decimal lines.quantity lines.quantity_decimal"
)
ITEM = LINE.replace("lines.invoice_item ", "").replace("lines.", "")
INVOICE = (
    "auto_advance automatically_finalizes_at collection_method custom_fields days_until_due "
    "default_payment_method description due_date effective_at footer metadata number statement_descriptor"
)
CUSTOMER = (
    "address balance business_name description email individual_name invoice_prefix metadata name "
    "next_invoice_sequence phone invoice_settings.default_payment_method invoice_settings.footer"
)
SUBSCRIPTION = (
    "cancel_at cancel_at_period_end collection_method days_until_due default_payment_method description "
    "metadata off_session payment_behavior items.price items.price_data items.quantity items.metadata"
)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API. ``supported`` are dotted parameter names; `expand` always is."""

    method: str
    path: str
    params: str
    run: Operation
    supported: frozenset[str]

    @property
    def name(self) -> str:
        """How people write it: ``POST /v1/invoices/:invoice/pay``."""
        return f"{self.method} {self.path}"


def _route(method: str, path: str, params: str, run: Operation, supported: str = "") -> Route:
    return Route(method, path, f"{params}Params", run, frozenset(supported.split()) | {"expand"})


ROUTES: tuple[Route, ...] = (
    _route("POST", "/v1/customers", "CustomerCreate", customers.create, f"{CUSTOMER} payment_method"),
    _route("GET", "/v1/customers", "CustomerList", customers.list_all, f"{PAGING} created email"),
    _route("GET", "/v1/customers/:customer", "CustomerRetrieve", customers.retrieve),
    _route("POST", "/v1/customers/:customer", "CustomerUpdate", customers.update, CUSTOMER),
    _route("DELETE", "/v1/customers/:customer", "CustomerDelete", customer_deletion.delete),
    _route(
        "GET",
        "/v1/customers/:customer/balance_transactions",
        "CustomerBalanceTransactionList",
        customers.list_balance_transactions,
        f"{PAGING} created",
    ),
    _route(
        "POST",
        "/v1/customers/:customer/balance_transactions",
        "CustomerBalanceTransactionCreate",
        customers.create_balance_transaction,
        "amount currency description metadata",
    ),
    _route(
        "GET",
        "/v1/customers/:customer/payment_methods",
        "CustomerPaymentMethodList",
        payment_methods.list_of_customer,
        f"{PAGING} type",
    ),
    _route(
        "GET",
        "/v1/customers/:customer/payment_methods/:payment_method",
        "CustomerPaymentMethodRetrieve",
        payment_methods.retrieve_of_customer,
    ),
    _route(
        "POST",
        "/v1/payment_methods",
        "PaymentMethodCreate",
        payment_methods.create,
        "type card.token billing_details allow_redisplay metadata",
    ),
    _route("GET", "/v1/payment_methods", "PaymentMethodList", payment_methods.list_all, f"{PAGING} customer type"),
    _route("GET", "/v1/payment_methods/:payment_method", "PaymentMethodRetrieve", payment_methods.retrieve),
    _route(
        "POST",
        "/v1/payment_methods/:payment_method",
        "PaymentMethodUpdate",
        payment_methods.update,
        "metadata",
    ),
    _route(
        "POST",
        "/v1/payment_methods/:payment_method/attach",
        "PaymentMethodAttach",
        payment_methods.attach,
        "customer",
    ),
    _route("POST", "/v1/payment_methods/:payment_method/detach", "PaymentMethodDetach", payment_methods.detach),
    _route(
        "POST",
        "/v1/invoices",
        "InvoiceCreate",
        invoices.create,
        f"{INVOICE} customer currency pending_invoice_items_behavior",
    ),
    _route(
        "GET",
        "/v1/invoices",
        "InvoiceList",
        invoices.list_all,
        f"{PAGING} created customer status subscription collection_method due_date",
    ),
    _route("GET", "/v1/invoices/:invoice", "InvoiceRetrieve", invoices.retrieve),
    _route("POST", "/v1/invoices/:invoice", "InvoiceUpdate", invoices.update, INVOICE),
    _route("DELETE", "/v1/invoices/:invoice", "InvoiceDelete", invoices.delete),
    _route("GET", "/v1/invoices/:invoice/lines", "InvoiceLineItemList", invoice_lines.list_lines, PAGING),
    _route("POST", "/v1/invoices/:invoice/lines/:line", "InvoiceLineItemUpdate", invoice_lines.update_line, ITEM),
    _route(
        "POST",
        "/v1/invoices/:invoice/add_lines",
        "InvoiceAddLines",
        invoice_lines.add_lines,
        f"{LINE} invoice_metadata",
    ),
    _route(
        "POST",
        "/v1/invoices/:invoice/update_lines",
        "InvoiceUpdateLines",
        invoice_lines.update_lines,
        f"{LINE} lines.id invoice_metadata",
    ),
    _route(
        "POST",
        "/v1/invoices/:invoice/remove_lines",
        "InvoiceRemoveLines",
        invoice_lines.remove_lines,
        "lines invoice_metadata",
    ),
    _route(
        "POST",
        "/v1/invoices/:invoice/finalize",
        "InvoiceFinalizeInvoice",
        collection.finalize,
        "auto_advance",
    ),
    _route(
        "POST",
        "/v1/invoices/:invoice/pay",
        "InvoicePay",
        collection.pay,
        "off_session paid_out_of_band payment_method",
    ),
    _route("POST", "/v1/invoices/:invoice/void", "InvoiceVoidInvoice", collection.void),
    _route(
        "POST",
        "/v1/invoices/:invoice/mark_uncollectible",
        "InvoiceMarkUncollectible",
        collection.mark_uncollectible,
    ),
    _route("POST", "/v1/invoices/:invoice/send", "InvoiceSendInvoice", collection.send),
    _route(
        "POST",
        "/v1/invoiceitems",
        "InvoiceItemCreate",
        invoice_items.create,
        f"{ITEM} customer currency invoice unit_amount_decimal",
    ),
    _route(
        "GET",
        "/v1/invoiceitems",
        "InvoiceItemList",
        invoice_items.list_all,
        f"{PAGING} created customer invoice pending",
    ),
    _route("GET", "/v1/invoiceitems/:invoiceitem", "InvoiceItemRetrieve", invoice_items.retrieve),
    _route("DELETE", "/v1/invoiceitems/:invoiceitem", "InvoiceItemDelete", invoice_items.delete),
    _route(
        "GET",
        "/v1/invoice_payments",
        "InvoicePaymentList",
        payments.list_invoice_payments,
        f"{PAGING} created invoice status payment",
    ),
    _route(
        "GET",
        "/v1/invoice_payments/:invoice_payment",
        "InvoicePaymentRetrieve",
        payments.retrieve_invoice_payment,
    ),
    _route("GET", "/v1/payment_intents", "PaymentIntentList", payments.list_intents, f"{PAGING} created customer"),
    _route("GET", "/v1/payment_intents/:payment_intent", "PaymentIntentRetrieve", payments.retrieve_intent),
    _route("GET", "/v1/charges", "ChargeList", payments.list_charges, f"{PAGING} created customer payment_intent"),
    _route("GET", "/v1/charges/:charge", "ChargeRetrieve", payments.retrieve_charge),
    _route("POST", "/v1/refunds", "RefundCreate", refunds.create, "amount charge payment_intent metadata reason"),
    _route("GET", "/v1/refunds", "RefundList", refunds.list_all, f"{PAGING} created charge payment_intent"),
    _route("GET", "/v1/refunds/:refund", "RefundRetrieve", refunds.retrieve),
    _route("POST", "/v1/refunds/:refund", "RefundUpdate", refunds.update, "metadata"),
    _route("GET", "/v1/disputes", "DisputeList", disputes.list_all, f"{PAGING} created charge payment_intent"),
    _route("GET", "/v1/disputes/:dispute", "DisputeRetrieve", disputes.retrieve),
    _route("POST", "/v1/disputes/:dispute/close", "DisputeClose", disputes.close),
    _route(
        "POST",
        "/v1/credit_notes",
        "CreditNoteCreate",
        credit_notes.create,
        "invoice amount credit_amount refund_amount out_of_band_amount refunds.refund "
        "refunds.amount_refunded refunds.type lines.amount lines.description lines.invoice_line_item "
        "lines.quantity lines.type lines.unit_amount lines.unit_amount_decimal lines.metadata memo "
        "metadata reason email_type effective_at",
    ),
    _route(
        "GET",
        "/v1/credit_notes",
        "CreditNoteList",
        credit_notes.list_all,
        f"{PAGING} created customer invoice",
    ),
    _route("GET", "/v1/credit_notes/:credit_note", "CreditNoteRetrieve", credit_notes.retrieve),
    _route("POST", "/v1/credit_notes/:credit_note", "CreditNoteUpdate", credit_notes.update, "memo metadata"),
    _route("POST", "/v1/credit_notes/:credit_note/void", "CreditNoteVoidCreditNote", credit_notes.void),
    _route(
        "POST",
        "/v1/products",
        "ProductCreate",
        catalog.create_product,
        "id name active description metadata unit_label",
    ),
    _route("GET", "/v1/products", "ProductList", catalog.list_products, f"{PAGING} created active"),
    _route("GET", "/v1/products/:product", "ProductRetrieve", catalog.retrieve_product),
    _route(
        "POST",
        "/v1/prices",
        "PriceCreate",
        catalog.create_price,
        "currency product product_data.name product_data.metadata product_data.unit_label unit_amount "
        "unit_amount_decimal recurring.interval recurring.interval_count recurring.usage_type active "
        "lookup_key metadata nickname",
    ),
    _route("GET", "/v1/prices", "PriceList", catalog.list_prices, f"{PAGING} created active product"),
    _route("GET", "/v1/prices/:price", "PriceRetrieve", catalog.retrieve_price),
    _route(
        "POST",
        "/v1/subscriptions",
        "SubscriptionCreate",
        subscriptions.create,
        f"{SUBSCRIPTION} customer currency",
    ),
    _route(
        "GET",
        "/v1/subscriptions",
        "SubscriptionList",
        subscriptions.list_all,
        f"{PAGING} created customer status collection_method",
    ),
    _route("GET", "/v1/subscriptions/:subscription", "SubscriptionRetrieve", subscriptions.retrieve),
    _route(
        "POST",
        "/v1/subscriptions/:subscription",
        "SubscriptionUpdate",
        subscriptions.update,
        f"{SUBSCRIPTION} items.id items.deleted proration_behavior cancellation_details",
    ),
    _route(
        "DELETE",
        "/v1/subscriptions/:subscription",
        "SubscriptionCancel",
        subscriptions.cancel,
        "cancellation_details",
    ),
    _route("GET", "/v1/events", "EventList", events.list_all, f"{PAGING} created type types delivery_success"),
    _route("GET", "/v1/events/:event", "EventRetrieve", events.retrieve),
    _route(
        "POST",
        "/v1/webhook_endpoints",
        "WebhookEndpointCreate",
        webhook_endpoints.create,
        "url enabled_events api_version description metadata",
    ),
    _route("GET", "/v1/webhook_endpoints", "WebhookEndpointList", webhook_endpoints.list_all, PAGING),
    _route(
        "GET",
        "/v1/webhook_endpoints/:webhook_endpoint",
        "WebhookEndpointRetrieve",
        webhook_endpoints.retrieve,
    ),
    _route(
        "POST",
        "/v1/webhook_endpoints/:webhook_endpoint",
        "WebhookEndpointUpdate",
        webhook_endpoints.update,
        "url enabled_events description disabled metadata",
    ),
    _route("DELETE", "/v1/webhook_endpoints/:webhook_endpoint", "WebhookEndpointDelete", webhook_endpoints.delete),
)
