"""A customer's periods: one chain without gap or overlap, in whatever order months are laid out."""

import random
from collections import defaultdict
from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from billing_pipeline.core.months import month_after
from billing_pipeline.customers.rules.billing_cycle import parse_cycle
from billing_pipeline.invoicing.rules.periods import Period, periods_billed_in
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    change_customer,
    checksums,
    finalise_customer,
    lay,
    load_book,
)

KINDS: dict[str, tuple[str, str, date | None]] = {
    "utc": ("UTC", "calendar_month", None),
    "lord-howe": ("Australia/Lord_Howe", "calendar_month", None),
    "anchored": ("America/New_York", "calendar_month", date(2025, 10, 9)),
    "thirty": ("Europe/Berlin", "30_days", date(2025, 1, 31)),
    "ten": ("Pacific/Auckland", "10_days", date(2025, 9, 30)),
    "sixty": ("America/Sao_Paulo", "60_days", date(2025, 8, 20)),
    "daily": ("Asia/Kathmandu", "1_days", date(2025, 11, 20)),
}


def _add_all(warehouse: Warehouse) -> None:
    for name, (timezone, cycle, anchor) in KINDS.items():
        add_customer(warehouse, name, timezone=timezone, billing_cycle=cycle, cycle_anchor=anchor)


def _chains(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    chains: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in warehouse.rows("SELECT * FROM billing.billing_periods ORDER BY customer_id, period_start"):
        chains[row["customer_id"]].append(row)
    for chain in chains.values():
        assert chain[0]["previous_end"] is None
        for earlier, later in pairwise(chain):
            assert earlier["period_end"] == later["period_start"] == later["previous_end"]
    return chains


def _expected(name: str, first: date, last: date) -> list[Period]:
    timezone, cycle, anchor = KINDS[name]
    periods, month = [], first
    while month <= last:
        periods += periods_billed_in(month, timezone, parse_cycle(cycle, anchor))
        month = month_after(month)
    return periods


@pytest.mark.parametrize(
    "order",
    [
        [SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER],
        [DECEMBER, NOVEMBER, OCTOBER, SEPTEMBER],
        [OCTOBER, DECEMBER, SEPTEMBER, NOVEMBER, OCTOBER],
        [DECEMBER, SEPTEMBER],
        [SEPTEMBER, DECEMBER],
        [NOVEMBER, DECEMBER, SEPTEMBER],
    ],
    ids=lambda order: "-".join(str(month.month) for month in order),
)
def test_months_laid_out_in_any_order_give_the_calendar_and_months_between_are_filled_in(warehouse, order):
    _add_all(warehouse)
    for month in order:
        lay(warehouse, month)
    chains = _chains(warehouse)
    for name in KINDS:
        laid = [
            Period(*(row[field] for field in ("period_start", "period_end", "start_date", "end_date", "billing_month")))
            for row in chains[name]
        ]
        # whom September does not bill has no chain yet that December could be joined to
        late = order == [SEPTEMBER, DECEMBER] and not _expected(name, SEPTEMBER, SEPTEMBER)
        first = DECEMBER if late else SEPTEMBER
        assert laid == _expected(name, first, DECEMBER), name


def test_a_cycle_may_end_no_period_one_or_several_in_a_month(warehouse):
    _add_all(warehouse)
    laid = lay(warehouse, OCTOBER)
    counts = {name: len(chain) for name, chain in _chains(warehouse).items()}
    assert counts == {"utc": 1, "lord-howe": 1, "anchored": 1, "thirty": 1, "ten": 3, "sixty": 1}
    assert (laid.row_count, laid.inserted, laid.deleted) == (8, 8, 0)
    again = lay(warehouse, OCTOBER)
    assert (again.row_count, again.inserted, again.deleted) == (8, 0, 0)


def test_a_customer_who_comes_later_does_not_disturb_the_chains_of_others(warehouse):
    add_customer(warehouse, "old")
    lay(warehouse, SEPTEMBER)
    add_customer(warehouse, "new")
    lay(warehouse, DECEMBER)
    chains = _chains(warehouse)
    assert (len(chains["old"]), len(chains["new"])) == (4, 1), "only a chain that exists is bridged"
    lay(warehouse, OCTOBER)
    assert (len(_chains(warehouse)["new"])) == 3


def test_a_period_that_has_not_ended_is_left_out_and_laid_later(warehouse):
    _add_all(warehouse)
    laid = lay(warehouse, OCTOBER, now=at("2025-10-31T13:30"))
    assert "utc" not in _chains(warehouse)
    assert len(_chains(warehouse)["lord-howe"]) == 1, "its November began half an hour ago"
    # still running: utc, anchored, thirty and the last of the ten-day periods
    assert laid.not_ended == len(
        [p for n in KINDS for p in _expected(n, OCTOBER, OCTOBER) if p.end > at("2025-10-31T13:30")]
    )
    assert lay(warehouse, OCTOBER, now=at("2025-11-01T12:00")).not_ended == 0
    assert lay(warehouse, NOVEMBER).not_ended == 0
    _chains(warehouse)
    assert warehouse.scalar("SELECT count(*) FROM billing.billing_periods WHERE billing_month = :m", m=OCTOBER) == 8


def test_inactive_customers_do_not_count_as_still_running(warehouse):
    add_customer(warehouse, "gone", status="inactive")
    assert lay(warehouse, OCTOBER, now=at("2025-10-02")).not_ended == 0


@pytest.mark.parametrize(
    "change",
    [
        {"timezone": "Asia/Tokyo"},
        {"timezone": "Pacific/Honolulu"},
        {"currency": "eur"},
        {"billing_cycle": "30_days", "cycle_anchor": date(2025, 9, 30)},
        {"billing_cycle": "7_days", "cycle_anchor": date(2025, 1, 1)},
    ],
    ids=str,
)
def test_a_change_of_the_customer_takes_effect_in_the_month_laid_out_next_and_earlier_months_keep_theirs(
    warehouse, change
):
    add_customer(warehouse, "ann", timezone="Europe/Paris")
    lay(warehouse, SEPTEMBER)
    lay(warehouse, OCTOBER)
    before = _chains(warehouse)["ann"]
    change_customer(warehouse, "ann", **change)
    lay(warehouse, NOVEMBER)
    chain = _chains(warehouse)["ann"]
    assert chain[: len(before)] == before
    for later in chain[len(before) :]:
        assert later["timezone"] == change.get("timezone", "Europe/Paris")
        assert later["currency"] == change.get("currency", "usd")
    days = change.get("cycle_anchor")
    if days:
        cycle = parse_cycle(change["billing_cycle"], days)
        ends = [period.end for period in periods_billed_in(NOVEMBER, "Europe/Paris", cycle)]
        assert [row["period_end"] for row in chain[len(before) :]] == [
            end for end in ends if end > before[-1]["period_end"]
        ]


def test_a_month_that_is_built_again_as_a_draft_takes_the_customers_new_currency(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    bill(warehouse, OCTOBER)
    change_customer(warehouse, "ann", currency="eur")
    laid = lay(warehouse, OCTOBER)
    assert (laid.deleted, laid.inserted) == (1, 1)
    assert warehouse.scalar("SELECT currency FROM billing.billing_periods") == "eur"
    assert warehouse.scalar("SELECT count(*) FROM billing.invoices") == 0, "the draft in the old currency went with it"


def test_the_first_period_follows_an_anchor_that_moves(warehouse):
    add_customer(warehouse, "ann", cycle_anchor=date(2025, 10, 9))
    lay(warehouse, OCTOBER)
    change_customer(warehouse, "ann", cycle_anchor=date(2025, 10, 4))
    lay(warehouse, OCTOBER)
    assert [row["start_date"] for row in _chains(warehouse)["ann"]] == [date(2025, 10, 4)]


@pytest.mark.parametrize(
    "change", [{"timezone": "Asia/Tokyo"}, {"currency": "eur"}, {"cycle_anchor": date(2025, 10, 9)}], ids=str
)
def test_a_period_behind_a_finalised_invoice_never_moves(warehouse, change):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("a", "ann", "calls", 20, at("2025-10-05"))])
    bill(warehouse, OCTOBER)
    finalise_customer(warehouse, "ann", OCTOBER)
    before = checksums(warehouse)
    change_customer(warehouse, "ann", **change)
    assert lay(warehouse, OCTOBER).deleted == 0
    assert checksums(warehouse) == before
    for month in (SEPTEMBER, DECEMBER):
        lay(warehouse, month)
        [october] = [row for row in _chains(warehouse)["ann"] if row["billing_month"] == OCTOBER]
        assert (october["period_start"], october["period_end"]) == (at("2025-10-01"), at("2025-11-01"))
        assert (october["currency"], october["timezone"]) == ("usd", "UTC")


