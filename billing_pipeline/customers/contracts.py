"""Contracts: from when until when a customer is billed, and on which plan. Every change of one, by hand or by a file.

Here: billing.contract_terms. Not here: the periods that follow (invoicing/billing_periods.py), what a plan costs.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.rules import contract_terms as rules
from billing_pipeline.customers.rules.contract_terms import Change, ContractRefused, Term
from billing_pipeline.postgres.warehouse import Warehouse

Row = dict[str, Any]


def contracts_of(warehouse: Warehouse, customer_id: str) -> list[Row]:
    """The customer's contracts by their first day, as billing.contracts has them."""
    return warehouse.rows(
        "SELECT starts_on, ends_on, plan, start_inferred, in_trial FROM billing.contracts"
        " WHERE customer_id = :customer_id ORDER BY starts_on",
        customer_id=customer_id,
    )


def start_contract(
    warehouse: Warehouse,
    customer_id: str,
    on: date,
    signature: Signature,
    *,
    plan: str | None = None,
    trial_until: date | None = None,
) -> list[Row]:
    """Bill the customer from this day on, in its zone; a contract that runs or comes next starts on it instead.

    `trial_until`: last day of its trial; without it the trial is as known, or as long as the plan says.

    Like the others here it returns the contracts as they are then, and raises UserError where the change makes no
    sense. Days that are billed already show up as drift, reason contract_change.
    """
    return _by_hand(
        warehouse, customer_id, "start", on, signature, lambda terms: rules.start(terms, on, plan, trial_until)
    )


def set_trial(warehouse: Warehouse, customer_id: str, on: date, until: date | None, signature: Signature) -> list[Row]:
    """Let the trial of the contract that runs on this day end with `until`; None: it has none."""
    return _by_hand(warehouse, customer_id, "trial", on, signature, lambda terms: rules.set_trial(terms, on, until))


def end_contract(warehouse: Warehouse, customer_id: str, on: date, signature: Signature) -> list[Row]:
    """Bill this day as the last one."""
    return _by_hand(warehouse, customer_id, "end", on, signature, lambda terms: rules.end(terms, on))


def change_plan(warehouse: Warehouse, customer_id: str, on: date, plan: str | None, signature: Signature) -> list[Row]:
    """Another plan from this day on; None: the prices that hold for all."""
    return _by_hand(warehouse, customer_id, "plan", on, signature, lambda terms: rules.change_plan(terms, on, plan))


def pause_contract(warehouse: Warehouse, customer_id: str, on: date, signature: Signature) -> list[Row]:
    """Bill nothing from this day on, until resumed."""
    return _by_hand(warehouse, customer_id, "pause", on, signature, lambda terms: rules.pause(terms, on))


def resume_contract(warehouse: Warehouse, customer_id: str, on: date, signature: Signature) -> list[Row]:
    """Bill again from this day on, on the plan of before."""
    return _by_hand(warehouse, customer_id, "resume", on, signature, lambda terms: rules.resume(terms, on))


def withdraw_change(warehouse: Warehouse, customer_id: str, on: date, signature: Signature) -> list[Row]:
    """Take back what was to hold from exactly this day on."""
    return _by_hand(warehouse, customer_id, "withdraw", on, signature, lambda terms: rules.withdraw(terms, on))


def apply(
    connection: Connection,
    customer_id: str,
    action: str,
    on: date,
    signature: Signature,
    change: Callable[[Sequence[Term]], Change],
) -> None:
    """Change one customer's terms in the caller's transaction, with an entry in the audit log.

    Raises:
        UserError: there is no such customer, or the change makes no sense.
    """
    known = connection.execute(text(_LOCK), {"customer_id": customer_id}).first()
    if known is None:
        raise NotFound(f'customer "{customer_id}": expected the id of a customer, found none')
    rows = connection.execute(text(_TERMS), {"customer_id": customer_id}).all()
    terms = [Term(row.effective_on, row.state, row.plan, row.trial_until) for row in rows]
    try:
        found = change(terms)
    except ContractRefused as error:
        raise UserError(f"customer {customer_id}, {action} on {on}: {error}") from None
    author, reason = signature.author, signature.reason
    for term in found.withdrawn:
        parameters = {"customer_id": customer_id, "effective_on": term.effective_on, "author": author}
        connection.execute(text(_WITHDRAW), parameters)
    for term in found.added:
        connection.execute(
            text(_INSERT),
            {
                "customer_id": customer_id,
                "effective_on": term.effective_on,
                "state": term.state,
                "plan": term.plan,
                "trial_until": term.trial_until,
                "author": author,
                "reason": reason,
            },
        )
    after = [term for term in terms if term not in found.withdrawn] + list(found.added)
    connection.execute(
        text(_LOG),
        {
            "author": author,
            "action": f"contract.{action}",
            "customer_id": customer_id,
            "reason": reason,
            "state_before": _as_json(terms),
            "state_after": _as_json(after),
        },
    )


def _by_hand(
    warehouse: Warehouse,
    customer_id: str,
    action: str,
    on: date,
    signature: Signature,
    change: Callable[[Sequence[Term]], Change],
) -> list[Row]:
    with warehouse.transaction() as connection:
        apply(connection, customer_id, action, on, signature, change)
    return contracts_of(warehouse, customer_id)


def _as_json(terms: Sequence[Term]) -> str:
    ordered = sorted(terms, key=lambda term: term.effective_on or date.min)
    return json.dumps(
        [
            {
                "effective_on": term.effective_on.isoformat() if term.effective_on else None,
                "state": term.state,
                "plan": term.plan,
                **({"trial_until": term.trial_until.isoformat()} if term.trial_until else {}),
            }
            for term in ordered
        ]
    )


_LOCK = "SELECT customer_id FROM billing.customers WHERE customer_id = :customer_id FOR UPDATE"
_TERMS = """
SELECT effective_on, state, plan, trial_until FROM billing.contract_terms
WHERE customer_id = :customer_id AND withdrawn_at IS NULL ORDER BY effective_on NULLS FIRST
"""
_WITHDRAW = """
UPDATE billing.contract_terms SET withdrawn_at = clock_timestamp(), withdrawn_by = :author
WHERE customer_id = :customer_id AND effective_on IS NOT DISTINCT FROM :effective_on AND withdrawn_at IS NULL
"""
_INSERT = """
INSERT INTO billing.contract_terms (customer_id, effective_on, state, plan, trial_until, author, reason)
VALUES (:customer_id, :effective_on, :state, :plan, :trial_until, :author, :reason)
"""
_LOG = """
SELECT billing.log_action(
    :author, :action, 'customer', :customer_id, :reason, CAST(:state_before AS jsonb), CAST(:state_after AS jsonb)
)
"""
