"""Money of a failed refund given back after all: a credit on the customer's balance, or another refund."""

from collections.abc import Mapping
from typing import Any

from billing_pipeline.stripe_gateway.calls import StripeCalls, options

REPAYS = "repays_refund"


class RepaymentCalls(StripeCalls):
    """Look for and make what repays a refund that failed."""

    def repaid_to_balance(self, stripe_customer_id: str, repays: str) -> str | None:
        """The id of the balance transaction that does it, if there is one."""
        return self._repaid(f"/v1/customers/{stripe_customer_id}/balance_transactions", {}, repays)

    def repay_to_balance(
        self, stripe_customer_id: str, amount_minor: int, currency: str, repays: str, *, key: str
    ) -> str:
        """A credit on the customer's balance; its id. Below zero is what the customer has to its credit."""
        transactions = self._stripe.v1.customers.balance_transactions
        return self.object_of(
            "customers.balance_transactions.create",
            _id,
            lambda: transactions.create(
                stripe_customer_id,
                {"amount": -amount_minor, "currency": currency, "metadata": {REPAYS: repays}},
                options(key),
            ),
        )

    def repaid_to_card(self, payment_intent_id: str, repays: str) -> str | None:
        """The id of the other refund that does it, if there is one."""
        return self._repaid("/v1/refunds", {"payment_intent": payment_intent_id}, repays)

    def repay_to_card(self, payment_intent_id: str, amount_minor: int, repays: str, *, key: str) -> str:
        """Another refund of the payment; its id."""
        refunds = self._stripe.v1.refunds
        return self.object_of(
            "refunds.create",
            _id,
            lambda: refunds.create(
                {"payment_intent": payment_intent_id, "amount": amount_minor, "metadata": {REPAYS: repays}},
                options(key),
            ),
        )

    def _repaid(self, path: str, params: Mapping[str, Any], repays: str) -> str | None:
        bodies = self.pages(path, dict(params))
        return next((_id(body) for body in bodies if (body.get("metadata") or {}).get(REPAYS) == repays), None)


def _id(body: dict[str, Any]) -> str:
    return str(body["id"])
