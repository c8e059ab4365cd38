"""What is done to settlements: approved, withdrawn, carried out, and by which policy they are proposed."""

from dataclasses import asdict

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections import settlement_proposals
from billing_pipeline.corrections.adjusting import currency_of
from billing_pipeline.corrections.settling import run_settlements
from billing_pipeline.web.actions.desk import Action, Desk, Done, Field, Fields, number_in_path, whole


def _approve_settlement(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    status = settlement_proposals.approve(desk.warehouse, settlement_number(key), author=signature.author)
    more = "" if status == "approved" else " It needs somebody else's approval too."
    return Done(f"Settlement {key} is {status}.{more}", {"settlement_id": settlement_number(key), "status": status})


def _withdraw_settlement(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    settlement_proposals.withdraw(desk.warehouse, settlement_number(key), signature)
    return Done("Withdrawn.", {"settlement_id": settlement_number(key), "status": "withdrawn"})


def _run_settlements(desk: Desk, _: str, signature: Signature, __: Fields) -> Done:
    with desk.stripe() as api:
        report = run_settlements(desk.warehouse, api, author=signature.author)
    waits = sum(one.waits is not None for one in report.settled)
    facts = {
        "settled": [asdict(one) for one in report.settled],
        "credit_notes": [{"number": one.number, "state": one.state} for one in report.sent],
        "months_to_charge": report.months_to_charge,
    }
    return Done(f"{len(report.settled) - waits} carried out, {waits} wait.", facts)


def _settlement_policy(desk: Desk, _: str, signature: Signature, fields: Fields) -> Done:
    book, customer = fields.get("book"), fields.get("customer")
    if bool(book) == bool(customer):
        raise UserError("expected either book or customer")
    amounts = {name: whole(name, fields.get(name) or "") for name in ("threshold_minor", "two_people_above_minor")}
    scope = str(book or customer)
    currency = book or currency_of(desk.warehouse, scope)
    settlement_proposals.set_policy(
        desk.warehouse,
        "book" if book else "customer",
        scope,
        method=fields.get("method", ""),
        pay_back=fields.get("pay_back", ""),
        **amounts,
        author=signature.author,
    )
    return Done(f"{scope}: {fields.get('method')} from now on.", {"scope": scope, "currency": currency, **amounts})


def settlement_number(key: str) -> int:
    """The number that a path names. Raises NotFound: it is none."""
    return number_in_path("settlement", key, "billing settle list")


SETTLEMENTS = {
    "run": Action(
        "Carry out what is approved",
        lambda *_: "Carries out every approved settlement.",
        _run_settlements,
        asks_reason=False,
        scope=Scope.CHANGE_STRIPE,
    ),
    "approve": Action(
        "Approve",
        lambda _, key: f"Approves settlement {key}.",
        _approve_settlement,
        asks_reason=False,
        scope=Scope.CHANGE_MONTHS,
    ),
    "withdraw": Action(
        "Withdraw", lambda _, key: f"Withdraws settlement {key}.", _withdraw_settlement, scope=Scope.CHANGE_MONTHS
    ),
    "policy": Action(
        "Say how drift is settled",
        lambda *_: "Says what proposals do about the drift of a book's customers, or of one customer.",
        _settlement_policy,
        (
            Field("book", "Price book, by its currency", required=False),
            Field("customer", "Or a customer", required=False),
            Field(
                "method",
                "What is done",
                choices=(
                    ("ignore", "nothing"),
                    ("next_invoice", "the next invoice"),
                    ("at_once", "a credit note or an invoice"),
                ),
            ),
            Field("pay_back", "Where paid money goes", choices=(("refund", "back"), ("balance", "balance"))),
            Field("threshold_minor", "Smaller differences are left, in minor units"),
            Field("two_people_above_minor", "Above this two people approve, in minor units"),
        ),
        asks_reason=False,
        scope=Scope.CHANGE_PRICES,
    ),
}
