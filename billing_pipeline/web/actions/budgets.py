"""What is done to a customer's budgets: of how much of a running period it wants to be told."""

import re

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import shown
from billing_pipeline.corrections.adjusting import currency_of
from billing_pipeline.notices.budgets import budget_amount, budget_quantity, end_budget
from billing_pipeline.notices.rules.budgets import DEFAULT_PERCENT
from billing_pipeline.web.actions.contracts import customer_in_words
from billing_pipeline.web.actions.desk import Action, Desk, Done, Field, Fields, needed_amount

METER = Field("meter", "Meter that is watched; blank: what the invoice comes to so far", required=False)


def _set(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    meter, percents = fields.get("meter") or None, _percents(fields.get("thresholds_percent") or "")
    if meter and (fields.get("amount") or fields.get("amount_minor")):
        raise UserError(f"amount: expected none with the meter {meter}, whose limit is a quantity")
    if meter is None:
        limit_minor = needed_amount(fields, currency_of(desk.warehouse, customer_id))
        budget_amount(desk.warehouse, customer_id, limit_minor, signature, percents=percents)
    else:
        if not fields.get("quantity"):
            raise UserError(f"quantity: expected one of {meter} such as 10000")
        budget_quantity(desk.warehouse, customer_id, meter, fields["quantity"], signature, percents=percents)
    facts = {"customer_id": customer_id, "meter": meter, "thresholds_percent": percents}
    return Done(f"{meter or 'The amount'} is watched.", facts)


def _end(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> Done:
    meter = fields.get("meter") or None
    end_budget(desk.warehouse, customer_id, meter, signature)
    return Done(f"{meter or 'The amount'} is watched no more.", {"customer_id": customer_id, "meter": meter})


def _percents(typed: str) -> list[int]:
    """Numbers with anything between them that is none; blank: the usual ones."""
    if not typed.strip():
        return list(DEFAULT_PERCENT)
    if not re.fullmatch(r"[0-9]{1,4}([^0-9.-]+[0-9]{1,4}){0,99}[^0-9.-]*", typed.strip()):
        raise UserError(f'thresholds_percent "{shown(typed)}": expected whole numbers such as 50, 80, 100')
    return [int(each) for each in re.findall(r"[0-9]+", typed)]


BUDGETS = {
    "set-budget": Action(
        "Set a budget",
        lambda desk, key: f"Tells {customer_in_words(desk, key)} when a running period comes near a limit.",
        _set,
        (
            METER,
            Field("amount", "Amount that is 100 percent, such as 100.00", required=False),
            Field("quantity", "Or, of a meter, the quantity", required=False),
            Field("thresholds_percent", "Percent that are told; blank: 50, 80, 100", required=False),
        ),
        scope=Scope.CHANGE_BUDGETS,
    ),
    "end-budget": Action(
        "End a budget",
        lambda desk, key: f"Watches a limit of {customer_in_words(desk, key)} no more.",
        _end,
        (METER,),
        scope=Scope.CHANGE_BUDGETS,
    ),
}
