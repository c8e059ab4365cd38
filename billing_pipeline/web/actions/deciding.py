"""What only a person decides: disputes, refunds that failed, and charges that were parked or revised at Stripe."""

from dataclasses import asdict

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.charging.brakes import limits_of
from billing_pipeline.charging.operations import adopt_invoice, invoice_named, require_parked
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections import lost_disputes
from billing_pipeline.corrections.failed_refunds import repay
from billing_pipeline.corrections.revisions import adopt_revision
from billing_pipeline.settings import load_settings
from billing_pipeline.web.actions.desk import Action, Desk, Done, Field, Fields
from billing_pipeline.web.actions.invoices import charge_facts

TO = ("balance", "card", "elsewhere")


def _accept(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    with desk.stripe() as api:
        row = lost_disputes.accept_dispute(desk.warehouse, api, key, signature)
    facts = {name: row[name] for name in ("dispute_id", "number", "status", "waits_for_a_person")}
    return Done(f"{key} of {row['number']} is {row['status']}.", facts)


def _write_off(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    done = lost_disputes.write_off(desk.warehouse, key, signature)
    return Done(f"{format_minor(done.amount_minor, done.currency)} of {done.number} is written off.", asdict(done))


def _collect_again(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    done = lost_disputes.collect_again(desk.warehouse, key, signature)
    amount = format_minor(done.amount_minor, done.currency)
    return Done(f"{amount} of {done.number} goes on the next invoice of {done.customer_id}.", asdict(done))


def _repay(desk: Desk, key: str, signature: Signature, fields: Fields) -> Done:
    to = fields.get("to") or ""
    if to not in TO:
        raise UserError(f'to "{to}": expected one of {", ".join(TO)}')
    with desk.stripe() as api:
        done = repay(desk.warehouse, api, key, signature, to=to)
    return Done(f"{format_minor(done.amount_minor, done.currency)} of {key} is repaid: {done.method}.", asdict(done))


def _adopt(desk: Desk, reference: str, signature: Signature, fields: Fields) -> Done:
    invoice_id = invoice_named(desk.warehouse, reference)
    require_parked(desk.warehouse, invoice_id)
    limits, said = limits_of(load_settings().charging), list[str]()
    with desk.stripe() as api:
        chosen = fields.get("stripe_invoice_id") or ""
        adopt_invoice(desk.warehouse, api, invoice_id, chosen, signature, limits=limits, log=said.append)
    facts = charge_facts(desk, invoice_id)
    return Done(" ".join(said) or f"{facts['number']} is {facts['state']}.", facts)


def _adopt_revision(desk: Desk, reference: str, signature: Signature, _: Fields) -> Done:
    with desk.stripe() as api:
        done = adopt_revision(desk.warehouse, api, reference, signature)
    return Done(f"{done.stripe_invoice_id}, {done.status}, bills the period of {done.number}.", asdict(done))


DISPUTES = {
    "accept": Action(
        "Give a dispute up",
        lambda _, key: f"Gives {key} up at Stripe: it is lost, for good.",
        _accept,
        scope=Scope.CHANGE_STRIPE,
    ),
    "write-off": Action(
        "Write a lost dispute off",
        lambda _, key: f"Asks nobody for the money of {key} any more.",
        _write_off,
        scope=Scope.CHANGE_STRIPE,
    ),
    "collect-again": Action(
        "Collect a lost dispute again",
        lambda _, key: f"Puts the money of {key} on the customer's next invoice.",
        _collect_again,
        scope=Scope.CHANGE_STRIPE,
    ),
}
REFUNDS = {
    "repay": Action(
        "Repay a refund that failed",
        lambda _, key: f"Gives the customer the money of {key}.",
        _repay,
        (Field("to", "Where it goes", choices=tuple((to, to) for to in TO)),),
        scope=Scope.CHANGE_STRIPE,
    ),
}
CHARGES = {
    "adopt": Action(
        "Adopt an invoice at Stripe",
        lambda _, key: f"Takes an invoice at Stripe for that of {key}, and voids the others.",
        _adopt,
        (Field("stripe_invoice_id", "The one, in_…"),),
        scope=Scope.CHANGE_STRIPE,
    ),
    "adopt-revision": Action(
        "Adopt a revision at Stripe",
        lambda _, key: f"Lets the revision that somebody made of {key} at Stripe bill its period.",
        _adopt_revision,
        scope=Scope.CHANGE_STRIPE,
    ),
}
