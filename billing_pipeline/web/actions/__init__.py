"""What people and programs change through the web: the one table that console and API share.

Each action is one operation of a room, the one that the command calls too. It says what it will do to whom before it
does it, and is signed by who is signed in, or by the owner of the token.
"""

from collections.abc import Mapping

from billing_pipeline.core.errors import NotFound
from billing_pipeline.web.actions.customers import CREDITS, CUSTOMERS
from billing_pipeline.web.actions.deciding import CHARGES, DISPUTES, REFUNDS
from billing_pipeline.web.actions.desk import Action
from billing_pipeline.web.actions.invoices import ADJUSTMENTS, CREDIT_NOTES, INVOICES
from billing_pipeline.web.actions.months import MONTHS
from billing_pipeline.web.actions.operating import ALERTS, CHARGING, EVENTS
from billing_pipeline.web.actions.settling import SETTLEMENTS
from billing_pipeline.web.actions.telling import NOTICES

ACTIONS: Mapping[str, Mapping[str, Action]] = {
    "invoices": INVOICES,
    "credit-notes": CREDIT_NOTES,
    "adjustments": ADJUSTMENTS,
    "customers": CUSTOMERS,
    "credits": CREDITS,
    "months": MONTHS,
    "charging": CHARGING,
    "events": EVENTS,
    "settlements": SETTLEMENTS,
    "charges": CHARGES,
    "disputes": DISPUTES,
    "refunds": REFUNDS,
    "alerts": ALERTS,
    "notices": NOTICES,
}


def action_of(kind: str, name: str) -> Action:
    """The action.

    Raises:
        NotFound: there is none of this name.
    """
    found = ACTIONS.get(kind, {}).get(name)
    if found is None:
        raise NotFound(f"{kind}/{name}: there is no such action")
    return found
