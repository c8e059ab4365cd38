"""A running emulator with what the tests do to it: the SDK, raw HTTP, the control surface."""

from typing import Any

import httpx
import stripe

from billing_pipeline.sandbox.stripe_emulator import RunningEmulator
from billing_pipeline_tests.plain_http import WITHOUT_TLS

KEY = "sk_test_emulator"
NO_LIMITS: dict[str, Any] = {"rate_limit_per_s": 0, "rate_limit_per_endpoint_per_s": 0}


class Emulated:
    """A running emulator with what the tests do to it: the SDK, raw HTTP, the control surface."""

    def __init__(self, running: RunningEmulator) -> None:
        self.base_url = running.base_url
        self.api = stripe.StripeClient(KEY, base_addresses={"api": running.base_url}, max_network_retries=0).v1
        self.http = httpx.Client(
            base_url=running.base_url, headers={"Authorization": f"Bearer {KEY}"}, verify=WITHOUT_TLS
        )

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control surface; returns its JSON."""
        response = self.http.request(method, f"/_emulator{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def fault(self, kind: str, **fields: Any) -> None:
        """Add a fault rule."""
        self.control("POST", "/faults", {"kind": kind, **fields})

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock on."""
        self.control("POST", "/clock", {"advance_s": seconds})

    def customer(self, card: str | None = "pm_card_visa", **params: Any) -> stripe.Customer:
        """A customer whose default payment method is one of Stripe's test cards."""
        if card is not None:
            method = self.api.payment_methods.retrieve(card)
            params = {
                "payment_method": method.id,
                "invoice_settings": {"default_payment_method": method.id},
                **params,
            }
        return self.api.customers.create(params)  # type: ignore[arg-type]

    def draft(self, *amounts: int, customer: str | None = None, **params: Any) -> stripe.Invoice:
        """A draft with one line an amount."""
        owner = customer or self.customer().id
        fields: Any = {"customer": owner, "currency": "usd", **params}
        invoice = self.api.invoices.create(fields)
        if amounts:
            lines: Any = [{"amount": amount, "description": f"line {i}"} for i, amount in enumerate(amounts)]
            return self.api.invoices.add_lines(invoice.id, {"lines": lines})
        return invoice

    def open_invoice(self, amount: int = 1_000, **params: Any) -> stripe.Invoice:
        """A finalised invoice."""
        return self.api.invoices.finalize_invoice(self.draft(amount, **params).id)

    def payment_intent(self, **fields: Any) -> stripe.PaymentIntent:
        """A payment intent in dollars."""
        params: Any = {"currency": "usd", **fields}
        return self.api.payment_intents.create(params)

    def setup_intent(self, **fields: Any) -> stripe.SetupIntent:
        """A setup intent."""
        params: Any = fields
        return self.api.setup_intents.create(params)

    def event_types(self, object_id: str) -> list[str]:
        """The types of all events about an object, oldest first."""
        found: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = self.http.get("/v1/events", params={"limit": 100, **after}).json()
            found.extend(event["type"] for event in page["data"] if event["data"]["object"]["id"] == object_id)
            if not page["has_more"]:
                return found[::-1]
            after = {"starting_after": page["data"][-1]["id"]}
