"""A customer that was deleted at Stripe gets another one there, and its charges go on, each once."""

from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.another_customer import RelinkRefused, customers_to_relink
from billing_pipeline.charging.operations import retry_charge
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.relink_customer import Relinked, relink_customer
from billing_pipeline.postgres.locks import charge_lock_key, customer_at_stripe_lock_key
from billing_pipeline.postgres.roles import as_login
from billing_pipeline_tests.charging.world import NO_EXPECTATION, Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld, holding
from billing_pipeline_tests.faults.staged import Staged

ANN = Signature("ann", "deleted by mistake")


def customer_of(world: EventWorld, customer_id: str = "a") -> str:
    return str(
        world.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers WHERE customer_id = :c", c=customer_id)
    )


def delete_at_stripe(world: EventWorld, customer_id: str = "a") -> str:
    gone = customer_of(world, customer_id)
    world.stripe.control("POST", f"/dashboard/customers/{gone}/delete", {})
    return gone


def relink(world: EventWorld, customer_id: str = "a", api: Any = None, **options: Any) -> Relinked:
    return relink_customer(world.warehouse, api or world.gateway(), customer_id, ANN, **options)


def another(world: EventWorld, name: str = "elsewhere") -> str:
    """A customer with a good card that was made by hand."""
    made = world.stripe.api.customers.create({"name": name, "payment_method": "pm_card_visa"})
    [method] = world.stripe.api.payment_methods.list({"customer": made.id}).data
    world.stripe.api.customers.update(made.id, {"invoice_settings": {"default_payment_method": method.id}})
    return str(made.id)


def paid_invoices(world: EventWorld) -> list[str]:
    """Customers at Stripe of the paid invoices, one an invoice."""
    return [invoice["customer"] for invoice in world.stripe.invoices() if invoice["status"] == "paid"]


def retry(world: EventWorld, customer_id: str = "a") -> None:
    options: dict[str, Any] = {"limits": NO_EXPECTATION, "log": world.said.append}
    retry_charge(world.warehouse, world.gateway(), invoice_id_of(customer_id), ANN, **options)


@pytest.mark.parametrize("goes_on", ["run", "retry"])
def test_what_was_parked_goes_on_at_the_other_customer_once(world: EventWorld, goes_on: str) -> None:
    world.bill(Bill("a"))
    gone = delete_at_stripe(world)
    world.charge()
    assert world.states() == {"a": ("parked", "customer_missing")}
    assert [row["customer_id"] for row in customers_to_relink(world.warehouse)] == ["a"]
    to = another(world)
    done = relink(world, to=to)
    assert (done.before, done.now, done.going_on, done.left) == (gone, to, ["INV-00000001"], {})
    assert customers_to_relink(world.warehouse) == []
    if goes_on == "retry":
        retry(world)
    for _ in range(2):
        world.charge()
    assert world.states() == {"a": ("paid", None)}
    assert paid_invoices(world) == [to]
    assert world.problems() == []
    assert world.stripe.api.customers.retrieve(to).to_dict(for_json=True)["metadata"] == {"customer_id": "a"}
    logged = world.warehouse.rows("SELECT * FROM billing.automation_log WHERE action = 'customer.relink'")
    assert [(row["actor"], row["object_id"], row["reason"]) for row in logged] == [("ann", "a", "deleted by mistake")]


def test_without_another_one_a_new_one_is_made_that_waits_for_a_payment_method(world: EventWorld) -> None:
    world.bill(Bill("a"))
    gone = delete_at_stripe(world)
    world.charge()
    now = relink(world).now
    assert now != gone
    world.charge()
    assert world.states() == {"a": ("refused", "no_payment_method")}
    world.stripe.control("POST", "/customer_payment_methods", {"customer": "a", "kind": "good"})
    retry(world)
    assert (world.states(), paid_invoices(world)) == ({"a": ("paid", None)}, [now])


def test_a_customer_that_we_made_ourselves_today_is_not_made_again_under_its_key(world: EventWorld) -> None:
    world.bill(Bill("a", at_stripe=False))
    world.charge()
    gone = delete_at_stripe(world)
    now = relink(world).now
    assert now != gone
    assert [customer.id for customer in world.gateway().list_customers()] == [now]


