"""The gates as data: what finalisation relies on, and the statements behind them."""

from pathlib import Path

import pytest

from billing_pipeline.gates.rules.gate import NoRows
from billing_pipeline.gates.rules.gates import GATES, gates_of
from billing_pipeline.settings import ROOT

CHECKS = ROOT / "sql" / "gates"


def test_a_gate_is_named_once_an_asset():
    assert len({(gate.asset, gate.name) for gate in GATES}) == len(GATES)


def test_every_statement_belongs_to_a_gate_and_every_gate_without_a_rule_of_its_own_has_one():
    assert {path.stem for path in CHECKS.glob("*.sql")} == {gate.name for gate in GATES if gate.rule == NoRows()}


def test_a_statement_serves_one_gate_only():
    """Statements are found by the gate's name alone: two assets' gates of one name would share it."""
    names = [gate.name for gate in GATES if gate.rule == NoRows()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", sorted(CHECKS.glob("*.sql")), ids=lambda path: path.stem)
def test_a_statement_looks_at_the_month_and_says_which_rows_it_returns(path: Path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("-- ")
    assert "{batch}" in text or "'{month}'" in text


def test_only_comparisons_with_last_month_and_the_weight_of_rounding_merely_warn():
    """Everything else is a fact about this month, which is wrong or right."""
    assert {gate.name for gate in GATES if not gate.blocking} == {
        "contract_starts_are_known",
        "volume_within_bounds",
        "revenue_within_bounds",
        "rounding_within_bounds",
    }


def test_the_gates_of_an_asset_come_in_the_order_of_the_list():
    assert [gate.name for gate in gates_of("usage_snapshots")][:2] == ["unique_grain", "complete_values"]
    assert sum(len(gates_of(asset)) for asset in ("usage_snapshots", "invoice_line_items", "invoices")) == len(GATES)
    assert gates_of("customers") == ()
