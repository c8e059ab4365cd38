"""A month that was charged, and everything that happened at Stripe since: the events, and the books before any of them.

The emulator is a process of its own and stays as it is at the end of the story: events are hints, and whoever follows
one finds the object as it is now.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.lean_http import HOST, free_port
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.charging.world import Bill, Emulated, World
from billing_pipeline_tests.databases import copy_database, open_database
from billing_pipeline_tests.storm.machines import TEMPLATE, Postgres
from billing_pipeline_tests.storm.sender import Parcel

BOOKS = "storm_books"
CARDS = (
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_chargeCustomerFail",
    "pm_card_chargeCustomerFail",
    "pm_card_createDispute",
    "pm_card_authenticationRequired",
    "pm_card_refundFail",
)
STRANGERS = 10
_SERVE = (
    "import sys; from pathlib import Path;"
    "from billing_pipeline.sandbox.stripe_emulator.config import EmulatorConfig;"
    "from billing_pipeline.sandbox.stripe_emulator.server import serve;"
    "serve(Path(sys.argv[1]), port=int(sys.argv[2]),"
    " config=EmulatorConfig(rate_limit_per_s=0, rate_limit_per_endpoint_per_s=0))"
)


@contextmanager
def emulator_process(folder: Path) -> Iterator[Emulated]:
    """An emulator without limits on its rate, in a process of its own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", _SERVE, str(folder / "stripe.sqlite"), str(port)], cwd=ROOT)
    emulated = Emulated(f"http://{HOST}:{port}")
    try:
        for _ in range(1_200):
            assert process.poll() is None, "the emulator ended by itself"
            try:
                emulated.control("GET", "/healthz")
                break
            except OSError:
                time.sleep(0.05)
            except Exception:  # noqa: BLE001 - httpx has errors of its own
                time.sleep(0.05)
        yield emulated
    finally:
        emulated.http.close()
        process.terminate()
        process.wait()


def build_books(
    postgres: Postgres, stripe_side: Emulated, invoices: int, seed: int, books: str = BOOKS
) -> list[Parcel]:
    """Charge a month of `invoices`, let things happen at Stripe, and return all events in the order of their making.

    The books as they are before any event was applied become the template database `books`.
    """
    _copy_database(postgres, TEMPLATE, books)
    warehouse = open_database(postgres.server, books)
    world = World(warehouse, stripe_side)
    bills = [
        Bill(f"c{number:05}", amounts=(1_000 + number, 250), card=CARDS[number % len(CARDS)])
        for number in range(invoices)
    ]
    with ThreadPoolExecutor(8) as pool:
        ids = dict(zip((bill.customer_id for bill in bills), pool.map(stripe_side.customer, bills), strict=True))
        world.stripe = _known_customers(stripe_side, ids)
        world.bill(*bills)
        world.stripe = stripe_side
        world.charge(workers=8)
        list(pool.map(lambda item: _story(stripe_side, *item), _chapters(world, seed)))
    for number, dispute in enumerate(stripe_side.api.disputes.list({"limit": 100}).auto_paging_iter()):
        if number % 3:
            stripe_side.control("POST", f"/disputes/{dispute.id}/close", {"status": ("won", "lost")[number % 2]})
    for number in range(STRANGERS):
        _strangers(stripe_side, number)
    warehouse.engine.dispose()
    return listed_events(stripe_side)


def _known_customers(stripe_side: Emulated, ids: dict[str, str]) -> Any:
    class Known(Emulated):
        def customer(self, bill: Bill) -> str:
            return ids[bill.customer_id]

    return Known(stripe_side.base_url)


def _chapters(world: World, seed: int) -> list[tuple[int, dict[str, Any]]]:
    drawn = random.Random(seed)
    return [(drawn.randrange(1_000), row) for _, row in sorted(world.charges().items())]