@pytest.mark.parametrize("call", ["create_invoice", "add_lines", "finalize_invoice", "pay_invoice"])
@pytest.mark.parametrize("answer", ["comes", "is lost"])
def test_a_deletion_between_two_calls_ends_paid_once_or_billed_again(world: EventWorld, call: str, answer: str) -> None:
    world.bill(Bill("a"))
    operation = {"create_invoice": ""}.get(call, f"/*/{call.removesuffix('_invoice')}")
    if answer == "is lost":
        world.stripe.fault("drop_after_effect", f"POST /v1/invoices{operation}", times=1)
        api: Any = _DeletingAfter(world, call)
    else:
        api = Staged(world.gateway(), call, before=lambda: delete_at_stripe(world))
    world.charge(api)
    world.stripe.heal()
    if world.states()["a"] == ("paid", None):
        assert (call, answer) == ("pay_invoice", "is lost")
        with pytest.raises(RelinkRefused):
            relink(world, to=customer_of(world))
        return
    to = another(world)
    done = relink(world, to=to)
    was_issued = call == "pay_invoice" or (call, answer) == ("finalize_invoice", "is lost")
    assert (bool(done.going_on), bool(done.billed_again), done.left) == (not was_issued, was_issued, {})
    for _ in range(3):
        world.charge()
    live = [invoice for invoice in world.stripe.invoices() if invoice["status"] != "void"]
    if was_issued:
        assert (world.states()["a"][0], live) == ("void", [])
    else:
        assert (world.states(), paid_invoices(world), len(live)) == ({"a": ("paid", None)}, [to], 1)
    assert world.problems() == []


class _DeletingAfter:
    """Stripe, where the customer is deleted after the call, whatever its answer."""

    def __init__(self, world: EventWorld, call: str) -> None:
        self._world, self._api, self._call = world, world.gateway(), call

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        if name != self._call:
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._call = ""
            try:
                return found(*arguments, **options)
            finally:
                delete_at_stripe(self._world)

        return call


def test_what_was_refused_at_the_customer_that_is_gone_is_void_and_its_period_free_to_be_billed_again(
    world: EventWorld,
) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    delete_at_stripe(world)
    done = relink(world)
    assert [one.number for one in done.billed_again] == ["INV-00000001"]
    assert world.states()["a"][0] == "void"
    assert [invoice["status"] for invoice in world.stripe.invoices()] == ["void"]
    assert world.warehouse.rows("SELECT * FROM billing.unbilled_periods WHERE lifted_at IS NULL") == []


def test_the_same_command_twice_changes_nothing_more(world: EventWorld) -> None:
    world.bill(Bill("a"))
    delete_at_stripe(world)
    world.charge()
    now = relink(world).now
    for options in ({}, {"to": now}):
        with pytest.raises(RelinkRefused, match="no charge stands on another one"):
            relink(world, **options)
    assert len(list(world.gateway().list_customers())) == 1
    assert world.warehouse.scalar("SELECT count(*) FROM billing.customer_relinks") == 1


def test_two_at_a_time_make_one_customer(world: EventWorld) -> None:
    world.bill(Bill("a"))
    delete_at_stripe(world)
    world.charge()
    looking, go_on = Event(), Event()
    ended: list[Relinked] = []

    def hold() -> None:
        looking.set()
        go_on.wait(30)

    staged = Staged(world.gateway(), "create_customer", before=hold)
    first = Thread(target=lambda: ended.append(relink(world, api=staged)))
    first.start()
    assert looking.wait(30)
    try:
        with pytest.raises(RelinkRefused, match="right now"):
            relink(world)
    finally:
        go_on.set()
        first.join()
    assert [done.now for done in ended] == [customer.id for customer in world.gateway().list_customers()]


def test_a_new_customer_whose_answer_was_lost_is_found_by_the_same_command(world: EventWorld) -> None:
    world.bill(Bill("a"))
    delete_at_stripe(world)
    world.stripe.fault("drop_after_effect", "POST /v1/customers", times=1)
    world.stripe.fault("expire_key", "POST /v1/customers", skip=1, times=1)
    assert relink(world).now == next(world.gateway().list_customers()).id
    assert len(list(world.gateway().list_customers())) == 1


def test_while_a_run_is_at_an_invoice_it_is_left_and_the_command_goes_on_later(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("b"))
    delete_at_stripe(world)
    world.charge()
    to = another(world)
    with holding(world, charge_lock_key(invoice_id_of("a"))):
        done = relink(world, to=to)
    assert (done.going_on, list(done.left)) == ([], ["INV-00000001"])
    assert relink(world).going_on == ["INV-00000001"]
    world.charge()
    assert (world.states()["a"], paid_invoices(world).count(to)) == (("paid", None), 1)


