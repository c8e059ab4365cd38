"""Settling drift: proposed, approved, carried out once, and then nothing is left to settle."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from billing_pipeline.comparison.explain import explain_all, ledger_problems
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import adjust
from billing_pipeline.corrections.settlement_proposals import (
    Proposed,
    SettlementRefused,
    approve,
    propose,
    set_policy,
    withdraw,
)
from billing_pipeline.corrections.settling import SettlingReport, run_settlements
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.month_rows import BOOK, NOVEMBER, OCTOBER, at, load_book

LATE = at("2025-11-05")


@pytest.fixture(scope="module")
def more() -> Callable[[Platform], None]:
    """Ann made 210 calls in October, 3.00 beside the fee of 10.00, and has paid them."""

    def fill(platform: Platform) -> None:
        platform.bill()

    return fill


def policy(platform: Platform, method: str, **over: object) -> None:
    given = {"pay_back": "refund", "threshold_minor": 1, "two_people_above_minor": 100_000, **over}
    set_policy(platform.warehouse, "customer", "ann", method=method, author="ops", **given)  # type: ignore[arg-type]


def look(platform: Platform) -> None:
    """The month is looked at again: its drift is known."""
    platform.look()


def settle(platform: Platform, approvers: tuple[str, ...] = ("bob",)) -> SettlingReport:
    """Propose, approve and carry out."""
    platform.look()
    propose(platform.warehouse, OCTOBER, author="ann")
    for row in platform.warehouse.rows("SELECT settlement_id FROM billing.settlements WHERE status = 'proposed'"):
        for approver in approvers:
            approve(platform.warehouse, row["settlement_id"], author=approver)
    return run_settlements(platform.warehouse, platform.gateway(), author="cem")


def left(platform: Platform) -> int:
    platform.look()
    return int(platform.warehouse.scalar("SELECT coalesce(sum(left_minor), 0) FROM billing.unsettled_drift") or 0)


def test_late_usage_lands_on_the_next_invoice_as_a_line_that_names_its_month(platform: Platform) -> None:
    platform.use("ann", 100, received_at=LATE)
    policy(platform, "next_invoice")
    [done] = settle(platform).settled
    assert (done.amount_minor, done.waits) == (150, None)
    platform.bill(NOVEMBER)
    [november] = platform.invoices("ann", NOVEMBER)
    lines = platform.stripe.api.invoices.retrieve(november["stripe_invoice_id"]).lines.data
    [correction] = [line for line in lines if line.amount == 150]
    assert correction.description.startswith("Correction of 2025-10-01 to 2025-10-31 (")
    assert (november["total_minor"], left(platform)) == (1150, 0)


def test_more_to_pay_at_once_is_a_supplementary_invoice_that_is_charged_like_any_other(platform: Platform) -> None:
    platform.use("ann", 100, received_at=LATE)
    policy(platform, "at_once")
    report = settle(platform)
    assert report.months_to_charge == ("2025-10",)
    platform.bill()
    base, supplement = platform.invoices("ann")
    assert (base["total_minor"], supplement["total_minor"]) == (1300, 150)
    assert (supplement["supplement_no"], supplement["status"], supplement["revision"]) == (1, "paid", 0)
    assert (platform.paid_minor("ann"), left(platform)) == (1450, 0)


def test_less_to_pay_at_once_is_a_credit_note(platform: Platform) -> None:
    platform.use("ann", -100, received_at=LATE)
    policy(platform, "at_once")
    report = settle(platform)
    assert [sent.state for sent in report.sent] == ["issued"]
    assert (platform.paid_minor("ann"), left(platform)) == (1150, 0)
    [note] = platform.warehouse.rows("SELECT * FROM billing.credit_notes")
    assert (note["amount_minor"], note["refund_minor"], note["author"]) == (150, 150, "cem")


def test_drift_is_no_longer_warned_of_once_it_is_settled(platform: Platform) -> None:
    def warned_of() -> list[str]:
        rows = platform.warehouse.rows(load_sql("comparison/drift_by_customer.sql"), month=OCTOBER)
        return [row["customer_id"] for row in rows]

    platform.use("ann", -100, received_at=LATE)
    policy(platform, "at_once")
    platform.look()
    assert warned_of() == ["ann"]
    settle(platform)
    platform.look()
    assert warned_of() == []
    platform.use("ann", -100, received_at=LATE)
    platform.look()
    assert warned_of() == ["ann"], "what drifts later is news again"


def test_settling_again_changes_nothing(platform: Platform) -> None:
    platform.use("ann", -100, received_at=LATE)
    policy(platform, "at_once")
    settle(platform)
    before = len(platform.stripe.writes())
    for _ in range(2):
        assert settle(platform) == SettlingReport((), (), ())
    assert len(platform.stripe.writes()) == before
    assert platform.warehouse.scalar("SELECT count(*) FROM billing.settlements") == 1


def test_what_drifts_later_is_settled_by_its_further_difference_only(platform: Platform) -> None:
    policy(platform, "at_once")
    for calls, amount in ((100, 150), (200, 300), (-400, -600)):
        platform.use("ann", calls, received_at=LATE)
        [done] = settle(platform).settled
        assert done.amount_minor == amount
        platform.bill()
    assert (left(platform), platform.paid_minor("ann")) == (0, 1150)


def test_a_credit_beyond_one_invoice_goes_to_the_others_and_the_rest_to_the_next(platform: Platform) -> None:
    policy(platform, "at_once")
    platform.use("ann", 100, received_at=LATE)
    settle(platform)
    platform.bill()
    load_book(platform.warehouse, "name: t\ncurrency: usd\nmeters: {calls: {aggregation: sum}}\nversions:\n"
              "  - {id: '2025', effective_from: 2025-01-01, prices: [{meter: calls, model: per_unit, unit_amount: '0'}]}")  # fmt: skip
    [done] = settle(platform).settled
    assert (done.amount_minor, len(done.documents)) == (-1450, 2)
    assert (platform.paid_minor("ann"), left(platform)) == (0, 0)


def test_below_the_threshold_or_ignored_nothing_is_proposed(platform: Platform) -> None:
    platform.use("ann", 100, received_at=LATE)
    policy(platform, "at_once", threshold_minor=151)
    look(platform)
    assert propose(platform.warehouse, OCTOBER, author="a") == Proposed(0, 0, 0, 1)
    policy(platform, "ignore")
    assert propose(platform.warehouse, OCTOBER, author="a") == Proposed(0, 0, 0, 1)
    policy(platform, "at_once", threshold_minor=150)
    assert propose(platform.warehouse, OCTOBER, author="a") == Proposed(1, 0, 0, 0)
    assert propose(platform.warehouse, OCTOBER, author="a") == Proposed(0, 1, 0, 0)


def test_a_proposal_whose_difference_has_changed_is_withdrawn_and_not_carried_out(platform: Platform) -> None:
    platform.use("ann", 100, received_at=LATE)
    look(platform)
    propose(platform.warehouse, OCTOBER, author="a")
    approve(platform.warehouse, 1, author="bob")
    platform.use("ann", 100, received_at=LATE)
    look(platform)
    [waiting] = run_settlements(platform.warehouse, platform.gateway(), author="cem").settled
    assert "what is left has changed from 150 to 300" in str(waiting.waits)
    assert propose(platform.warehouse, OCTOBER, author="a") == Proposed(1, 0, 1, 0)
    assert platform.warehouse.scalar("SELECT count(*) FROM billing.adjustments") == 0


def test_a_large_amount_needs_two_different_people(platform: Platform) -> None:
    platform.use("ann", 100, received_at=LATE)
    policy(platform, "next_invoice", two_people_above_minor=149)
    look(platform)
    propose(platform.warehouse, OCTOBER, author="a")
    assert approve(platform.warehouse, 1, author="Bob") == "proposed"
    with pytest.raises(SettlementRefused, match="bob has approved it already, it needs somebody else"):
        approve(platform.warehouse, 1, author="bob")
    assert run_settlements(platform.warehouse, platform.gateway(), author="c").settled == ()
    assert approve(platform.warehouse, 1, author="dora") == "approved"
    with pytest.raises(SettlementRefused, match="is approved and not approved again"):
        approve(platform.warehouse, 1, author="eve")
    [done] = run_settlements(platform.warehouse, platform.gateway(), author="c").settled
    assert done.waits is None


def test_what_is_withdrawn_is_not_carried_out(platform: Platform) -> None:
    platform.use("ann", 100, received_at=LATE)
    look(platform)
    propose(platform.warehouse, OCTOBER, author="a")
    withdraw(platform.warehouse, 1, Signature("b", "agreed otherwise"))
    for author in "ab":
        with pytest.raises(SettlementRefused, match="is withdrawn and not approved again"):
            approve(platform.warehouse, 1, author=author)
    with pytest.raises(SettlementRefused, match="no open proposal"):
        withdraw(platform.warehouse, 1, Signature("b", "r"))
    with pytest.raises(SettlementRefused, match=r"foreign key|none with this number|unknown"):
        approve(platform.warehouse, 99, author="a")


def test_two_operators_at_once_settle_once(platform: Platform) -> None:
    platform.use("ann", -100, received_at=LATE)
    policy(platform, "at_once")
    look(platform)
    propose(platform.warehouse, OCTOBER, author="a")

    def both(author: str) -> str:
        try:
            return approve(platform.warehouse, 1, author=author)
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(both, ["bob", "dora"]))
        assert said == ["approved", "settlement 1 is approved and not approved again"]
        reports = list(
            pool.map(lambda who: run_settlements(platform.warehouse, platform.gateway(), author=who), ["b", "d"])
        )
    done = [one for report in reports for one in report.settled]
    assert sum(one.waits is None for one in done) == 1
    run_settlements(platform.warehouse, platform.gateway(), author="b")
    assert (platform.paid_minor("ann"), left(platform)) == (1150, 0)


@pytest.mark.parametrize(
    ("operation", "when"),
    [("retrieve_invoice", "after"), ("create_credit_note", "before"), ("create_credit_note", "after")],
)
def test_a_killed_settling_is_finished_by_the_next(platform: Platform, operation: str, when: str) -> None:
    platform.use("ann", -100, received_at=LATE)
    policy(platform, "at_once")
    look(platform)
    propose(platform.warehouse, OCTOBER, author="a")
    approve(platform.warehouse, 1, author="bob")
    platform.killed(operation, when, "settle")
    run_settlements(platform.warehouse, platform.gateway(), author="b")
    assert (platform.paid_minor("ann"), left(platform)) == (1150, 0)
    assert platform.warehouse.scalar("SELECT count(*) FROM billing.credit_notes") == 1


def test_a_credit_note_that_stripe_refuses_settles_nothing_and_is_proposed_again(platform: Platform) -> None:
    platform.use("ann", -100, received_at=LATE)
    policy(platform, "at_once")
    charge = platform.stripe.api.charges.list().data[0]
    platform.stripe.api.refunds.create({"charge": charge.id})
    report = settle(platform)
    assert [sent.state for sent in report.sent] == ["refused"]
    assert left(platform) == -150
    policy(platform, "at_once", pay_back="balance")
    settle(platform)
    assert left(platform) == 0


def test_a_voided_supplement_is_drafted_again(platform: Platform) -> None:
    platform.use("ann", 100, received_at=LATE)
    policy(platform, "at_once")
    settle(platform)
    platform.draft()
    platform.finalise()
    [_, supplement] = platform.invoices("ann")
    void_invoice(platform.warehouse, platform.gateway(), supplement["number"], Signature("a", "r"))
    run_settlements(platform.warehouse, platform.gateway(), author="b")
    platform.bill()
    assert [(one["supplement_no"], one["status"]) for one in platform.invoices("ann")] == [
        (0, "paid"),
        (1, "void"),
        (2, "paid"),
    ]
    assert (platform.paid_minor("ann"), left(platform)) == (1450, 0)


def test_every_document_of_a_corrected_month_is_still_explained(platform: Platform) -> None:
    platform.customer("bob", "pm_card_chargeCustomerFail")
    platform.use("bob", 110)
    platform.bill()
    [bobs] = platform.invoices("bob")
    platform.use("bob", 100, received_at=datetime.now(UTC))
    void_invoice(platform.warehouse, platform.gateway(), bobs["number"], Signature("a", "r"))
    adjust(platform.warehouse, "bob", 250, Signature("a", "setting up"))
    platform.bill()
    platform.use("ann", 100, received_at=datetime.now(UTC))
    policy(platform, "at_once")
    settle(platform)
    platform.bill()
    assert [(one.invoice.number, one.problems) for one in explain_all(platform.warehouse)] == [
        (f"INV-{number:08d}", []) for number in range(1, 5)
    ]
    assert ledger_problems(platform.warehouse) == []
    with platform.warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE billing.invoice_adjustments SET description = 'x' WHERE customer_id = 'bob'"))
        connection.execute(text("UPDATE billing.voided_snapshots SET quantity = quantity + 1"))
    broken = {one.invoice.number: " ".join(one.problems) for one in explain_all(platform.warehouse)}
    assert "seal broken: lines" in broken["INV-00000003"]
    assert "seal broken: snapshots" in broken["INV-00000002"]


def test_a_discount_that_was_agreed_later_is_settled_like_any_other_difference(platform: Platform) -> None:
    load_book(platform.warehouse, f'{BOOK}    discounts: [{{name: agreed, percent: "10", customer: ann}}]\n')
    policy(platform, "next_invoice")
    [done] = settle(platform).settled
    assert done.amount_minor == -130
    assert platform.warehouse.scalar("SELECT reason FROM billing.billing_drift") == "term_change"
    platform.bill(NOVEMBER)
    [november] = platform.invoices("ann", NOVEMBER)
    assert (november["total_minor"], left(platform)) == (1_000 - 100 - 130, 0)
