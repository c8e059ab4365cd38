"""Scenes of a platform with usage: drafts that go stale, credits that an invoice draws, coupons that are limited.

Runs are killed at a numbered boundary, and then everything is done again.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from threading import Barrier, Thread

from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.credits import credit_entries, grant_credits
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.pricing.discounts import Coupon, DiscountRefused, coupons, create_coupon, grant_coupon, grants
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.databases import wait_for_locks
from billing_pipeline_tests.faults.arena import Arena
from billing_pipeline_tests.faults.boundaries import BOUNDARIES
from billing_pipeline_tests.faults.processes import Job, context, run_together
from billing_pipeline_tests.month_rows import NOVEMBER, OCTOBER, complete_feed, load_book

_SCENE = Signature("scene", "so it is played")
BILLED_MINOR, CREDITS_MINOR = 1300, 400
REDEMPTIONS_MAX, ASKING = 2, 8


def usage_comes_before_finalising(run: Arena) -> None:
    """Charging dies before anything is final, and usage comes meanwhile: that draft waits, is made anew, is charged once."""
    platform = _platform(run, "ann", "bob")
    platform.draft()
    _killed(run, "before finalise")
    platform.use("ann", 100, received_at=datetime.now(UTC))
    platform.charge()
    assert _paid(platform) == {"ann": [], "bob": [BILLED_MINOR]}, f"charged over a stale draft: {_paid(platform)}"
    platform.bill()
    assert _paid(platform) == {"ann": [BILLED_MINOR + 150], "bob": [BILLED_MINOR]}


def usage_comes_after_finalising(run: Arena) -> None:
    """Charging dies when all is final: usage that comes then changes no invoice, it is drift."""
    platform = _platform(run, "ann", "bob")
    platform.draft()
    _killed(run, "after finalise")
    platform.use("ann", 100, received_at=datetime.now(UTC))
    platform.bill()
    assert _paid(platform) == {"ann": [BILLED_MINOR], "bob": [BILLED_MINOR]}
    platform.look()
    assert run.warehouse.scalar("SELECT sum(difference_minor) FROM billing.billing_drift") == 150


def killed_between_ledger_and_finalisation(run: Arena) -> None:
    """The ledger has the draws, and the run dies before the invoices are final: drawn once, and Stripe gets the rest."""
    platform = _with_credits(run)
    _killed(run, "after draws")
    assert _draws(run) == [], "the draws of a finalisation that never was are there"
    platform.charge()
    _drawn_once(run, platform)


def killed_after_finalisation_with_credits(run: Arena) -> None:
    """All is final, nothing is charged; a crash even takes the intents back: nothing is drawn a second time."""
    platform = _with_credits(run)
    _killed(run, "after finalise")
    with run.warehouse.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("DELETE FROM billing.stripe_charges")
    for _ in range(2):
        platform.charge()
    _drawn_once(run, platform)


def redeemed_at_once(run: Arena) -> None:
    """Many customers are granted a limited coupon at the same moment: as many as it says have it, the others are told."""
    names = [f"c{number}" for number in range(ASKING)]
    _platform(run, *names, "late")
    create_coupon(run.warehouse, Coupon("FEW", "usd", percent=Decimal(50), redemptions_max=REDEMPTIONS_MAX), _SCENE)
    together = Barrier(ASKING)
    refused: list[str] = []

    def redeem(name: str) -> None:
        together.wait()
        try:
            grant_coupon(run.warehouse, "FEW", name, _SCENE, from_on=OCTOBER)
        except DiscountRefused:
            refused.append(name)

    _all_at_once([partial(redeem, name) for name in names])
    try:
        grant_coupon(run.warehouse, "FEW", "late", _SCENE, from_on=OCTOBER)
    except DiscountRefused:
        pass
    else:
        raise AssertionError("one who came later has it as well")
    granted = {row["customer_id"] for row in grants(run.warehouse, coupon="FEW")}
    assert (len(granted), len(refused)) == (REDEMPTIONS_MAX, ASKING - REDEMPTIONS_MAX), f"{len(granted)} have it"
    assert granted.isdisjoint(refused)
    assert [row["redemptions"] for row in coupons(run.warehouse)] == [REDEMPTIONS_MAX]


def used_at_once(run: Arena) -> None:
    """A discount on one invoice, and two months become final at the same moment: one of them has it, one is drafted anew."""
    platform = _platform(run, "ann")
    complete_feed(run.warehouse, datetime(2026, 1, 1, tzinfo=UTC))
    create_coupon(run.warehouse, Coupon("ONCE", "usd", percent=Decimal(50), periods_max=1), _SCENE)
    grant_coupon(run.warehouse, "ONCE", "ann", _SCENE, from_on=OCTOBER)
    months = (OCTOBER, NOVEMBER)
    for month in months:
        platform.draft(month)
    together = Barrier(len(months))

    def finalise(month: date) -> None:
        together.wait()
        finalise_month(run.warehouse, month, "scene")

    _all_at_once([partial(finalise, month) for month in months])
    for month in months:
        platform.bill(month)
    assert run.warehouse.scalar("SELECT count(*) FROM billing.discount_uses") == 1
    paid = [invoice["total_minor"] for month in months for invoice in platform.invoices("ann", month)]
    assert sorted(paid) in ([BILLED_MINOR // 2, 1000], [500, BILLED_MINOR]), f"charged {paid}"
    assert platform.paid_minor("ann") == sum(paid)


def _platform(run: Arena, *names: str) -> Platform:
    load_book(run.warehouse)
    platform = Platform(run.warehouse, run.stripe)
    for name in names:
        platform.customer(name)
        platform.use(name, 210)
    return platform


def _with_credits(run: Arena) -> Platform:
    platform = _platform(run, "ann", "bob")
    complete_feed(run.warehouse, datetime(2026, 1, 1, tzinfo=UTC))
    grant_credits(run.warehouse, "ann", CREDITS_MINOR, _SCENE)
    platform.draft()
    return platform


def _killed(run: Arena, boundary: str) -> None:
    """A charging run dies at the boundary."""
    job = Job(run.database, run.stripe.base_url, "doomed", BOUNDARIES.index(boundary), month=OCTOBER)
    [ended] = run_together([job], context())
    assert ended.killed, ended.said
    wait_for_locks(run.warehouse)


def _paid(platform: Platform) -> dict[str, list[int]]:
    """Totals of what was asked for at Stripe and paid, by customer."""
    paid: dict[str, list[int]] = {"ann": [], "bob": []}
    for invoice in platform.stripe.invoices():
        [name] = platform.warehouse.rows(
            "SELECT customer_id FROM billing.customers WHERE stripe_customer_id = :c", c=invoice["customer"]
        )
        paid[name["customer_id"]] += [invoice["total"]] if invoice["status"] == "paid" else []
    return paid


def _draws(run: Arena) -> list[int]:
    return [row["amount_minor"] for row in credit_entries(run.warehouse, "ann") if row["kind"] == "draw"]


def _drawn_once(run: Arena, platform: Platform) -> None:
    assert _draws(run) == [-CREDITS_MINOR], f"drawn: {_draws(run)}"
    assert _paid(platform) == {"ann": [BILLED_MINOR - CREDITS_MINOR], "bob": [BILLED_MINOR]}


def _all_at_once(deeds: list[Callable[[], None]]) -> None:
    threads = [Thread(target=deed) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


PLATFORM: dict[str, Callable[[Arena], None]] = {
    scene.__name__: scene
    for scene in (
        usage_comes_before_finalising,
        usage_comes_after_finalising,
        killed_between_ledger_and_finalisation,
        killed_after_finalisation_with_credits,
        redeemed_at_once,
        used_at_once,
    )
}
