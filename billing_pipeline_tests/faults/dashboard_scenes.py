"""Scenes of what banks and people at Stripe do while a month is charged: debits, part payments, edits in the dashboard."""

from collections.abc import Callable
from typing import Any

from billing_pipeline.charging.void_at_stripe import VoidRefused, void_charge
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.relink_customer import relink_customer
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.invoicing.finalisation_policy import set_finalisation_policy
from billing_pipeline_tests.charging.days import Days
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of
from billing_pipeline_tests.faults.arena import DECLINED, Arena, Hurried
from billing_pipeline_tests.faults.staged import Staged

DAY_S = 86_400
_SCENE = Signature("scene", "so it is played")


def bank_is_asked_once(run: Arena) -> None:
    """A debit is under way for days, its key is long forgotten, runs and questions go on: one debit."""
    run.add([Bill("a", card=None)])
    _pays_by(run, "sepa_debit", outcome="stays_processing")
    run.clean_pass()
    days = Days(run)
    for _ in range(4):
        run.stripe.control("POST", "/clock", {"advance_s": DAY_S})
        days.after(days=1)
        run.clean_pass()
    assert _payments_asked_for(run) == 1, "the bank was asked again"
    run.stripe.control("POST", "/debits/settle", {"invoice": run.stripe_id("a"), "outcome": "success"})
    days.after(days=1)
    assert (run.states(), _collected(run)) == ({"a": ("paid", None)}, 4000)


def debit_fails_after_its_answer_was_lost(run: Arena) -> None:
    """Nobody heard that the debit was taken on; it fails days later: refused with the bank's reason, asked for once."""
    run.add([Bill("a", card=None)])
    _pays_by(run, "sepa_debit", outcome="stays_processing")
    run.stripe.fault("drop_after_effect", "POST /v1/invoices/*/pay", times=1)
    run.clean_pass()
    run.stripe.heal()
    run.stripe.control("POST", "/clock", {"advance_s": 4 * DAY_S})
    run.stripe.control("POST", "/debits/settle", {"invoice": run.stripe_id("a"), "outcome": "account_closed"})
    days = Days(run)
    for _ in range(3):
        days.after(days=1)
        run.clean_pass()
    assert run.states() == {"a": ("refused", "account_closed")}
    assert _payments_asked_for(run) == 1, "the bank was asked again"


def part_is_paid_meanwhile(run: Arena) -> None:
    """Somebody charges a part in the dashboard just before we ask for payment: in all no more than the total comes."""

    def charge_a_part() -> None:
        run.stripe.control("POST", f"/dashboard/invoices/{run.stripe_id('a')}/charge_customer", {"amount_minor": 1000})

    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")
    run.charge(Staged(run.gateway(), "pay_invoice", before=charge_a_part), stop=Hurried())
    run.clean_pass()
    assert run.states() == {"a": ("paid", None)}
    assert _collected(run) == 4000, f"{_collected(run)} of 4000 were collected"


def part_is_paid_before_a_void(run: Arena) -> None:
    """What is paid in part is not void, whoever asks and whenever."""
    run.add([Bill("a", card=DECLINED)])
    run.clean_pass()
    run.stripe.control("POST", "/customer_payment_methods", {"customer": "a", "kind": "good"})
    run.stripe.control("POST", f"/dashboard/invoices/{run.stripe_id('a')}/charge_customer", {"amount_minor": 1000})
    try:
        void_charge(run.warehouse, run.gateway(), invoice_id_of("a"), _SCENE, sleep=lambda _: None)
    except VoidRefused:
        pass
    else:
        raise AssertionError("what is paid in part was voided")
    assert run.states()["a"][0] == "refused"


def revised_meanwhile(run: Arena) -> None:
    """The invoice is revised in the dashboard before it is paid: ours is void, and nobody is asked for both."""

    def revise() -> None:
        edit = {"lines": [{"amount": 1300}], "keep_metadata": False}
        run.stripe.control("POST", f"/dashboard/invoices/{run.stripe_id('a')}/revise", edit)

    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")
    run.charge(Staged(run.gateway(), "pay_invoice", before=revise), stop=Hurried())
    for _ in range(2):
        run.clean_pass()
    assert run.states() == {"a": ("void", "voided_at_stripe")}
    assert run.warehouse.scalar("SELECT count(*) FROM billing.voids_to_decide") == 1, "nobody is asked to decide"
    found = sorted((invoice["status"], invoice["total"]) for invoice in run.stripe.invoices())
    assert found in ([("open", 1300), ("void", 4000)], [("paid", 1300), ("void", 4000)]), found
    assert _collected(run) in (0, 1300), f"{_collected(run)} were collected, the revision is over 1300"


