"""Void and rebill: Stripe's word first, the void invoice as it was, and the period billed once more as what it is now."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from billing_pipeline.books.month_closing import NotClosed, close_month
from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.charging.follow_stripe import follow_stripe
from billing_pipeline.charging.void_at_stripe import VoidRefused
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_notes import issue_credit_note
from billing_pipeline.corrections.revisions import RevisionRefused, adopt_revision, voids_to_decide
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.gates.data_quality import run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.invoicing.rules.invoice_ids import invoice_id
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.month_rows import OCTOBER, at

DECLINING = "pm_card_chargeCustomerFail"


@pytest.fixture(scope="module")
def more() -> Callable[[Platform], None]:
    """Ann pays, Bob's card is declined; both made 210 calls in October, which is 3.00."""

    def fill(platform: Platform) -> None:
        platform.customer("bob", DECLINING)
        platform.use("bob", 210)
        platform.bill()

    return fill


def void(platform: Platform, customer_id: str, **options: str) -> None:
    [invoice] = [one for one in platform.invoices(customer_id) if one["status"] != "void"]
    given = {"author": "ann", "reason": "counted wrong", **options}
    void_invoice(platform.warehouse, platform.gateway(), invoice["number"], Signature(**given))


def lines(platform: Platform, invoice: object) -> list[dict[str, object]]:
    return platform.warehouse.rows(
        "SELECT * FROM billing.invoice_line_items WHERE invoice_id = :id ORDER BY line_no", id=invoice
    )


def test_an_unpaid_invoice_is_voided_and_billed_again_as_the_next_revision(platform: Platform) -> None:
    [before] = platform.invoices("bob")
    lines_before = lines(platform, before["invoice_id"])
    void(platform, "bob")
    platform.use("bob", 100, received_at=at("2025-11-05"))
    platform.bill()
    old, new = platform.invoices("bob")
    assert (old["status"], old["total_minor"], new["status"], new["total_minor"]) == ("void", 1300, "open", 1450)
    assert (new["revision"], new["supersedes_invoice_id"]) == (1, old["invoice_id"])
    assert new["invoice_id"] == invoice_id("bob", at("2025-10-01"), 1)
    assert new["invoice_number"] == old["invoice_number"] + 1
    assert lines(platform, old["invoice_id"]) == lines_before
    at_stripe = platform.stripe.api.invoices.retrieve(old["stripe_invoice_id"])
    assert at_stripe.status == "void"
    assert platform.stripe.api.invoices.retrieve(new["stripe_invoice_id"]).total == 1450
    [anns] = platform.invoices("ann")
    assert (anns["status"], anns["revision"]) == ("paid", 0)


def test_billing_the_month_again_changes_nothing_more(platform: Platform) -> None:
    void(platform, "bob")
    platform.bill()
    before = (platform.invoices("bob"), platform.invoices("ann"), len(platform.stripe.writes()))
    platform.bill()
    assert (platform.invoices("bob"), platform.invoices("ann"), len(platform.stripe.writes())) == before


def test_a_rebilled_invoice_may_be_voided_again(platform: Platform) -> None:
    for revision in (1, 2):
        void(platform, "bob")
        platform.bill()
        newest = platform.invoices("bob")[-1]
        assert (newest["revision"], newest["status"], newest["total_minor"]) == (revision, "open", 1300)
    assert [one["status"] for one in platform.invoices("bob")] == ["void", "void", "open"]


def test_a_draft_of_the_month_is_rebuilt_until_it_is_final_like_any_other(platform: Platform) -> None:
    void(platform, "bob")
    platform.draft()
    platform.use("bob", 100, received_at=at("2025-11-05"))
    platform.draft()
    assert [(one["revision"], one["total_minor"]) for one in platform.invoices("bob")] == [(0, 1300), (1, 1450)]


def test_a_paid_invoice_is_not_voided_and_the_operator_is_told_what_to_do(platform: Platform) -> None:
    [invoice] = platform.invoices("ann")
    with pytest.raises(VoidRefused, match=f"`billing credit issue {invoice['number']}` gives the money back"):
        void(platform, "ann")
    [bobs] = platform.invoices("bob")
    platform.stripe.api.invoices.pay(bobs["stripe_invoice_id"], {"payment_method": "pm_card_visa"})
    with pytest.raises(VoidRefused, match="is paid and cannot be voided"):
        void(platform, "bob")
    assert platform.invoices("bob")[0]["status"] == "paid", "what Stripe said was recorded"


def test_a_credited_invoice_is_not_voided(platform: Platform) -> None:
    [invoice] = platform.invoices("bob")
    issue_credit_note(
        platform.warehouse, platform.gateway(), invoice["number"], Signature("ann", "r"), amount_minor=100
    )
    with pytest.raises(VoidRefused, match="credit the rest of it instead: CN-00000001"):
        void(platform, "bob")


def test_a_draft_is_not_voided(platform: Platform) -> None:
    platform.customer("cem")
    platform.use("cem", 100)
    platform.draft()
    [draft] = platform.invoices("cem")
    with pytest.raises(VoidRefused, match="is not final"):
        void_invoice(platform.warehouse, platform.gateway(), str(draft["invoice_id"]), Signature("a", "r"))


