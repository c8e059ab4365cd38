"""`billing reconcile` and `billing close`: both books compared, a month closed once, and the line that says why not."""

import re

import pytest
from sqlalchemy.exc import DBAPIError

from billing_pipeline_tests.charging.world import Bill, invoice_id_of
from billing_pipeline_tests.commands import refused, said, started
from billing_pipeline_tests.events.world import EventWorld
from billing_pipeline_tests.postgres.invariants.rows import reason_of

WHO = ("--author", "ann", "--reason", "nobody needs it")
CLOSE = ("close", "--month", "2026-10", "--author", "ann")


@pytest.fixture
def paid(world: EventWorld) -> EventWorld:
    """A month that is charged, paid and told of."""
    world.bill(Bill("a"), Bill("b", (1250, 50)))
    world.charge()
    world.catch_up()
    return world


def _orphan(world: EventWorld, **over: str) -> str:
    customer = world.charges()["a"]["stripe_customer_id"]
    metadata = {"invoice_id": invoice_id_of("a"), **over}
    return str(world.stripe.api.invoices.create({"customer": customer, "currency": "usd", "metadata": metadata}).id)


def _number(world: EventWorld, customer_id: str) -> str:
    return str(world.warehouse.scalar("SELECT number FROM billing.invoices WHERE customer_id = :c", c=customer_id))


def _closed(world: EventWorld) -> int:
    return int(world.warehouse.scalar("SELECT count(*) FROM billing.month_books WHERE closed_at IS NOT NULL"))


def test_books_that_agree_are_told_with_what_was_compared(paid: EventWorld) -> None:
    told = said("reconcile").splitlines()
    assert told[0].endswith(": 2 charges; at Stripe 2 invoices, 2 payments, 0 refunds, 0 credit notes, 0 disputes")
    assert told[1:] == ["0 difference(s)"]
    assert said("reconcile", "--month", "2026-09").splitlines()[1:] == ["0 difference(s)"], "a month without charges"
    assert len(paid.mirrored("stripe_reconciliations")) == 2


def test_a_difference_is_a_line_with_what_to_do_and_an_exit_status(paid: EventWorld) -> None:
    paid.tamper("UPDATE billing.stripe_charges SET state = 'refused', reason_code = 'declined' WHERE customer_id = 'b'")
    orphan = _orphan(paid)
    told = said("reconcile", "--month", "2026-10", exit_code=1).splitlines()
    assert told[-1] == "2 difference(s)"
    number = {customer: _number(paid, customer) for customer in ("a", "b")}
    assert f"{paid.stripe_id('b')}  invoice {number['b']}  ours refused, Stripe's paid" in told[1] + told[2]
    assert f"{orphan}  invoice {number['a']}" in told[1] + told[2]
    assert "-> delete_draft" in told[1] + told[2]
    assert len(paid.mirrored("stripe_differences")) == 2


def test_an_orphan_draft_is_deleted_on_an_operators_word_and_logged(paid: EventWorld) -> None:
    orphan = _orphan(paid)
    carried = f"{orphan} is deleted; it carried invoice {invoice_id_of('a')}"
    assert said("reconcile", "delete-draft", orphan, *WHO) == carried
    assert said("reconcile").endswith("0 difference(s)")
    [entry] = paid.warehouse.rows("SELECT * FROM billing.automation_log WHERE object_id = :id", id=orphan)
    assert (entry["actor"], entry["reason"]) == ("ann", "nobody needs it")
    assert "not_found" in refused("reconcile", "delete-draft", orphan, *WHO), "it is gone"


def test_what_is_no_orphan_draft_is_not_deleted(paid: EventWorld) -> None:
    theirs = _orphan(paid, invoice_id="order 66")
    for stripe_id, says in (
        (theirs, "does not carry an invoice of ours"),
        (paid.stripe_id("a"), "is paid: only a draft is deleted"),
        ("in_unheard_of", "Stripe: "),
    ):
        assert says in refused("reconcile", "delete-draft", stripe_id, *WHO)
    orphan = _orphan(paid)
    assert (
        refused("reconcile", "delete-draft", orphan, "--author", "", "--reason", "r")
        == 'author "": expected a text, for the audit log'
    )
    assert paid.stripe.api.invoices.retrieve(orphan).status == "draft"