def method_is_detached_meanwhile(run: Arena) -> None:
    """The card is taken away before it is asked: refused with the reason, and paid once there is another."""

    def detach() -> None:
        customer = run.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers")
        for method in run.stripe.api.payment_methods.list({"customer": str(customer)}).data:
            run.stripe.control("POST", f"/dashboard/payment_methods/{method.id}/detach", {})

    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")
    run.charge(Staged(run.gateway(), "pay_invoice", before=detach), stop=Hurried())
    assert run.states() == {"a": ("refused", "no_payment_method")}
    run.catch_up()
    run.stripe.control("POST", "/customer_payment_methods", {"customer": "a", "kind": "good"})
    run.catch_up()
    Days(run).after(hours=1)


def refunded_meanwhile(run: Arena) -> None:
    """A payment is given back in the dashboard: nobody is asked for it again."""
    run.add([Bill("a")])
    run.clean_pass()
    charge = run.stripe.api.charges.list().data[0].id
    run.stripe.control("POST", f"/dashboard/charges/{charge}/refund", {})
    run.catch_up()
    for _ in range(2):
        run.clean_pass()
    assert _payments_asked_for(run) == 1


def _customer_is_deleted(call: str) -> Callable[[Arena], None]:
    def scene(run: Arena) -> None:
        def delete() -> None:
            gone = run.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers")
            run.stripe.control("POST", f"/dashboard/customers/{gone}/delete", {})

        run.add([Bill("a")])
        finalise_month(run.warehouse, MONTH, "scene")
        run.charge(Staged(run.gateway(), call, before=delete), stop=Hurried())
        assert run.states()["a"][0] == "parked"
        new = {"name": "another", "payment_method": "pm_card_visa"}
        to = run.stripe.api.customers.create(new).id  # type: ignore[arg-type]
        [method] = run.stripe.api.payment_methods.list({"customer": to}).data
        run.stripe.api.customers.update(to, {"invoice_settings": {"default_payment_method": method.id}})
        relink_customer(run.warehouse, run.gateway(), "a", _SCENE, to=to)
        run.clean_pass()

    scene.__doc__ = f"The customer is deleted just before {call}, and gets another one: charged there, once."
    return scene


deleted_before_create = _customer_is_deleted("create_invoice")
deleted_before_lines = _customer_is_deleted("add_lines")
deleted_before_finalize = _customer_is_deleted("finalize_invoice")


def too_early(run: Arena) -> None:
    """The time for looking is not over: nothing is final, nothing is asked for."""
    set_finalisation_policy(
        run.warehouse, author="scene", require_approval=False, review_hours=24, charge_as_approved=False
    )
    run.add([Bill("a")])
    for _ in range(2):
        run.clean_pass()
    assert run.warehouse.scalar("SELECT count(*) FROM billing.stripe_charges") == 0, "it was charged before its time"
    assert not run.stripe.invoices()


def _pays_by(run: Arena, kind: str, **fields: Any) -> None:
    run.stripe.control("POST", "/customer_payment_methods", {"customer": "a", "kind": kind, **fields})


def _payments_asked_for(run: Arena) -> int:
    return sum(write.endswith("/pay") for write in run.stripe.writes())


def _collected(run: Arena) -> int:
    return sum(charge.amount_captured for charge in run.stripe.api.charges.list({"limit": 100}).auto_paging_iter())


PAID_ONCE = (
    method_is_detached_meanwhile,
    deleted_before_create,
    deleted_before_lines,
    deleted_before_finalize,
)
"""After these the invoice is paid, once, and Stripe has one live one of it."""
DASHBOARD: dict[str, Callable[[Arena], None]] = {
    "bank_is_asked_once": bank_is_asked_once,
    "debit_fails_after_its_answer_was_lost": debit_fails_after_its_answer_was_lost,
    "part_is_paid_meanwhile": part_is_paid_meanwhile,
    "part_is_paid_before_a_void": part_is_paid_before_a_void,
    "revised_meanwhile": revised_meanwhile,
    "method_is_detached_meanwhile": method_is_detached_meanwhile,
    "refunded_meanwhile": refunded_meanwhile,
    "deleted_before_create": deleted_before_create,
    "deleted_before_lines": deleted_before_lines,
    "deleted_before_finalize": deleted_before_finalize,
    "too_early": too_early,
}
