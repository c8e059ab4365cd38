"""`billing events`: what an operator sees of Stripe's events, puts back and fetches, and the line that says why not."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.commands import billing, refused, said
from billing_pipeline_tests.events.world import EventWorld

WHO = ("--author", "ann", "--reason", "the code is mended")


@pytest.fixture
def told(world: EventWorld) -> EventWorld:
    """A charged month whose events are applied, and one that was given up."""
    world.bill(Bill("a"), Bill("b"))
    world.charge()
    world.catch_up()
    world.say("invoice.paid", {"id": "in_unheard_of"}, "evt_dead")
    world.execute(
        "UPDATE billing.stripe_event_work SET state = 'dead', failures = 6, last_error = 'not_found'"
        " WHERE event_id = 'evt_dead'"
    )
    return world


def test_events_are_listed_newest_first_as_far_as_they_are_chosen(told: EventWorld) -> None:
    listed = said("events", "list").splitlines()
    assert len(listed) == min(50, len(told.work()))
    assert "dead     evt_dead  invoice.paid  in_unheard_of  not_found" in listed[0]
    assert len(said("events", "list", "--limit", "3").splitlines()) == 3
    assert said("events", "list", "--state", "dead") == listed[0]
    assert said("events", "list", "--object", "in_unheard_of") == listed[0]
    about_invoices = said("events", "list", "--type", "invoice.*", "--state", "applied").splitlines()
    assert {
        row["event_id"] for row in told.work() if row["type"].startswith("invoice.") and row["state"] == "applied"
    } == {line.split()[3] for line in about_invoices}
    assert said("events", "list", "--type", "invoice") == "no events"
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert said("events", "list", "--since", tomorrow) == "no events"


def test_an_event_is_shown_with_its_bytes_and_who_put_it_back(told: EventWorld) -> None:
    body = b'{"id": "evt_odd", "type": "invoice.paid", "object": "event", "x": "\\u0000", "y": NaN}\n'
    told.deliver_bytes(body)
    assert billing("events", "show", "evt_odd", "--body").stdout_bytes.endswith(body + b"\n")
    assert said("events", "replay", "evt_dead", *WHO) == "1 event(s) put back"
    shown = said("events", "show", "evt_dead")
    assert "state        pending" in shown
    assert "replays      1" in shown
    assert "by ann: the code is mended" in shown
    assert "in_unheard_of" in shown


def test_one_event_a_choice_or_all_are_put_back_and_nothing_changes(told: EventWorld) -> None:
    before = told.digest()
    [paid] = [row for row in told.work() if row["type"] == "invoice.paid" and row["object_id"] == told.stripe_id("a")]
    assert said("events", "replay", paid["event_id"], *WHO) == "1 event(s) put back"
    assert said("events", "replay", paid["event_id"], *WHO) == "0 event(s) put back", "it is pending already"
    assert said("events", "process").startswith("1 applied")
    assert (
        said("events", "replay", "--object", told.stripe_id("b"), "--type", "invoice.*", *WHO) != "0 event(s) put back"
    )
    assert said("events", "replay", "--state", "applied", *WHO) != "0 event(s) put back"
    assert said("events", "process").endswith("s")
    assert told.digest() == before
    count = len(told.work())
    assert said("events", "replay", "--all", *WHO) == f"{count:,} event(s) put back"
    assert "1 failed, to be tried again" in said("events", "process")
    told.execute("UPDATE billing.stripe_event_work SET state = 'dead' WHERE event_id = 'evt_dead'")
    assert told.digest() == before


def test_a_contradicting_copy_is_an_alarm_until_somebody_has_looked(told: EventWorld) -> None:
    assert said("events", "contradictions") == "no contradicting copies"
    told.say("invoice.voided", {"id": "in_unheard_of"}, "evt_dead")
    assert re.search(r"evt_dead +invoice.voided +in_unheard_of +webhook", said("events", "contradictions"))
    assert said("events", "acknowledge", "evt_dead", *WHO) == "1 contradicting copies of evt_dead are acknowledged"
    assert said("events", "contradictions") == "no contradicting copies"
    assert "by ann: the code is mended" in said("events", "show", "evt_dead")
    assert "evt_dead: expected the id of an event that an unacknowledged" in refused(
        "events", "acknowledge", "evt_dead", *WHO
    )
    told.say("invoice.updated", {"id": "in_unheard_of"}, "evt_dead")
    assert len(said("events", "contradictions").splitlines()) == 2, "a later one is an alarm of its own"
    assert len(told.mirrored("stripe_event_conflicts")) == 2


def test_processing_that_gives_an_event_up_says_so_with_its_exit_status(told: EventWorld) -> None:
    assert re.fullmatch(r"nothing was due; 0 objects in \d+\.\d s", said("events", "process"))
    said("events", "replay", "evt_dead", *WHO)
    told.execute("UPDATE billing.stripe_event_work SET failures = 5 WHERE event_id = 'evt_dead'")
    assert said("events", "process", exit_code=1).startswith("1 dead")


def test_a_sweep_fetches_what_nobody_has_sent_and_a_rebuild_agrees_with_the_books(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("broke", card="pm_card_chargeCustomerFail"))
    world.charge()
    assert f", {len(world.at_stripe()):,} new" in said("events", "sweep")
    assert said("events", "sweep").endswith(", 0 new")
    said("events", "process")
    assert "2 invoices: 2 agree, 0 do not" in said("events", "rebuild")
    world.tamper("UPDATE billing.invoices SET status = 'void' WHERE customer_id = 'a'")
    told = said("events", "rebuild", exit_code=1)
    assert "of customer a: the books say" in told
    assert "1 agree, 1 do not" in told


IMPOSSIBLE: tuple[tuple[tuple[str, ...], str], ...] = (
    (("show", "evt_unknown"), "evt_unknown: expected the id of a stored event"),
    (("replay", *WHO), "which events: expected an EVENT_ID, an option that chooses some, or --all"),
    (("replay", "evt_dead", "--all", *WHO), "which events: expected"),
    (("replay", "evt_unknown", *WHO), "evt_unknown: expected the id of a stored event that the options fit"),
    (
        ("replay", "evt_dead", "--state", "applied", *WHO),
        "evt_dead: expected the id of a stored event that the options",
    ),
    (("replay", "evt_dead", "--author", " ", "--reason", "r"), 'author "": expected a text, for the audit log'),
    (("replay", "evt_dead", "--author", "ann", "--reason", ""), 'reason "": expected a text, for the audit log'),
    (
        ("acknowledge", "evt_dead", *WHO),
        "evt_dead: expected the id of an event that an unacknowledged copy contradicts",
    ),
)
MISTYPED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("list", "--state", "lost"), "'lost' is not one of 'pending'"),
    (("list", "--limit", "0"), "0 is not in the range x>=1"),
    (("list", "--since", "2026-10-01"), "expected an offset, such as Z"),
    (("replay", "evt_dead", "--reason", "r"), "Missing option '--author'"),
    (("show",), "Missing argument 'EVENT_ID'"),
)


def test_what_cannot_be_done_is_one_line_and_puts_nothing_back(told: EventWorld) -> None:
    before = told.work()
    for arguments, says in IMPOSSIBLE:
        assert says in refused("events", *arguments)
    for arguments, says in MISTYPED:
        assert says in refused("events", *arguments, exit_code=2)
    assert told.work() == before


def test_a_body_whose_key_is_gone_is_one_line(told: EventWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLING_EVENT_KEYS", "new:" + "A" * 43 + "=")
    result = billing("events", "show", "evt_dead", "--body")
    assert (result.exit_code, "Traceback" in result.output) == (1, False)
    assert "BILLING_EVENT_KEYS" in result.stderr
    assert len(told.work()) > 0


def test_a_stripe_that_is_away_is_one_line(told: EventWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    assert refused("events", "sweep").startswith("Stripe: ")
    assert len(told.work()) > 0
