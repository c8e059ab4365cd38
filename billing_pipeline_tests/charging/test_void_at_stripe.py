"""An invoice is voided once, after Stripe was asked, and never when money moved."""

import threading
from typing import Any

import pytest
from sqlalchemy import text

from billing_pipeline.charging.void_at_stripe import Voided, VoidRefused, void_charge
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY, Bill, World, invoice_id_of


def void(world: World, customer_id: str, api: StripeGateway | None = None) -> Voided:
    return void_charge(
        world.warehouse,
        api or world.gateway(),
        invoice_id_of(customer_id),
        Signature("ann", "billed by mistake"),
        sleep=lambda _: None,
    )


def upto(world: World, operation: str) -> None:
    """Charge, but nothing gets beyond the operation."""
    world.stripe.fault("drop_before_effect", f"POST /v1/invoices/*/{operation}")
    world.charge()
    world.stripe.heal()


@pytest.mark.parametrize(
    ("operation", "at_stripe"),
    [("add_lines", []), ("finalize", []), ("pay", ["void"])],
)
def test_whatever_is_live_at_stripe_is_void_there_and_here(world: World, operation: str, at_stripe: list[str]) -> None:
    world.bill(Bill("a"))
    upto(world, operation)
    stripe_id = world.charges()["a"]["stripe_invoice_id"]
    assert void(world, "a") == Voided(invoice_id_of("a"), (stripe_id,))
    assert [invoice["status"] for invoice in world.stripe.invoices()] == at_stripe  # a draft is deleted
    charge = world.charges()["a"]
    assert (charge["state"], charge["status"], charge["reason"]) == ("void", "void", "billed by mistake")
    entry = world.warehouse.rows(
        "SELECT actor, action, reason FROM billing.automation_log ORDER BY log_id DESC LIMIT 1"
    )
    assert entry == [{"actor": "ann", "action": "charge.void", "reason": "billed by mistake"}]


def test_an_intent_that_stripe_never_heard_of_is_void_without_a_write(world: World) -> None:
    world.bill(Bill("a"))
    writes = world.stripe.writes()
    assert void(world, "a") == Voided(invoice_id_of("a"), ())
    assert world.stripe.writes() == writes
    assert world.charge().worked_on == 0


def test_voiding_twice_calls_nobody(world: World) -> None:
    world.bill(Bill("a"))
    upto(world, "pay")
    void(world, "a")
    gateway = world.gateway()
    assert void(world, "a", gateway) == Voided(invoice_id_of("a"), (), already=True)
    assert gateway.calls_made == 0


def test_a_refused_charge_is_voided(world: World) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    void(world, "a")
    assert world.stripe.invoices()[0]["status"] == "void"


def test_a_row_that_a_failover_rewound_does_not_hide_what_is_at_stripe(world: World) -> None:
    world.bill(Bill("a"))
    upto(world, "pay")
    world.forget("a")
    with world.warehouse.transaction() as connection:
        connection.execute(
            text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        )  # a failover asks no trigger
        connection.execute(text("UPDATE billing.customers SET stripe_customer_id = NULL"))
    void(world, "a")
    assert [invoice["status"] for invoice in world.stripe.invoices()] == ["void"]


def test_both_of_two_live_invoices_are_voided(world: World) -> None:
    world.bill(Bill("a"))
    upto(world, "pay")
    customer = world.charges()["a"]["stripe_customer_id"]
    second = world.gateway().create_invoice(world.request("a")["invoice"], customer, key="second").id
    assert second in void(world, "a").stripe_invoice_ids
    assert [invoice["status"] for invoice in world.stripe.invoices()] == ["void"]


def test_a_paid_invoice_is_not_voided(world: World) -> None:
    world.bill(Bill("a"))
    world.charge()
    with pytest.raises(VoidRefused, match="is paid: refund or credit it"):
        void(world, "a")
    assert world.states() == {"a": ("paid", None)}


