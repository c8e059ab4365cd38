"""A correction in a process that may kill itself: its numbered boundaries, and what it does between them."""

import os
import traceback
from dataclasses import dataclass
from typing import Any

from sqlalchemy import make_url

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_notes import issue_credit_note
from billing_pipeline.corrections.failed_refunds import repay
from billing_pipeline.corrections.settling import run_settlements
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure
from billing_pipeline_tests.charging.world import KEY
from billing_pipeline_tests.faults.boundaries import Course, Trap
from billing_pipeline_tests.faults.processes import PATIENCE_S

CREDITING, VOIDING, REPAYING = ("refund", "reduce", "settle"), ("void",), ("repay",)
ANY = (*CREDITING, *VOIDING, *REPAYING)
_CALLS = {
    "retrieve_invoice": (*CREDITING, *VOIDING),
    "create_credit_note": CREDITING,
    "void_invoice": VOIDING,
    "repaid_to_balance": REPAYING,
    "repay_to_balance": REPAYING,
}
_LISTS = {"credit_notes_of": CREDITING, "list_invoices": VOIDING}
_WRITES = {
    "freeze": ("refund", "reduce"),
    "apply": ("settle",),
    "issued": CREDITING,
    "paid": ("reduce",),
    "void": VOIDING,
    "intended": REPAYING,
    "settled": REPAYING,
}
REACHED: dict[str, tuple[str, ...]] = {
    "after lock": ANY,
    **{f"{when} {call}": by for call, by in _CALLS.items() for when in ("before", "during", "after")},
    **{f"{when} {call}": by for call, by in _LISTS.items() for when in ("before", "after")},
    **{f"{when} {write}": by for write, by in _WRITES.items() for when in ("before", "after")},
    "before unlock": ANY,
}
"""By boundary, the kinds of correction that get there."""


def _change(statement: str, parameters: Any) -> str | None:
    """The change that the statement makes to a credit note, to the charge or to a refund that failed."""
    ours = ("UPDATE billing.credit_notes", "UPDATE billing.stripe_charges AS c", "UPDATE billing.failed_refunds")
    if not isinstance(parameters, dict) or not any(table in statement for table in ours):
        return None
    return str(parameters["state"]) if parameters.get("state") != parameters.get("from_state") else None


CORRECTING = Course(
    tuple(REACHED),
    tuple(_CALLS),
    tuple(_LISTS),
    # a settlement's credit notes are numbered in the transaction that ends it: the last name counts
    {"UPDATE billing.credit_note_numbering": "freeze", "UPDATE billing.settlements SET status = 'applied'": "apply"},
    _change,
)


@dataclass(frozen=True)
class Correction:
    """One run of one command: what it does to whose invoice, and at which numbered boundary it dies (None: nowhere)."""

    database: str
    stripe_base: str
    kind: str
    invoice: str
    amount_minor: int
    author: str
    boundary: int | None = None
    hit: int = 1
    seed: int = 0


def correct(job: Correction, warehouse: Warehouse, api: Any) -> str:
    """Do it as the command does; returns what the operator is told."""
    try:
        if job.kind == "settle":
            done = run_settlements(warehouse, api, author=job.author).settled
            return ", ".join(one.waits or "settled" for one in done) or "nothing is approved"
        if job.kind == "void":
            return (
                f"void already: {void_invoice(warehouse, api, job.invoice, Signature(job.author, 'wrong'))[1].already}"
            )
        if job.kind == "repay":
            refund = warehouse.scalar(
                "SELECT refund_id FROM billing.failed_refunds WHERE invoice_id = :i", i=job.invoice
            )
            return repay(warehouse, api, refund, to="balance", signature=Signature(job.author, "card closed")).method
        note = issue_credit_note(
            warehouse, api, job.invoice, Signature(job.author, "goodwill"), amount_minor=job.amount_minor
        )
    except UserError as error:
        return str(error)
    except StripeFailure as failure:
        return f"Stripe: {failure}"
    return note.sent.state


def main(job: Correction, barrier: Any, answers: Any) -> None:
    """Run by processes.run_together."""
    engine = open_engine(make_url(job.database), 40)
    trap = Trap(job.boundary, job.hit, job.seed, CORRECTING)
    trap.watch(engine)
    api = trap.around(StripeGateway(KEY, job.stripe_base, timeout_s=(5, 20)))
    try:
        barrier.wait(PATIENCE_S)
        answers.send({"told": correct(job, Warehouse(engine, make_url(job.database)), api)})
    except BaseException:  # noqa: BLE001 - whatever it is, it is the answer
        answers.send({"error": traceback.format_exc(limit=-4)})
        answers.close()
        os._exit(1)
    os._exit(0)
