"""What is done to a customer's contract: one shape, from a day on in the customer's zone."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from billing_pipeline.core.signature import Signature
from billing_pipeline.customers import contracts
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.actions.desk import ON, Action, Desk, Done, Field, Fields, given_day, needed_day

Changed = Sequence[dict[str, Any]]
Change = Callable[[Warehouse, str, date, Signature, Fields], Changed]
"""An operation of `customers/contracts.py`; the customer's contracts afterwards."""


def customer_in_words(desk: Desk, customer_id: str) -> str:
    """Id and name."""
    return f"{customer_id} {read_customer(desk.warehouse, customer_id)['name']}"


def _start(warehouse: Warehouse, customer_id: str, on: date, signature: Signature, fields: Fields) -> Changed:
    until, plan = given_day(fields, "trial_until"), fields.get("plan") or None
    return contracts.start_contract(warehouse, customer_id, on, signature, plan=plan, trial_until=until)


def _trial(warehouse: Warehouse, customer_id: str, on: date, signature: Signature, fields: Fields) -> Changed:
    return contracts.set_trial(warehouse, customer_id, on, given_day(fields, "trial_until"), signature)


def _plan(warehouse: Warehouse, customer_id: str, on: date, signature: Signature, fields: Fields) -> Changed:
    return contracts.change_plan(warehouse, customer_id, on, fields.get("plan") or None, signature)


def _plain(operation: Callable[[Warehouse, str, date, Signature], Changed]) -> Change:
    return lambda warehouse, customer_id, on, signature, _: operation(warehouse, customer_id, on, signature)


def _action(title: str, effect: str, change: Change, *fields: Field) -> Action:
    def do(desk: Desk, customer_id: str, signature: Signature, given: Fields) -> Done:
        rows = change(desk.warehouse, customer_id, needed_day(given, "on"), signature, given)
        said = [f"from {row['starts_on']} to {row['ends_on'] or 'further notice'}" for row in rows]
        return Done("Billed " + (", ".join(said) or "not at all") + ".", {"contracts": rows})

    return Action(title, lambda desk, key: effect.format(customer_in_words(desk, key)), do, (ON, *fields))


CONTRACTS = {
    "start": _action(
        "Start the contract",
        "Bills {} from a day on.",
        _start,
        Field("plan", "Plan of the price book; blank: as it is", required=False),
        Field("trial_until", "Last day of its trial; blank: as the plan says", required=False),
    ),
    "trial": _action(
        "Change the trial",
        "Changes the trial of the contract that {} has on a day.",
        _trial,
        Field("trial_until", "Last day of the trial; blank: there is none", required=False),
    ),
    "end": _action(
        "End the contract", "Makes a day the last one that {} is billed for.", _plain(contracts.end_contract)
    ),
    "plan": _action(
        "Change the plan",
        "Prices {} by another plan from a day on.",
        _plan,
        Field("plan", "Plan of the price book; blank: the prices that hold for all", required=False),
    ),
    "pause": _action(
        "Pause the contract", "Bills {} nothing from a day on, until resumed.", _plain(contracts.pause_contract)
    ),
    "resume": _action("Resume the contract", "Bills {} again from a day on.", _plain(contracts.resume_contract)),
    "withdraw": _action(
        "Withdraw a change of the contract",
        "Takes back what was to hold for {} from exactly a day on.",
        _plain(contracts.withdraw_change),
    ),
}
