"""What is done to a customer: holds, one-off amounts, its credits and discounts; its contract is in contracts.py."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Literal, cast

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import adjust, currency_of
from billing_pipeline.corrections.one_off_invoices import bill_at_once
from billing_pipeline.corrections.relink_customer import relink_customer
from billing_pipeline.invoicing.credits import grant_credits, void_credits
from billing_pipeline.pricing.discounts import end_discount, grant_coupon
from billing_pipeline.web.actions.budgets import BUDGETS
from billing_pipeline.web.actions.contracts import CONTRACTS, customer_in_words
from billing_pipeline.web.actions.desk import (
    AMOUNT,
    ON,
    Action,
    Desk,
    Done,
    Field,
    Fields,
    given_day,
    needed_amount,
    needed_day,
    whole,
)
from billing_pipeline.web.actions.holding import of_customer, place, release
from billing_pipeline.web.actions.telling import OF_CUSTOMERS


def _adjust(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    currency = currency_of(desk.warehouse, customer_id)
    made = adjust(
        desk.warehouse,
        customer_id,
        needed_amount(fields, currency),
        signature,
        description=fields.get("description") or None,
    )
    said = f"{format_minor(made.amount_minor, currency)} on the next invoice: {made.description}."
    return Done(said, {name: getattr(made, name) for name in made.__slots__})


def _bill(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    currency = currency_of(desk.warehouse, customer_id)
    made = bill_at_once(
        desk.warehouse,
        customer_id,
        needed_amount(fields, currency),
        signature,
        description=fields.get("description") or None,
    )
    said = (
        f"An invoice over {format_minor(made.billed.amount_minor, currency)} is drafted:"
        f" charging {made.billing_month:%Y-%m} makes it final and charges it."
    )
    return Done(said, {"invoice_id": made.invoice_id, "billing_month": made.billing_month, **asdict(made.billed)})


def _grant(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    currency = currency_of(desk.warehouse, customer_id)
    kind = fields.get("kind") or "paid"
    if kind not in ("paid", "promotional"):
        raise UserError(f'kind "{kind}": expected paid or promotional')
    made = grant_credits(
        desk.warehouse,
        customer_id,
        needed_amount(fields, currency),
        signature,
        kind=cast("Literal['paid', 'promotional']", kind),
        priority=whole("priority", fields.get("priority") or "100"),
        expires_on=given_day(fields, "expires_on"),
        description=fields.get("description") or None,
    )
    said = f"{format_minor(made.amount_minor, currency)} of credits for {customer_id}."
    return Done(said, {name: getattr(made, name) for name in made.__slots__})


def _void_grant(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    taken = void_credits(desk.warehouse, key, signature)
    return Done("What was left of it is taken back.", {"grant_id": key, "taken_minor": taken})


def _discount(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    coupon = fields.get("coupon") or ""
    from_on = given_day(fields, "from_on") or datetime.now(UTC).date()
    until_on = given_day(fields, "until_on")
    grant_coupon(desk.warehouse, coupon, customer_id, signature, from_on=from_on, until_on=until_on)
    facts = {"coupon": coupon, "customer_id": customer_id, "from_on": from_on, "until_on": until_on}
    return Done(f"Coupon {coupon} is granted from {from_on} on.", facts)


def _end_discount(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    coupon, on = fields.get("coupon") or "", needed_day(fields, "on")
    end_discount(desk.warehouse, coupon, customer_id, on, signature)
    return Done(f"Coupon {coupon} holds until {on}.", {"coupon": coupon, "customer_id": customer_id, "until_on": on})


def _relink(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    with desk.stripe() as api:
        done = relink_customer(desk.warehouse, api, customer_id, signature, to=fields.get("to") or None)
    return Done(f"It is {done.now} at Stripe.", asdict(done))


CUSTOMERS = {
    **CONTRACTS,
    **BUDGETS,
    **OF_CUSTOMERS,
    "hold": Action(
        "Hold", lambda desk, key: f"Keeps all invoices of {customer_in_words(desk, key)} back.", place(of_customer)
    ),
    "release": Action(
        "Release", lambda desk, key: f"Lets the invoices of {customer_in_words(desk, key)} go.", release(of_customer)
    ),
    "bill": Action(
        "Bill an amount at once",
        lambda desk, key: f"Drafts an invoice of its own over an amount for {customer_in_words(desk, key)}.",
        _bill,
        (AMOUNT, Field("description", "What the customer reads", required=False)),
    ),
    "adjust": Action(
        "Adjust the next invoice",
        lambda desk, key: (
            f"Puts an amount on the next invoice of {customer_in_words(desk, key)}; below zero is a credit."
        ),
        _adjust,
        (AMOUNT, Field("description", "What the customer reads", required=False)),
    ),
    "grant-credits": Action(
        "Grant credits",
        lambda desk, key: f"Gives {customer_in_words(desk, key)} credits, which its invoices draw.",
        _grant,
        (
            AMOUNT,
            Field("kind", "Kind", choices=(("paid", "paid for"), ("promotional", "a gift"))),
            Field("expires_on", "Last day; blank: none", required=False),
            Field("description", "What the customer reads", required=False),
        ),
    ),
    "grant-coupon": Action(
        "Grant a coupon",
        lambda desk, key: f"Lets a coupon reduce the invoices of {customer_in_words(desk, key)}.",
        _discount,
        (
            Field("coupon", "Coupon"),
            Field("from_on", "First day of periods that it reduces; blank: today", required=False),
            Field("until_on", "Last day; blank: none", required=False),
        ),
    ),
    "end-coupon": Action(
        "End a coupon",
        lambda desk, key: f"Lets a coupon of {customer_in_words(desk, key)} hold for no period that starts later.",
        _end_discount,
        (Field("coupon", "Coupon"), ON),
    ),
    "relink": Action(
        "Give it another customer at Stripe",
        lambda desk, key: f"Gives {customer_in_words(desk, key)} another customer at Stripe, after one was deleted.",
        _relink,
        (Field("to", "A customer that is at Stripe, cus_…; blank: find or make one", required=False),),
        scope=Scope.CHANGE_STRIPE,
    ),
}
CREDITS = {
    "void": Action("Take back", lambda _, key: f"Takes back what is left of the grant {key}.", _void_grant),
}
