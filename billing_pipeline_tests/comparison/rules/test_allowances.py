"""What is included, used and left of it: of a combination, of a meter, and of a pool that prices share."""

from decimal import Decimal
from typing import Any

from billing_pipeline.comparison.rules.allowances import allowances


def price(included: int, scope: str | None = None, pool: str | None = None, lines: str | None = None) -> dict[str, Any]:
    """What a price includes."""
    owner = {"version_id": "2025", "customer_id": None, "plan": None}
    return {**owner, "scope": scope, "pool": pool, "lines": lines, "included": Decimal(included)}


def line(price_id: str, meter: str, used: int, dimensions: str = "{}", kind: str = "usage") -> dict[str, Any]:
    """A rated line."""
    amounts = {"description": f"{meter} {dimensions}", "usage_quantity": Decimal(used)}
    return {"price_id": price_id, "meter": meter, "dimensions": dimensions, "kind": kind, **amounts}


def shown(lines: list[dict[str, Any]], prices: dict[str, dict[str, Any]]) -> list[tuple[list[str], int, int, int, int]]:
    """Meters, included, used, left and above."""
    found = allowances(lines, prices)
    return [(one.meters, int(one.included), int(one.used), int(one.left), int(one.above)) for one in found]


def test_each_combination_has_its_own() -> None:
    lines = [line("gb", "storage", 105, '{"in": "eu"}'), line("gb", "storage", 40, '{"in": "us"}')]
    assert shown(lines, {"gb": price(100)}) == [(["storage"], 100, 105, 0, 5), (["storage"], 100, 40, 60, 0)]


def test_all_combinations_of_a_meter_share_one_where_the_price_says_so() -> None:
    lines = [line("gb", "storage", 105, '{"in": "eu"}'), line("gb", "storage", 40, '{"in": "us"}')]
    assert shown(lines, {"gb": price(100, "meter")}) == [(["storage"], 100, 145, 0, 45)]


def test_prices_share_the_one_of_their_pool_and_tiers_that_of_their_price() -> None:
    lines = [line("c", "calls", 30), line("c2", "calls", 10), line("t", "texts", 5), line("gb", "storage", 7)]
    prices = {"c": price(100, pool="talk"), "c2": price(100, pool="talk"), "t": price(100, pool="talk")}
    assert shown(lines, prices) == [(["calls", "texts"], 100, 45, 55, 0)]


def test_what_is_no_usage_draws_on_none() -> None:
    assert shown([line("c", "calls", 30, kind="minimum")], {"c": price(100)}) == []


def test_a_line_for_many_combinations_does_not_tell_how_much_of_which_is_used() -> None:
    lines = [line("gb", "storage", 145)]
    assert shown(lines, {"gb": price(100, lines="merged")}) == []
    assert shown(lines, {"gb": price(100, "meter", lines="merged")}) == [(["storage"], 100, 145, 0, 45)]