def _story(stripe_side: Emulated, draw: int, charge: dict[str, Any]) -> None:
    """What happens to one invoice after it was charged."""
    api, invoice = stripe_side.api, charge["stripe_invoice_id"]
    customer = charge["stripe_customer_id"]
    if charge["state"] == "paid" and _card(charge) == "pm_card_createDispute":
        pass  # what is charged back is not refunded as well
    elif charge["state"] == "paid":
        if draw % 3 == 0:
            _refund(stripe_side, invoice, 100 if draw % 2 else None)
        elif draw % 3 == 1:
            api.credit_notes.create({"invoice": invoice, "amount": 200, "refund_amount": 200})
    else:
        _unpaid(stripe_side, draw % 8, invoice, customer)
    if "deleted" in api.customers.retrieve(customer):
        return
    if draw % 5 == 0:
        api.customers.update(customer, {"name": f"renamed {draw}"})
    if draw % 7 == 0:
        extra = api.payment_methods.attach("pm_card_mastercard", {"customer": customer}).id
        api.payment_methods.detach(extra)


def _unpaid(stripe_side: Emulated, way: int, invoice: str, customer: str) -> None:
    """What becomes of an invoice that was refused: one of eight things."""
    api = stripe_side.api
    match way:
        case 0:
            api.invoices.void_invoice(invoice)
        case 1:
            api.invoices.mark_uncollectible(invoice)
        case 2:
            edit = {"lines": [{"amount": 700}], "keep_metadata": False}
            stripe_side.control("POST", f"/dashboard/invoices/{invoice}/revise", edit)
        case 3:
            _give(stripe_side, customer, "good")
            stripe_side.control("POST", f"/dashboard/invoices/{invoice}/charge_customer", {"amount_minor": 500})
        case 4 | 5:
            _give(stripe_side, customer, "sepa_debit", outcome="stays_processing")
            api.invoices.pay(invoice)
            answer = "success" if way == 5 else "account_closed"
            stripe_side.control("POST", "/debits/settle", {"invoice": invoice, "outcome": answer})
        case 6:
            stripe_side.control("POST", f"/dashboard/customers/{customer}/delete", {})
        case _:
            method = api.payment_methods.attach("pm_card_visa", {"customer": customer}).id
            api.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
            api.invoices.pay(invoice, {"payment_method": method})


def _give(stripe_side: Emulated, customer: str, kind: str, **fields: Any) -> None:
    stripe_side.control("POST", "/customer_payment_methods", {"customer": customer, "kind": kind, **fields})


def _card(charge: dict[str, Any]) -> str:
    return CARDS[int(charge["customer_id"][1:]) % len(CARDS)]


def _refund(stripe_side: Emulated, invoice: str, amount: int | None) -> None:
    paid = stripe_side.api.invoices.retrieve(invoice, {"expand": ["payments"]}).to_dict(for_json=True)
    intent = paid["payments"]["data"][0]["payment"]["payment_intent"]
    stripe_side.api.refunds.create({"payment_intent": intent} | ({"amount": amount} if amount else {}))  # type: ignore[arg-type]


def _strangers(stripe_side: Emulated, number: int) -> None:
    """Somebody else's customer and invoice in the same account."""
    api = stripe_side.api
    customer = api.customers.create({"name": f"stranger {number}"}).id
    invoice = api.invoices.create({"customer": customer}).id
    assert invoice is not None
    api.invoices.finalize_invoice(invoice)


def listed_events(stripe_side: Emulated) -> list[Parcel]:
    """All events of the emulator, in the order of their making."""
    listed: list[dict[str, Any]] = []
    page: dict[str, Any] = {"has_more": True}
    while page["has_more"]:
        after = f"&starting_after={listed[-1]['id']}" if listed else ""
        page = stripe_side.http.get(
            f"/v1/events?limit=100{after}", headers={"Authorization": "Bearer sk_test_emulator"}
        ).json()
        listed += page["data"]
    return [Parcel(event["id"], json.dumps(event).encode()) for event in reversed(listed)]


def _copy_database(postgres: Postgres, template: str, name: str) -> None:
    admin = create_engine(embedded_postgres.database_url(postgres.server, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        copy_database(connection, template, name)
    admin.dispose()


@contextmanager
def copied_books(postgres: Postgres, name: str, template: str = BOOKS) -> Iterator[Warehouse]:
    """The books before any event, to themselves; dropped at the end."""
    _copy_database(postgres, template, name)
    warehouse = open_database(postgres.server, name)
    try:
        yield warehouse
    finally:
        warehouse.engine.dispose()
        admin = create_engine(embedded_postgres.database_url(postgres.server, "postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
