"""Runs of a month, started for a person in a process of their own."""

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.books.started_runs import Job
from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.months import parse_month
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import counted
from billing_pipeline.corrections.approvals import month_drafts, month_rows
from billing_pipeline.defs.background_runs import start
from billing_pipeline.web.actions.desk import Action, Desk, Done, Fields


def drafts_in_words(desk: Desk, key: str) -> str:
    """How many drafts the month has, over how much, and how its gates stand."""
    drafts = month_drafts(desk.warehouse, parse_month(key))
    totals = ", ".join(format_minor(amount, currency) for currency, amount in drafts.totals_minor.items())
    gates = counted(drafts.unmet_gates, "gate has", "gates have")
    return f"{counted(drafts.drafts, 'draft', 'drafts')} over {totals or 'nothing'}; {gates} not passed"


def _draft(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    return start_run(desk, key, "bill_month", signature)


def _charge(desk: Desk, key: str, signature: Signature, fields: Fields) -> Done:
    rows = fields.get("rows")
    if rows and rows != month_rows(desk.warehouse, parse_month(key)):
        raise UserError(f"{key}: the drafts have changed since you looked at them: look at them again")
    return start_run(desk, key, "charge_month", signature)


def start_run(desk: Desk, key: str, job: Job, signature: Signature, customer: str | None = None) -> Done:
    """Start the job of the month, of one customer alone where one is given; its page shows how it does."""
    run = start(desk.warehouse, parse_month(key), job, signature, customer)
    facts = {"run_id": run.run_id, "job": run.job, "month": key, "started_by": run.author, "is_new": run.is_new}
    if not run.is_new:
        return Done(f"Its run is under way already: {run.author} started it.", facts)
    return Done("The run is under way. The page of the month shows how it does.", facts)


def _charging_in_words(desk: Desk, key: str) -> str:
    stopped = "".join(f" Charging stops there: {brake.says}." for brake in read_brakes(desk.warehouse).on())
    return f"Makes {drafts_in_words(desk, key)}: final, with numbers, and charges them at Stripe.{stopped}"


RUNS = {
    "draft": Action(
        "Draft the month",
        lambda _, key: (
            f"Builds the drafts of {key} from all usage that has come, and looks at them with its gates. Nothing"
            " becomes final, and what is final stays as it is."
        ),
        _draft,
        scope=Scope.CHANGE_MONTHS,
    ),
    "charge": Action(
        "Charge the month",
        _charging_in_words,
        _charge,
        seen=lambda desk, key: {"rows": month_rows(desk.warehouse, parse_month(key))},
        scope=Scope.CHANGE_STRIPE,
    ),
}