def test_two_operators_void_once_and_the_other_is_told(platform: Platform) -> None:
    platform.stripe.fault("latency", "POST /v1/invoices/*/void", times=1, latency_ms=400)

    def attempt(author: str) -> str:
        try:
            void(platform, "bob", author=author)
        except (UserError, ValueError) as error:
            return str(error)
        return "void"

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(attempt, ["ann", "bob"]))
    assert said.count("void") >= 1
    assert all(line == "void" or "right now" in line for line in said), said
    [invoice] = platform.invoices("bob")
    assert invoice["status"] == "void"
    calls = [call for call in platform.stripe.writes() if call.endswith(f"{invoice['stripe_invoice_id']}/void")]
    assert len(calls) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_voiding_is_finished_by_the_next(platform: Platform, when: str) -> None:
    [invoice] = platform.invoices("bob")
    platform.killed("void_invoice", when, "void", invoice["number"])
    assert platform.invoices("bob")[0]["status"] == "open"
    platform.bill()
    [still] = platform.invoices("bob")
    assert still["revision"] == 0, "what is not known to be void is not billed again"
    if still["status"] == "open":
        void(platform, "bob")
    platform.bill()
    assert [one["status"] for one in platform.invoices("bob")] == ["void", "open"]
    assert platform.paid_minor("bob") == 0


def test_the_void_invoice_is_not_asked_for_by_the_gates(platform: Platform) -> None:
    void(platform, "bob")
    platform.use("bob", 100, received_at=at("2025-11-05"))
    platform.draft()
    results = [
        result
        for asset in ("invoice_line_items", "invoices")
        for result in run_gates(
            platform.warehouse, gates_of(asset), OCTOBER, "run", {"invoice_cap_minor": 10**9, "price_factor_max": 10}
        )
    ]
    assert [result.gate.name for result in results if result.failing_rows] == []
    assert len(results) == len(gates_of("invoice_line_items")) + len(gates_of("invoices"))


def bobs(platform: Platform) -> dict[str, object]:
    [invoice] = platform.invoices("bob")
    return invoice


def seen(platform: Platform) -> None:
    """Stripe's word about Bob's invoice reaches us."""
    with exclusive(platform.warehouse, str(bobs(platform)["invoice_id"]), "test") as store:
        charge = store.read(str(bobs(platform)["invoice_id"])).charge
        follow_stripe(store, charge, platform.gateway().retrieve_invoice(str(charge.stripe_invoice_id)))


def revise(platform: Platform, **options: object) -> str:
    path = f"/dashboard/invoices/{bobs(platform)['stripe_invoice_id']}/revise"
    given = {"lines": [{"amount": 250, "description": "as agreed"}], **options}
    return str(platform.stripe.control("POST", path, given)["id"])


@pytest.mark.parametrize("keep_metadata", [True, False])
def test_a_revision_made_in_the_dashboard_is_not_billed_a_second_time(platform: Platform, keep_metadata: bool) -> None:
    revision = revise(platform, keep_metadata=keep_metadata)
    seen(platform)
    platform.bill()
    assert (bobs(platform)["status"], bobs(platform)["state"]) == ("void", "void")
    [waiting] = voids_to_decide(platform.warehouse)
    assert f"{revision} took its place" in waiting["reason"]
    who = Signature("ann", "agreed by phone")
    done = adopt_revision(platform.warehouse, platform.gateway(), waiting["number"], who)
    assert (done.stripe_invoice_id, done.total_minor, done.status) == (revision, 250, "open")
    assert voids_to_decide(platform.warehouse) == []
    platform.bill()
    assert bobs(platform)["status"] == "void", "the revision bills the period"
    compared = compare_with_stripe(
        platform.warehouse, platform.gateway(), "test", datetime.now(UTC), month=OCTOBER, with_events=False
    )
    assert compared.differences == ()
    with pytest.raises(RevisionRefused, match="waits for a decision"):
        adopt_revision(platform.warehouse, platform.gateway(), waiting["number"], who)


def test_a_void_in_the_dashboard_opens_nothing_until_somebody_bills_it_again(platform: Platform) -> None:
    platform.stripe.control("POST", f"/dashboard/invoices/{bobs(platform)['stripe_invoice_id']}/void")
    seen(platform)
    platform.bill()
    [waiting] = voids_to_decide(platform.warehouse)
    with pytest.raises(RevisionRefused, match="has no revision at Stripe"):
        adopt_revision(platform.warehouse, platform.gateway(), waiting["number"], Signature("ann", "look"))
    with pytest.raises(NotClosed, match=f"{waiting['number']} was voided at Stripe and not by us"):
        close_month(
            platform.warehouse, platform.gateway(), OCTOBER, author="ann", run_id="close", now=datetime.now(UTC)
        )
    void_invoice(platform.warehouse, platform.gateway(), waiting["number"], Signature("ann", "by mistake"))
    assert voids_to_decide(platform.warehouse) == []
    platform.bill()
    assert [row["status"] for row in platform.invoices("bob")] == ["void", "open"]


def test_a_void_in_the_dashboard_may_be_left_as_it_is(platform: Platform) -> None:
    platform.stripe.control("POST", f"/dashboard/invoices/{bobs(platform)['stripe_invoice_id']}/void")
    seen(platform)
    number = str(bobs(platform)["number"])
    void_invoice(platform.warehouse, platform.gateway(), number, Signature("ann", "a gift"), rebill=False)
    assert voids_to_decide(platform.warehouse) == []
    platform.bill()
    assert bobs(platform)["status"] == "void"
