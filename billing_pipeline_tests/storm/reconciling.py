"""Differences between our books and Stripe's, hidden among pairs that agree: all are found, and nothing else is.

The books are a real month, charged at the emulator and told about by its events. Its paid invoices are then copied, here
in the database and there in what Stripe lists, until there are enough pairs.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
from uuid import UUID

from sqlalchemy import text

from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.lost_disputes import list_disputes, write_off
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.objects import CreditNote, Dispute, ListedBook, Payment, Refund
from billing_pipeline_tests.charging.world import Emulated
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.machines import Postgres
from billing_pipeline_tests.storm.sender import Parcel
from billing_pipeline_tests.storm.settling import gateway, settle, store_all
from billing_pipeline_tests.storm.world import copied_books

KINDS = ("missing_here", "missing_at_stripe", "amount_or_currency", "status", "duplicate")
Found = set[tuple[str, str | None]]


class Lists(StripeGateway):
    """Stripe as it lists its books: what the emulator listed once, then changed as a test wants it."""

    def __init__(self, api: StripeGateway) -> None:
        self.invoices = list(api.list_books(0))
        self.payments = list(api.list_payments(0))
        self.refunds = list(api.list_refunds(0))
        self.notes = list(api.list_credit_notes(0))
        self.disputes = list(api.list_disputes(0))

    def list_books(self, created_gte: int) -> Iterator[ListedBook]:
        del created_gte
        return iter(self.invoices)

    def list_payments(self, created_gte: int) -> Iterator[Payment]:
        del created_gte
        return iter(self.payments)

    def list_refunds(self, created_gte: int) -> Iterator[Refund]:
        del created_gte
        return iter(self.refunds)

    def list_credit_notes(self, created_gte: int) -> Iterator[CreditNote]:
        del created_gte
        return iter(self.notes)

    def list_disputes(self, created_gte: int) -> Iterator[Dispute]:
        del created_gte
        return iter(self.disputes)

    def copy(self, paid: set[str], copies: int) -> None:
        """Each of these invoices of ours, and its payments, so many times more."""
        at_stripe = {one.stripe_invoice_id for one in self.invoices if one.invoice_id in paid}
        self.invoices += [
            replace(
                one,
                stripe_invoice_id=f"{one.stripe_invoice_id}_{number}",
                invoice_id=_copied_id(str(one.invoice_id), number),
            )
            for one in self.invoices
            if one.stripe_invoice_id in at_stripe
            for number in range(1, copies + 1)
        ]
        self.payments += [
            replace(
                one,
                payment_id=f"{one.payment_id}_{number}",
                stripe_invoice_id=f"{one.stripe_invoice_id}_{number}",
                payment_intent_id=f"{one.payment_intent_id}_{number}",
            )
            for one in self.payments
            if one.stripe_invoice_id in at_stripe
            for number in range(1, copies + 1)
        ]


def _copied_id(invoice_id: str, number: int) -> str:
    return str(UUID(md5(f"{invoice_id}{number}".encode(), usedforsecurity=False).hexdigest()))


def reconciliation(
    postgres: Postgres, stripe_side: Emulated, events: Sequence[Parcel], pairs: int, each: int, seed: int
) -> Figures:
    """`each` differences of each of five kinds among `pairs` pairs."""
    figures = Figures("reconciliation")
    with copied_books(postgres, "storm_reconciliation") as warehouse:
        store_all(warehouse, events)
        settle(warehouse, gateway(stripe_side.base_url))
        for row in list_disputes(warehouse):
            if row["waits_for_a_person"]:
                write_off(warehouse, row["dispute_id"], Signature("storm", "decided about"))
        plain = _compare(warehouse, gateway(stripe_side.base_url))
        figures.expect(not plain, f"the month as it was charged differs: {sorted(plain)[:3]}")
        lists = Lists(gateway(stripe_side.base_url))
        paid = {
            row["id"]
            for row in warehouse.rows("SELECT invoice_id::text AS id FROM billing.stripe_charges WHERE state = 'paid'")
        }
        _copy_here(warehouse, copies := -(-pairs // len(paid)))
        lists.copy(paid, copies)
        count = warehouse.scalar("SELECT count(*) FROM billing.stripe_charges")
        agreeing = _compare(warehouse, lists)
        figures.expect(not agreeing, f"{count} pairs that agree differ: {sorted(agreeing)[:3]}")
        seeded = _seed(lists, paid, copies, each, random.Random(seed))
        found = _compare(warehouse, lists)
    missed, false = seeded - found, found - seeded
    figures.expect(len(seeded) == each * len(KINDS), f"only {len(seeded)} differences were seeded")
    figures.expect(not missed, f"{len(missed)} were not found, such as {sorted(missed)[:1]}; seed {seed}")
    figures.expect(not false, f"{len(false)} false alarms, such as {sorted(map(str, false))[:1]}; seed {seed}")
    figures.values = {
        "pairs": count,
        "seeded": len(seeded),
        "found": dict(sorted(Counter(kind for kind, _ in found & seeded).items())),
        "missed": len(missed),
        "false_alarms": len(false) + len(agreeing) + len(plain),
        "seed": seed,
    }
    return figures


def _compare(warehouse: Warehouse, api: StripeGateway) -> Found:
    # created is in whole seconds: by the clock of a minute later nothing is on its way
    now = datetime.now(UTC) + timedelta(minutes=1)
    compared = compare_with_stripe(warehouse, api, "storm", now, on_the_way=timedelta())
    return {(one.kind, one.invoice_id) for one in compared.differences}


def _copy_here(warehouse: Warehouse, copies: int) -> None:
    with warehouse.transaction() as connection:
        connection.execute(
            text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        )  # no period for them is needed
        for statement, table in ((_COPY_PAYMENTS, "stripe_payments"), (_COPY_CHARGES, "stripe_charges")):
            columns = [
                row.column_name
                for row in connection.execute(
                    text(
                        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'billing'"
                        " AND table_name = :table AND is_generated = 'NEVER'"
                    ),
                    {"table": table},
                )
            ]
            told = statement.format(columns=", ".join(columns), copied=", ".join(f"r.{column}" for column in columns))
            connection.execute(text(told), {"copies": copies})


_COPY_CHARGES = """
INSERT INTO billing.stripe_charges ({columns})
SELECT {copied}
FROM billing.stripe_charges AS c
CROSS JOIN generate_series(1, :copies) AS k
CROSS JOIN LATERAL jsonb_populate_record(c, jsonb_build_object(
    'invoice_id', md5(c.invoice_id::text || k)::uuid,
    'stripe_invoice_id', c.stripe_invoice_id || '_' || k
)) AS r
WHERE c.state = 'paid'
"""
_COPY_PAYMENTS = """
INSERT INTO billing.stripe_payments ({columns})
SELECT {copied}
FROM billing.stripe_payments AS p
INNER JOIN billing.stripe_charges AS c USING (invoice_id)
CROSS JOIN generate_series(1, :copies) AS k
CROSS JOIN LATERAL jsonb_populate_record(p, jsonb_build_object(
    'payment_id', p.payment_id || '_' || k,
    'invoice_id', md5(p.invoice_id::text || k)::uuid,
    'stripe_invoice_id', p.stripe_invoice_id || '_' || k,
    'payment_intent_id', p.payment_intent_id || '_' || k
)) AS r
WHERE c.state = 'paid'
"""


def _seed(lists: Lists, paid: set[str], copies: int, each: int, drawn: random.Random) -> Found:
    """Change what Stripe lists; returns what has to be found."""
    candidates = sorted(_copied_id(one, number) for one in paid for number in range(1, copies + 1))
    chosen = dict(zip(drawn.sample(candidates, each * len(KINDS)), KINDS * each, strict=True))
    seeded: Found = set()
    changed: list[ListedBook] = []
    gone: set[str] = set()
    for one in lists.invoices:
        kind = chosen.get(str(one.invoice_id))
        if kind == "missing_here":  # one of ours that our books know nothing of, beside the one that they know
            stranger = _copied_id(str(one.invoice_id), 0)
            changed += [one, replace(one, stripe_invoice_id=f"{one.stripe_invoice_id}_extra", invoice_id=stranger)]
            seeded.add((kind, stranger))
            continue
        if kind == "missing_at_stripe":
            gone.add(one.stripe_invoice_id)
        elif kind == "amount_or_currency":
            changed.append(replace(one, total_minor=one.total_minor + drawn.choice([-1, 1])))
        elif kind == "status":
            changed.append(replace(one, status="open"))
        elif kind == "duplicate":
            changed += [one, replace(one, stripe_invoice_id=f"{one.stripe_invoice_id}_again", status="open")]
        else:
            changed.append(one)
        if kind is not None:
            seeded.add((kind, one.invoice_id))
    lists.invoices = changed
    lists.payments = [one for one in lists.payments if one.stripe_invoice_id not in gone]
    return seeded