def test_a_month_is_closed_once_with_its_proof_and_stays_as_it_is(paid: EventWorld) -> None:
    told = said(*CLOSE).splitlines()
    assert re.fullmatch(r"2026-10 closed: \d{4}-\d\d-\d\d \d\d:\d\d by ann", told[0])
    assert told[1] == "  2 invoices, 2 at Stripe, 2 payments"
    assert told[2] == (
        "  invoiced 53.00 USD, paid 53.00 USD, collected 53.00 USD, otherwise 0.00 USD, written off 0.00 USD,"
        " voided 0.00 USD, taken back 0.00 USD"
    )
    assert [re.sub(r"(\d+:)?[0-9a-f]{64}", "…", line) for line in told[3:]] == [
        "  invoices sha256 …", "  stripe_invoices sha256 …", "  payments sha256 …", "  audit chain …"
    ]  # fmt: skip
    again = said("close", "--month", "2026-10", "--author", "bob").splitlines()
    assert again[0].startswith("2026-10 was closed already, and its records are unchanged: ")
    assert again[0].endswith(" by ann")
    assert again[1:] == told[1:]
    with pytest.raises(DBAPIError) as caught:
        paid.execute("UPDATE billing.stripe_charges SET reason = 'x'")
    assert reason_of(caught.value) == "month 2026-10 is closed: its records do not change any more"


def test_a_month_that_was_changed_past_the_triggers_is_not_shown_as_closed(paid: EventWorld) -> None:
    said(*CLOSE)
    paid.tamper("UPDATE billing.stripe_charges SET state = 'void' WHERE customer_id = 'a'")
    assert "its records have another digest today" in refused(*CLOSE)


def test_a_month_with_differences_stays_open(paid: EventWorld) -> None:
    orphan = _orphan(paid)
    number = _number(paid, "a")
    assert f"2026-10 is not closed: 1 difference(s), such as invoice {orphan} of {number}: " in refused(*CLOSE)
    assert _closed(paid) == 0
    said("reconcile", "delete-draft", orphan, *WHO)
    assert said(*CLOSE).startswith("2026-10 closed: ")


def test_what_no_event_has_told_yet_is_fetched_before_the_books_are_compared(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.charge()
    assert said("reconcile").splitlines()[1:] == ["0 difference(s)"], "nobody has received an event"
    world.stripe.api.refunds.create({"payment_intent": world.payment_intent("a"), "amount": 7})
    assert said(*CLOSE).startswith("2026-10 closed: ")
    assert [row["amount_minor"] for row in world.mirrored("stripe_refunds")] == [7]


IMPOSSIBLE: tuple[tuple[tuple[str, ...], str], ...] = (
    (("close", "--month", "2026-09", "--author", "ann"), "2026-09 is not closed: it has no invoices"),
    (CLOSE, "2026-10 is not closed: 1 charge(s) are not settled, such as INV-"),
    (("close", "--month", "2026-10", "--author", " "), 'author "": expected a text, for the audit log'),
)
MISTYPED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("close", "--author", "ann"), "Missing option '--month'"),
    (("close", "--month", "2026-10"), "Missing option '--author'"),
    (("close", "--month", "2026-13", "--author", "ann"), "'2026-13': expected a month such as 2026-10"),
    (("reconcile", "--month", "October"), "'October': expected a month such as 2026-10"),
    (("reconcile", "delete-draft", "in_1", "--author", "ann"), "Missing option '--reason'"),
)


def test_a_month_that_cannot_be_closed_stays_open(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("broke", card=None))
    world.charge()
    world.catch_up()
    for arguments, says in IMPOSSIBLE:
        assert says in refused(*arguments)
    for arguments, says in MISTYPED:
        assert says in refused(*arguments, exit_code=2)
    assert _closed(world) == 0


def test_two_closings_at_once_close_once(paid: EventWorld) -> None:
    closings = [started("close", "--month", "2026-10", "--author", author) for author in ("ann", "bob")]
    told = [closing.communicate(timeout=120) for closing in closings]
    assert [closing.returncode for closing in closings] == [0, 0], told
    first_lines = sorted(out.splitlines()[0] for out, _ in told)
    assert re.fullmatch(r"2026-10 closed: .* by (ann|bob)", first_lines[0])
    assert first_lines[1].startswith("2026-10 was closed already")
    assert first_lines[0][-3:] == first_lines[1][-3:], "by the same"
    assert _closed(paid) == 1
    assert paid.warehouse.scalar("SELECT count(*) FROM billing.automation_log WHERE action = 'month.close'") == 1


def test_a_stripe_that_is_away_closes_nothing(paid: EventWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    assert refused("reconcile").startswith("Stripe: ")
    assert refused(*CLOSE).startswith("Stripe: ")
    assert _closed(paid) == 0
