"""The machine over a month's charges, with what banks and people at Stripe do to them at any moment.

Debits take days and come back; parts are paid; invoices are revised, payments given back, methods taken away and
customers deleted in the dashboard. Whatever happens, no customer pays more than the invoice is over.
"""

from collections import Counter
from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.relink_customer import relink_customer
from billing_pipeline_tests.faults.machine import Charging, Model

PART_MIN_MINOR = 50
REVISED_MINOR = 50
_ANN = Signature("machine", "so it was drawn")


class ChargingAndDashboard(Charging):
    """Rules beside those of charging."""

    @precondition(lambda self: self._any("draft", *WORKABLE))
    @rule()
    def run_of_the_month(self) -> None:
        """What the schedule does, so that most of what follows finds something at Stripe."""
        if self._any("draft"):
            self.finalise()
        self.charge()

    @precondition(lambda self: bool(self._unpaid()))
    @rule(data=st.data())
    def pays_by_bank(self, data: st.DataObject) -> None:
        """From now on payments take days, until the bank is made to answer."""
        one = self._one_of(data, self._unpaid())
        self._give(one, "sepa_debit", "stays_processing")
        one.card = "bank"

    @precondition(lambda self: any(m.pending for m in self.model.values()))
    @rule(data=st.data(), outcome=st.sampled_from(["success", "insufficient_funds", "account_closed"]))
    def bank_answers(self, data: st.DataObject, outcome: str) -> None:
        one = self._one_of(data, [m for m in self.model.values() if m.pending])
        self._control("/debits/settle", {"invoice": self._stripe_id(one), "outcome": outcome})
        one.pending = False
        if outcome == "success":
            one.stripe, one.payments = "paid", one.parts + 1
        else:
            one.returned = True
        self.deeds["answers_of_banks"] += 1

    @precondition(lambda self: bool(self._payable_in_parts()))
    @rule(data=st.data())
    def part_is_paid(self, data: st.DataObject) -> None:
        one = self._one_of(data, self._payable_in_parts())
        self._give(one, "good", "success")
        one.card = "success"
        part = data.draw(st.integers(PART_MIN_MINOR, one.amount_minor - one.parts_minor - PART_MIN_MINOR))
        self._control(f"/dashboard/invoices/{self._stripe_id(one)}/charge_customer", {"amount_minor": part})
        one.parts, one.payments, one.parts_minor = one.parts + 1, one.payments + 1, one.parts_minor + part
        self.deeds["part_payments"] += 1

    @precondition(lambda self: any(self._open_at_stripe(m) and not m.parts for m in self.model.values()))
    @rule(data=st.data())
    def revised(self, data: st.DataObject) -> None:
        one = self._one_of(data, [m for m in self.model.values() if self._open_at_stripe(m) and not m.parts])
        edit = {"lines": [{"amount": REVISED_MINOR}], "keep_metadata": False}
        self._control(f"/dashboard/invoices/{self._stripe_id(one)}/revise", edit)
        one.stripe = "void"
        self.deeds["revisions"] += 1

    @precondition(lambda self: any(m.payments for m in self.model.values()))
    @rule(data=st.data())
    def given_back(self, data: st.DataObject) -> None:
        """A payment is refunded; the invoice stays as it is."""
        one = self._one_of(data, [m for m in self.model.values() if m.payments])
        for charge in self.run.stripe.api.charges.list({"customer": self._customer_id(one), "limit": 100}).data:
            has_come = charge.status == "succeeded" and charge.amount_captured > charge.amount_refunded
            if has_come and not charge.disputed:
                self._control(f"/dashboard/charges/{charge.id}/refund", {})
                self.deeds["payments_given_back"] += 1
                return

    @precondition(lambda self: any(m.card == "success" for m in self._unpaid()))
    @rule(data=st.data())
    def method_is_detached(self, data: st.DataObject) -> None:
        one = self._one_of(data, [m for m in self._unpaid() if m.card == "success"])
        for method in self.run.stripe.api.payment_methods.list({"customer": self._customer_id(one)}).data:
            self._control(f"/dashboard/payment_methods/{method.id}/detach", {})
        one.card = "none"
        self.deeds["methods_detached"] += 1

    @precondition(lambda self: bool(self._untouched()) and not any(m.deleted for m in self.model.values()))
    @rule(data=st.data())
    def customer_is_deleted(self, data: st.DataObject) -> None:
        """Before anything of the invoice is at Stripe."""
        one = self._one_of(data, self._untouched())
        self._control(f"/dashboard/customers/{self._customer_id(one)}/delete", {})
        one.deleted, one.card = True, "none"
        self.deeds["customers_deleted"] += 1

    @precondition(lambda self: any(m.state == "parked" for m in self.model.values()))
    @rule(data=st.data())
    def another_customer(self, data: st.DataObject) -> None:
        """A person gives it another customer at Stripe, with a card."""
        one = self._one_of(data, [m for m in self.model.values() if m.state == "parked"])
        relink_customer(self.run.warehouse, self.run.gateway(), one.customer_id, _ANN)
        self._give(one, "good", "success")
        one.state, one.deleted, one.card = "intended", False, "success"
        self.deeds["customers_relinked"] += 1

    @invariant()
    def nobody_pays_more_than_the_invoice_is_over(self) -> None:
        asked: Counter[str] = Counter()
        for charge in self.run.stripe.api.charges.list({"limit": 100}).auto_paging_iter():
            asked[str(charge.customer)] += charge.amount if charge.status in ("succeeded", "pending") else 0
        for one in self.model.values():
            taken = asked[self._customer_id(one)]
            assert taken <= one.amount_minor, f"{one} is asked for {taken}"

    def _one_of(self, data: st.DataObject, found: list[Model]) -> Model:
        return self.model[data.draw(st.sampled_from([m.customer_id for m in found]))]

    def _unpaid(self) -> list[Model]:
        """Those whose payment is still to come, of customers that are there."""
        return [m for m in self.model.values() if m.state in ("draft", *WORKABLE, "refused") and not m.deleted]

    def _untouched(self) -> list[Model]:
        return [m for m in self._unpaid() if m.state in ("draft", "intended") and m.stripe is None]

    def _payable_in_parts(self) -> list[Model]:
        return [
            m
            for m in self.model.values()
            if self._open_at_stripe(m) and not m.deleted and m.amount_minor - m.parts_minor >= 2 * PART_MIN_MINOR
        ]

    def _set_card(self, one: Model, card: str) -> None:
        if one.deleted:
            return
        if one.card in ("bank", "none"):
            self._give(one, "good", card)
            one.card = card
        else:
            super()._set_card(one, card)

    def _give(self, one: Model, kind: str, outcome: str) -> None:
        given = {"customer": self._customer_id(one), "kind": kind, "outcome": outcome}
        self._control("/customer_payment_methods", given)

    def _stripe_id(self, one: Model) -> str:
        return str(self.run.charges()[one.customer_id]["stripe_invoice_id"])

    def _control(self, path: str, fields: Mapping[str, object]) -> None:
        self.run.stripe.control("POST", path, fields)
