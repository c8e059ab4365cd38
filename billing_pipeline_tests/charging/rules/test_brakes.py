"""What holds a charge back: caps, canaries, the age of a month."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.charging.rules.brakes import (
    FAILURES_MAX,
    PROBE_EVERY,
    Amount,
    Brake,
    Canary,
    Limits,
    canary_count,
    canary_verdict,
    distinct,
    month_too_old,
    over_caps,
)

LIMITS = Limits(invoice_cap_minor=1000, run_cap_minor=2500, canary_refusals_max_percent=50)


def amount(name: str, minor: int, currency: str = "usd") -> Amount:
    return Amount(name, minor, currency)


def codes(held: dict[str, Brake]) -> dict[str, str]:
    return {name: brake.code for name, brake in held.items()}


def test_an_invoice_over_its_cap_is_held_alone_and_the_cap_itself_is_allowed():
    assert codes(over_caps([amount("a", 1000), amount("b", 1001)], LIMITS)) == {"b": "over_invoice_cap"}


def test_a_currency_over_the_runs_cap_is_held_whole_and_others_go():
    charges = [amount("a", 1000), amount("b", 1000), amount("c", 501), amount("y", 1000, "jpy")]
    assert codes(over_caps(charges, LIMITS)) == dict.fromkeys("abc", "over_run_cap")
    assert over_caps([*charges[:2], amount("c", 500)], LIMITS) == {}


def test_what_is_held_alone_does_not_count_towards_the_run():
    charges = [amount("a", 1000), amount("b", 1000), amount("big", 10_000)]
    assert codes(over_caps(charges, LIMITS)) == {"big": "over_invoice_cap"}


@given(st.lists(st.tuples(st.integers(0, 1500), st.sampled_from(["usd", "eur"])), max_size=12))
def test_what_goes_never_exceeds_either_cap(drawn):
    charges = [amount(str(n), minor, currency) for n, (minor, currency) in enumerate(drawn)]
    held = over_caps(charges, LIMITS)
    going = [charge for charge in charges if charge.invoice_id not in held]
    assert all(charge.amount_minor <= 1000 for charge in going)
    for currency in ("usd", "eur"):
        assert sum(charge.amount_minor for charge in going if charge.currency == currency) <= 2500


@pytest.mark.parametrize(("charges", "canaries"), [(0, 10), (10, 10), (1000, 10), (1001, 11), (100_000, 1000)])
def test_one_percent_and_at_least_ten_go_first(charges, canaries):
    assert canary_count(charges) == canaries


def canary(state: str, reason_code: str | None = None, differs: str | None = None) -> Canary:
    return Canary("INV-1", state, reason_code, differs)


PAID, REFUSED = canary("paid"), canary("refused", "declined")


@pytest.mark.parametrize(
    ("canaries", "code", "says"),
    [
        ([PAID] * 10, None, ""),
        ([PAID] * 5 + [REFUSED] * 5, None, ""),
        ([PAID] * 9 + [canary("void")], None, ""),
        (
            [PAID] * 4 + [REFUSED] * 6,
            "canary_failed",
            "6 of the first 10 charges are refused (6 declined), expected at most 50 %",
        ),
        ([PAID] * 9 + [canary("parked", "total_differs")], "canary_failed", "INV-1 is parked: total_differs"),
        ([PAID] * 9 + [canary("paid", differs="in_1 is open")], "canary_failed", "INV-1: in_1 is open"),
        ([PAID] * 9 + [canary("finalized")], "canary_unsettled", "1 of the first 10 charges have no answer yet"),
        ([PAID] * 3 + [canary("finalized")] + [REFUSED] * 6, "canary_failed", "refused"),
    ],
)
def test_the_rest_is_released_only_if_the_first_ended_as_expected(canaries, code, says):
    brake = canary_verdict(canaries, LIMITS)
    assert (brake.code if brake else None) == code
    assert says in (brake.says if brake else "")


@pytest.mark.parametrize(
    ("today", "held"), [(date(2026, 11, 1), False), (date(2027, 1, 2), False), (date(2027, 1, 3), True)]
)
def test_a_month_that_ended_more_than_62_days_ago_is_too_old(today, held):
    brake = month_too_old(date(2026, 10, 1), today, 62)
    assert (brake is not None) == held
    if brake:
        assert str(brake).startswith(
            "month_too_old: 2026-10 ended 63 days ago, more than BILLING_CHARGE_AGE_MAX_DAYS, 62"
        )
    assert month_too_old(date(2026, 12, 1), date(2027, 1, 15), 62) is None


def test_brakes_are_named_once():
    assert distinct([Brake("a", "1"), Brake("a", "2"), Brake("b", "1")]) == [Brake("a", "1"), Brake("b", "1")]


def test_six_hours_of_outage_cost_less_than_four_hundred_calls():
    in_flight = 24
    assert FAILURES_MAX + in_flight + 6 * 3600 / PROBE_EVERY.total_seconds() < 400
    assert PROBE_EVERY.total_seconds() >= 60