CHANGES: list[dict[str, Any]] = [
    *(
        {"timezone": zone}
        for zone in ("UTC", "Pacific/Kiritimati", "America/New_York", "Pacific/Apia", "Asia/Kathmandu")
    ),
    *({"currency": currency} for currency in ("usd", "eur")),
    {"billing_cycle": "calendar_month", "cycle_anchor": None},
    {"billing_cycle": "calendar_month", "cycle_anchor": date(2025, 10, 15)},
    {"billing_cycle": "30_days", "cycle_anchor": date(2025, 8, 31)},
    {"billing_cycle": "7_days", "cycle_anchor": date(2025, 9, 12)},
    {"billing_cycle": "45_days", "cycle_anchor": date(2025, 7, 1)},
    {"status": "inactive"},
    {"status": "active"},
]


@pytest.mark.parametrize("seed", [3, 5, 14])
def test_whatever_changes_in_between_the_chain_holds_and_only_the_month_at_hand_is_laid_anew(warehouse, seed):
    """Random changes of customers, finalised invoices and months in random order."""
    chance = random.Random(seed)
    load_book(warehouse)
    for number in range(6):
        add_customer(warehouse, f"c{number}", **chance.choice(CHANGES[:-2]))
    months = [date(2025, 8, 1), SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER]
    finalised: dict[Any, dict[str, Any]] = {}
    for _ in range(15):
        for _ in range(chance.randrange(3)):
            change_customer(warehouse, f"c{chance.randrange(6)}", **chance.choice(CHANGES))
        month = chance.choice(months)
        before = {row["period_id"]: row for chain in _chains(warehouse).values() for row in chain}
        bill(warehouse, month)
        after = {row["period_id"]: row for chain in _chains(warehouse).values() for row in chain}
        for period_id, row in before.items():
            if row["billing_month"] != month or period_id in finalised:
                assert after[period_id] == {**row, "previous_end": after[period_id]["previous_end"]}
        drafts = warehouse.rows(
            "SELECT customer_id, period_id FROM billing.invoices WHERE status = 'draft' AND billing_month = :m"
            " ORDER BY customer_id, period_id",
            m=month,
        )
        alone = [draft for draft in drafts if [d["customer_id"] for d in drafts].count(draft["customer_id"]) == 1]
        if alone and chance.random() < 0.3:
            draft = chance.choice(alone)
            known = warehouse.scalar(
                "SELECT count(*) FROM billing.invoices WHERE (customer_id, billing_month) = (:c, :m)",
                c=draft["customer_id"],
                m=month,
            )
            if known == 1:
                finalise_customer(warehouse, draft["customer_id"], month)
                finalised[draft["period_id"]] = after[draft["period_id"]]
