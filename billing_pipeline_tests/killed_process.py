"""Something that talks to Stripe, in a process of its own that kills itself at a call."""

import os
import signal
from typing import Any

from sqlalchemy import make_url

from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_notes import issue_credit_note
from billing_pipeline.corrections.settling import run_settlements
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY, MONTH, NO_EXPECTATION
from billing_pipeline_tests.databases import wait_for_locks
from billing_pipeline_tests.faults.processes import context


def killed(warehouse: Warehouse, stripe_base: str, operation: str, when: str, action: str, *arguments: str) -> None:
    """Do `action` (charge, settle, void or credit) in a process that dies before or after the first call of `operation`.

    Afterwards nobody holds its locks any more.
    """
    database = warehouse.engine.url.render_as_string(hide_password=False)
    doomed = (database, stripe_base, operation, when, action, list(arguments))
    process = context(__name__).Process(target=_run, args=doomed, daemon=True)
    process.start()
    process.join(90)
    assert process.exitcode == -signal.SIGKILL
    wait_for_locks(warehouse)


class Killing(StripeGateway):
    """Dies by SIGKILL before or after the first call of an operation."""

    def __init__(self, base_url: str, operation: str, when: str) -> None:
        super().__init__(KEY, base_url)
        self._doomed = (operation, when)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name != self._doomed[0]:
            return found

        def doomed(*arguments: Any, **options: Any) -> Any:
            if self._doomed[1] == "after":
                found(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        return doomed


def act(warehouse: Warehouse, api: StripeGateway, action: str, arguments: list[str]) -> None:
    """Do it."""
    if action == "charge":
        charge_invoices_of_month(warehouse, api, MONTH, "doomed", RunOptions(workers=1, limits=NO_EXPECTATION))
    if action == "settle":
        run_settlements(warehouse, api, author="doomed")
    if action == "void":
        void_invoice(warehouse, api, arguments[0], Signature("doomed", "wrong"))
    if action == "credit":
        invoice, amount, to = arguments
        issue_credit_note(warehouse, api, invoice, Signature("doomed", "goodwill"), amount_minor=int(amount), to=to)


def _run(database: str, base_url: str, operation: str, when: str, action: str, arguments: list[str]) -> None:
    warehouse = Warehouse(open_engine(make_url(database)), make_url(database))
    act(warehouse, Killing(base_url, operation, when), action, arguments)