def test_a_payment_under_way_or_in_part_stays_where_it_is(world: EventWorld) -> None:
    world.bill(Bill("a", card=None), Bill("b", card="pm_card_chargeCustomerFail"))
    world.stripe.control(
        "POST", "/customer_payment_methods", {"customer": "a", "kind": "sepa_debit", "outcome": "stays_processing"}
    )
    world.charge()
    world.stripe.control("POST", "/customer_payment_methods", {"customer": "b", "kind": "good"})
    world.stripe.control("POST", f"/dashboard/invoices/{world.stripe_id('b')}/charge_customer", {"amount_minor": 1000})
    left: dict[str, str] = {}
    for customer in "ab":
        delete_at_stripe(world, customer)
        left |= relink(world, customer).left
    assert "has a payment that is processing" in left["INV-00000001"]
    assert "is paid in part, 10.00 USD of 40.00 USD" in left["INV-00000002"]
    assert world.states()["a"][0] == "finalized"
    assert world.states()["b"][0] == "refused"
    world.stripe.control("POST", "/debits/settle", {"invoice": world.stripe_id("a"), "outcome": "success"})
    world.charge()
    assert world.states()["a"] == ("paid", None)


def test_what_is_not_gone_is_not_replaced(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("b"), Bill("none", at_stripe=False))
    to = another(world)
    for customer, options, why in [
        ("a", {"to": to}, "is there and not deleted"),
        ("none", {}, "has no customer at Stripe yet"),
        ("nobody", {}, "found none"),
    ]:
        with pytest.raises(RelinkRefused, match=why):
            relink(world, customer, **options)
    gone = delete_at_stripe(world, "a")
    for options, why in [
        ({"to": gone}, "is deleted"),
        ({"to": "cus_never"}, "is not there"),
        ({"to": customer_of(world, "b")}, "b's, by its metadata"),
    ]:
        with pytest.raises(RelinkRefused, match=why):
            relink(world, "a", **options)
    world.stripe.api.customers.update(customer_of(world, "b"), {"metadata": ""})
    with pytest.raises(RelinkRefused, match="another customer's of ours"):
        relink(world, "a", to=customer_of(world, "b"))
    assert customer_of(world, "a") == gone


def test_an_id_that_stripe_never_had_needs_the_right_one(world: EventWorld) -> None:
    world.bill(Bill("a"))
    with world.warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE billing.customers SET stripe_customer_id = 'cus_typed_wrongly'"))
    with pytest.raises(RelinkRefused, match="never had cus_typed_wrongly under this key"):
        relink(world)
    to = another(world)
    assert relink(world, to=to).now == to


def test_events_of_the_customer_that_is_gone_are_still_ours(world: EventWorld) -> None:
    world.bill(Bill("a"))
    gone = delete_at_stripe(world)
    relink(world)
    world.catch_up()
    told = {row["stripe_customer_id"]: row["status"] for row in world.mirrored("stripe_customers")}
    assert told[gone] == "deleted"
    assert customers_to_relink(world.warehouse) == []


def test_postgres_refuses_another_customer_at_stripe_without_a_decision(world: EventWorld) -> None:
    world.bill(Bill("a"))
    delete_at_stripe(world)
    world.charge()
    for statement in (
        "UPDATE billing.customers SET stripe_customer_id = 'cus_other'",
        "UPDATE billing.customers SET stripe_customer_id = NULL",
        "UPDATE billing.stripe_charges SET state = 'intended', attempt = 2, stripe_customer_id = 'cus_other'",
        "UPDATE billing.charge_relinks SET reason = 'x'",
        "DELETE FROM billing.customer_relinks",
    ):
        with pytest.raises(DBAPIError):
            _change_and_log(world, statement)


def _change_and_log(world: EventWorld, statement: str) -> None:
    """With what else Postgres asks for: entries in the log are no decision."""
    with world.warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text(statement))
        connection.execute(text(_SEEN))


_SEEN = """
INSERT INTO billing.automation_log (actor, action, object_type, object_id, state_after)
SELECT 'test', 'customer.link', 'customer', customer_id, jsonb_build_object('stripe_customer_id', stripe_customer_id)
FROM billing.customers
UNION ALL
SELECT 'test', 'charge.test', 'invoice', invoice_id::text, jsonb_build_object('state', state) FROM billing.stripe_charges
"""


def test_the_lock_of_relinking_is_given_back(world: EventWorld) -> None:
    world.bill(Bill("a"))
    with holding(world, customer_at_stripe_lock_key("a")), pytest.raises(RelinkRefused, match="right now"):
        relink(world)
    delete_at_stripe(world)
    relink(world)