def test_a_payment_that_stripe_knows_and_we_do_not_is_recorded_instead(world: World) -> None:
    world.bill(Bill("a"))
    upto(world, "pay")
    world.stripe.api.invoices.pay(world.charges()["a"]["stripe_invoice_id"])
    with pytest.raises(VoidRefused, match="is paid at Stripe"):
        void(world, "a")
    assert world.states() == {"a": ("paid", None)}
    assert world.charges()["a"]["status"] == "paid"


def test_a_payment_that_comes_between_asking_and_voiding_wins(world: World) -> None:
    class Late(StripeGateway):
        def void_invoice(self, stripe_id: str, *, key: str) -> Any:
            world.stripe.api.invoices.pay(stripe_id)
            return super().void_invoice(stripe_id, key=key)

    world.bill(Bill("a"))
    upto(world, "pay")
    with pytest.raises(VoidRefused, match="is paid at Stripe"):
        void(world, "a", Late(KEY, world.stripe.base_url))
    assert world.states() == {"a": ("paid", None)}


@pytest.mark.parametrize(
    "fault", ["drop_before_effect", "drop_after_effect", "error_500_with_effect", "error_500_without_effect"]
)
@pytest.mark.parametrize("operation", ["add_lines", "pay"])
def test_a_lost_answer_is_asked_for(world: World, fault: str, operation: str) -> None:
    world.bill(Bill("a"))
    upto(world, operation)
    world.stripe.fault(fault, "POST /v1/invoices/*/void", times=1)
    world.stripe.fault(fault, "DELETE /v1/invoices/*", times=1)
    void(world, "a")
    assert {invoice["status"] for invoice in world.stripe.invoices()} <= {"void"}
    assert world.states()["a"][0] == "void"


def test_without_a_definite_answer_ours_stays_as_it_is_and_the_next_call_goes_on(world: World) -> None:
    world.bill(Bill("a"))
    upto(world, "pay")
    world.stripe.fault("drop_after_effect", "POST /v1/invoices/*/void")
    world.stripe.fault("drop_before_effect", "GET /v1/invoices/*", skip=1)
    with pytest.raises(VoidRefused, match="cannot be asked"):
        void(world, "a")
    assert world.states()["a"][0] == "finalized"
    world.stripe.heal()
    void(world, "a")
    assert world.states()["a"][0] == "void"


def test_an_invoice_that_is_being_charged_is_not_voided(world: World) -> None:
    world.bill(Bill("a"))
    with world.warehouse.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": charge_lock_key(invoice_id_of("a"))})
        with pytest.raises(VoidRefused, match="is being charged right now"):
            void(world, "a")
    assert world.states() == {"a": ("intended", None)}


def test_two_at_once_void_it_once(world: World) -> None:
    world.bill(Bill("a"))
    upto(world, "pay")
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(void(world, "a"))
        except VoidRefused as refused:
            ended.append(refused)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [one for one in ended if isinstance(one, Voided)]
    assert [one for one in done if not one.already]
    assert len([call for call in world.stripe.writes() if call.endswith("/void")]) == 1
    assert world.states()["a"][0] == "void"


@pytest.mark.parametrize(
    ("invoice_id", "author", "reason", "says"),
    [
        (invoice_id_of("nobody"), "ann", "x", "expected a finalised invoice"),
        ("INV-1", "ann", "x", "'INV-1': expected an invoice_id, a UUID"),
        (invoice_id_of("nobody"), " ", "x", 'author "": expected a text'),
        (invoice_id_of("nobody"), "ann", "", 'reason "": expected a text'),
    ],
)
def test_a_mistake_is_named(world: World, invoice_id: str, author: str, reason: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        void_charge(world.warehouse, world.gateway(), invoice_id, Signature(author, reason))


def test_a_draft_is_not_voided(world: World) -> None:
    world.drafts(Bill("a"))
    with pytest.raises(VoidRefused, match="expected a finalised invoice"):
        void(world, "a")
