"""The demo's Stripe account at the emulator, over plain HTTP: setting up customers, and asking for what was charged.

Not through the pipeline's gateway: what the demo checks must not come from the code that it checks.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, Self
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from billing_pipeline.core.errors import UserError
from billing_pipeline.sandbox.demo.population import DemoCustomer
from billing_pipeline.sandbox.stripe_emulator.config import API_VERSION
from billing_pipeline.settings import EMULATOR_KEY, SettingsError

PAGE = 100
TIMEOUT_S = 60.0
RATE_LIMITED = 429
WAIT_WHEN_LIMITED_S = 0.2


@dataclass(frozen=True, slots=True)
class FoundInvoice:
    """An invoice at Stripe: `invoice_id` is our id in its metadata, amounts are in minor units of `currency`."""

    stripe_id: str
    invoice_id: str | None
    status: str
    currency: str
    total_minor: int
    amount_due_minor: int


class StripeAccount:
    """One connection to the emulator at `base_url`.

    Raises:
        SettingsError: no emulator answers there.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "http" or parts.hostname is None:
            raise SettingsError(f"STRIPE_API_BASE={base_url}: expected the emulator's address, http://127.0.0.1:12111")
        self._http = HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_S)
        try:
            health = self._json("GET", "/_emulator/healthz")
        except (OSError, HTTPException, ValueError) as error:
            raise SettingsError(f"STRIPE_API_BASE={base_url}: no Stripe emulator answers there ({error})") from error
        if health.get("status") != "ok":
            raise SettingsError(f"STRIPE_API_BASE={base_url}: what answers there is not the Stripe emulator")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def set_up(self, customers: Iterable[DemoCustomer]) -> dict[str, str]:
        """Create the customers and cards that are not there yet; returns the Stripe ids that the platform knows.

        Found by metadata first, so a second demo creates nobody.
        """
        there = {
            body["metadata"]["customer_id"]: str(body["id"])
            for body in self._pages("/v1/customers")
            if "customer_id" in body["metadata"]
        }
        known = {}
        for customer in customers:
            if customer.at_stripe == "absent":
                continue
            stripe_id = there.get(customer.customer_id) or self._create(customer)
            if customer.at_stripe == "known":
                known[customer.customer_id] = stripe_id
        return known

    def invoices(self) -> list[FoundInvoice]:
        """All invoices of the account."""
        return [
            FoundInvoice(
                stripe_id=body["id"],
                invoice_id=body["metadata"].get("invoice_id"),
                status=body["status"],
                currency=body["currency"],
                total_minor=body["total"],
                amount_due_minor=body["amount_due"],
            )
            for body in self._pages("/v1/invoices")
        ]

    def successful_payments(self) -> dict[str, int]:
        """Charges that succeeded, by Stripe invoice."""
        counts: dict[str, int] = self._json("GET", "/_emulator/summary")["successful_payments_by_invoice"]
        return counts

    def give_card(
        self, customer_id: str, name: str, email: str, payment_method: str, stripe_customer_id: str | None = None
    ) -> str:
        """Attach a test payment method to a customer and charge its invoices to it; returns the customer's Stripe id.

        The customer is the one named, else found by metadata, else created.
        """
        found = (
            str(body["id"])
            for body in self._pages("/v1/customers")
            if body["metadata"].get("customer_id") == customer_id
        )
        stripe_id = stripe_customer_id or next(found, None)
        if stripe_id is None:
            fields = {"name": name, "email": email, "metadata[customer_id]": customer_id}
            stripe_id = str(self._json("POST", "/v1/customers", fields, key=f"card:{uuid4()}")["id"])
        card = self._json(
            "POST", f"/v1/payment_methods/{payment_method}/attach", {"customer": stripe_id}, key=f"card:{uuid4()}"
        )
        default = {"invoice_settings[default_payment_method]": str(card["id"])}
        self._json("POST", f"/v1/customers/{stripe_id}", default, key=f"card:{uuid4()}")
        return stripe_id

    def dispute(self, stripe_invoice_id: str, *, inquiry: bool) -> dict[str, Any]:
        """The bank disputes the payment of an invoice, or asks about it; the dispute."""
        return self._control("/_emulator/disputes", {"invoice": stripe_invoice_id, "inquiry": inquiry})

    def end_dispute(self, dispute_id: str, status: str) -> dict[str, Any]:
        """It ends won or lost, an inquiry as warning_closed; the dispute."""
        return self._control(f"/_emulator/disputes/{dispute_id}/close", {"status": status})

    def _control(self, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._http.request("POST", path, json.dumps(fields), {"Content-Type": "application/json"})
        answer = self._http.getresponse()
        body = json.loads(answer.read())
        if answer.status != 200:
            raise UserError(f"the emulator: {body.get('error', body).get('message', body)}")
        return dict(body)

    def _create(self, customer: DemoCustomer) -> str:
        fields = {
            "name": customer.name,
            "email": customer.email,
            "metadata[customer_id]": customer.customer_id,
        }
        if customer.card is not None:
            fields |= {
                "payment_method": customer.card,
                "invoice_settings[default_payment_method]": customer.card,
            }
        return str(self._json("POST", "/v1/customers", fields, key=f"demo:{customer.customer_id}")["id"])

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        after: dict[str, str] = {}
        while True:
            page = self._json("GET", f"{path}?{urlencode({'limit': PAGE, **after})}")
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}

    def _json(self, method: str, path: str, fields: dict[str, str] | None = None, key: str = "") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {EMULATOR_KEY}", "Stripe-Version": API_VERSION}
        if fields is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": key}
        while True:
            self._http.request(method, path, urlencode(fields) if fields is not None else None, headers)
            answer = self._http.getresponse()
            body = json.loads(answer.read())
            if answer.status != RATE_LIMITED:
                break
            time.sleep(WAIT_WHEN_LIMITED_S)
        if answer.status != 200:
            raise HTTPException(f"{method} {path}: {answer.status} {body.get('error', body)}")
        return dict(body)
