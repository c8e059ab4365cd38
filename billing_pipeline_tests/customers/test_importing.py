"""Customers come in whole or not at all; the known are brought up to date and their changes are on record."""

import csv
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.customers.importing import CustomerImport, import_customers
from billing_pipeline.imports.problems import ImportRefused
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import execute

NAMES = (
    "customer_id", "name", "email", "currency", "timezone", "billing_cycle", "cycle_anchor", "stripe_customer_id",
)  # fmt: skip


def customer(customer_id: str, **over: str) -> dict[str, str]:
    row = {"customer_id": customer_id, "name": "Ada", "email": "ada@example.com", "currency": "usd", "timezone": "UTC"}
    return row | over


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "customers.csv"


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, NAMES, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def stored(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.rows("SELECT * FROM billing.customers ORDER BY customer_id")


def log(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.rows("SELECT * FROM billing.automation_log ORDER BY log_id")


def refusal(warehouse: Warehouse, path: Path) -> str:
    with pytest.raises(ImportRefused) as caught:
        import_customers(warehouse, path)
    return str(caught.value)


def test_new_customers_are_stored_in_canonical_spelling(warehouse: Warehouse, file: Path) -> None:
    write(
        file,
        customer("007", currency="EUR"),
        customer("8", billing_cycle="fixed_days", cycle_anchor="2026-01-15", stripe_customer_id="cus_8"),
    )
    assert import_customers(warehouse, file) == CustomerImport(rows=2, inserted=2, updated=0, unchanged=0)
    first, second = stored(warehouse)
    assert (first["customer_id"], first["currency"], first["billing_cycle"]) == ("007", "eur", "calendar_month")
    assert (first["cycle_anchor"], first["stripe_customer_id"], first["status"]) == (None, None, "active")
    assert (second["billing_cycle"], str(second["cycle_anchor"])) == ("30_days", "2026-01-15")
    assert log(warehouse) == []


def test_the_last_three_columns_may_be_absent(warehouse: Warehouse, file: Path) -> None:
    file.write_text("customer_id,name,email,currency,timezone\nc,N,n@example.com,jpy,Asia/Tokyo\n")
    assert import_customers(warehouse, file).inserted == 1


def test_a_file_may_say_when_a_contract_starts_and_ends_and_on_which_plan(warehouse: Warehouse, file: Path) -> None:
    header = "customer_id,name,email,currency,timezone,starts_on,ends_on,plan,country,payment_terms_days\n"
    line = "c,N,n@example.com,eur,Europe/Berlin,2025-10-20,{},basic,de,14\n"
    file.write_text(header + line.format(""))
    assert import_customers(warehouse, file).inserted == 1
    assert import_customers(warehouse, file).unchanged == 1
    file.write_text(header + line.format("2025-11-10"))
    assert import_customers(warehouse, file).updated == 1
    file.write_text("customer_id,name,email,currency,timezone\nc,N,n@example.com,eur,Europe/Berlin\n")
    assert import_customers(warehouse, file).unchanged == 1, "what a file does not say stays"
    [contract] = warehouse.rows("SELECT starts_on, ends_on, plan FROM billing.contracts")
    assert [str(value) for value in contract.values()] == ["2025-10-20", "2025-11-10", "basic"]
    [row] = stored(warehouse)
    assert (row["country"], row["payment_terms_days"]) == ("DE", 14)
    file.write_text(header + line.format("2025-10-19"))
    assert refusal(warehouse, file).endswith(
        'customers.csv:2: ends_on "2025-10-19": expected the last day of the contract, 2025-10-20 or later'
    )


def test_the_same_file_again_changes_nothing(warehouse: Warehouse, file: Path) -> None:
    write(file, customer("a"), customer("b", stripe_customer_id="cus_b"))
    import_customers(warehouse, file)
    before = stored(warehouse)
    assert import_customers(warehouse, file) == CustomerImport(rows=2, inserted=0, updated=0, unchanged=2)
    assert stored(warehouse) == before
    assert log(warehouse) == []


def test_a_changed_customer_is_logged_with_before_and_after(warehouse: Warehouse, file: Path) -> None:
    import_customers(warehouse, write(file, customer("a"), customer("b")))
    before = stored(warehouse)
    done = import_customers(warehouse, write(file, customer("b"), customer("a", name="Grace"), customer("c")))
    assert done == CustomerImport(rows=3, inserted=1, updated=1, unchanged=1)
    (entry,) = log(warehouse)
    assert (entry["actor"], entry["action"]) == ("billing import customers", "customer.import")
    assert (entry["object_type"], entry["object_id"]) == ("customer", "a")
    assert entry["reason"] == "import of customers.csv"
    assert (entry["state_before"]["name"], entry["state_after"]["name"]) == ("Ada", "Grace")
    assert entry["state_before"] | {"name": "Grace"} == entry["state_after"]
    after = {row["customer_id"]: row for row in stored(warehouse)}
    assert after["a"]["imported_at"] > before[0]["imported_at"]
    assert after["b"] == before[1]


def test_a_customer_on_hold_stays_on_hold(warehouse: Warehouse, file: Path) -> None:
    import_customers(warehouse, write(file, customer("a")))
    execute(warehouse, "UPDATE billing.customers SET status = 'on_hold'")
    import_customers(warehouse, write(file, customer("a", name="Grace")))
    assert [(row["name"], row["status"]) for row in stored(warehouse)] == [("Grace", "on_hold")]


def test_a_stripe_customer_may_be_set_but_not_changed_and_a_blank_keeps_it(warehouse: Warehouse, file: Path) -> None:
    import_customers(warehouse, write(file, customer("a")))
    assert import_customers(warehouse, write(file, customer("a", stripe_customer_id="cus_1"))).updated == 1
    assert import_customers(warehouse, write(file, customer("a"))).unchanged == 1
    assert import_customers(warehouse, write(file, customer("a", name="Grace"))).updated == 1
    assert refusal(warehouse, write(file, customer("a", stripe_customer_id="cus_2"))) == (
        'customers.csv:2: stripe_customer_id "cus_2": expected a blank or cus_1, which customer a already has'
    )
    assert [row["stripe_customer_id"] for row in stored(warehouse)] == ["cus_1"]


def test_a_stripe_customer_belongs_to_one_customer(warehouse: Warehouse, file: Path) -> None:
    import_customers(warehouse, write(file, customer("a", stripe_customer_id="cus_1")))
    rows = [customer(c, stripe_customer_id=s) for c, s in [("b", "cus_1"), ("c", "cus_2"), ("d", "cus_2")]]
    assert refusal(warehouse, write(file, *rows)).splitlines() == [
        'customers.csv:2: stripe_customer_id "cus_1": expected a Stripe customer of nobody else, it belongs to customer a',
        'customers.csv:4: stripe_customer_id "cus_2": expected each Stripe customer once, found it in line 3',
    ]
    assert len(stored(warehouse)) == 1


def test_a_customer_given_twice_names_the_earlier_line_even_if_the_rows_agree(warehouse: Warehouse, file: Path) -> None:
    rows = [customer("a", name='"A"\n'.strip()), customer("b"), customer("a"), customer("a")]
    assert refusal(warehouse, write(file, *rows)).splitlines() == [
        'customers.csv:4: customer_id "a": expected each customer once, found it in line 2',
        'customers.csv:5: customer_id "a": expected each customer once, found it in line 2',
    ]


def test_every_bad_cell_is_named_and_nothing_is_loaded(warehouse: Warehouse, file: Path) -> None:
    write(
        file,
        customer("a"),
        customer("b", name="", email="nobody", currency="xyz", timezone="Berlin", billing_cycle="weekly"),
        customer("c", cycle_anchor="15.01.2026", stripe_customer_id="sub_1"),
        customer("d", billing_cycle="30_days"),
        customer("a"),
    )
    assert refusal(warehouse, file).splitlines() == [
        'customers.csv:3: name "": expected 1 to 256 characters without control characters',
        'customers.csv:3: email "nobody": expected an e-mail address such as billing@example.com',
        'customers.csv:3: currency "xyz": expected an ISO 4217 currency code that Stripe charges, such as usd',
        'customers.csv:3: timezone "Berlin": expected a time zone of the IANA database such as Europe/Berlin',
        'customers.csv:3: billing_cycle "weekly": expected calendar_month, monthly, quarterly, yearly, 1 to 60 months such as 6_months or 1 to 366 days such as 30_days',
        'customers.csv:4: cycle_anchor "15.01.2026": expected a date such as 2026-10-31',
        'customers.csv:4: stripe_customer_id "sub_1": expected a Stripe customer such as cus_NffrFeUfNV2Hib, or blank',
        'customers.csv:5: cycle_anchor "": expected a date such as 2026-10-31, from which 30_days are counted',
        'customers.csv:6: customer_id "a": expected each customer once, found it in line 2',
    ]
    assert stored(warehouse) == log(warehouse) == []


def test_a_line_break_in_a_quoted_name_is_refused_and_later_lines_still_right(warehouse: Warehouse, file: Path) -> None:
    write(file, customer("a", name="A\nB"), customer("b", currency="?"))
    assert [line.split(": ")[0] for line in refusal(warehouse, file).splitlines()] == [
        "customers.csv:2",
        "customers.csv:4",
    ]


def test_a_trial_comes_with_the_contract_and_is_changed_by_the_next_file(warehouse: Warehouse, tmp_path: Path) -> None:
    def wrote(name: str, **over: str) -> Path:
        row = customer("7", **over)
        path = tmp_path / name
        path.write_text("\n".join([",".join(row), ",".join(row.values())]))
        return path

    trial = "SELECT starts_on::text, ends_on::text, in_trial FROM billing.contracts ORDER BY starts_on"
    import_customers(warehouse, wrote("first.csv", starts_on="2026-10-20", trial_until="2026-11-02"))
    assert warehouse.rows(trial)[0] == {"starts_on": "2026-10-20", "ends_on": "2026-11-02", "in_trial": True}
    import_customers(warehouse, wrote("second.csv", trial_until="2026-10-25"))
    assert warehouse.rows(trial)[0] == {"starts_on": "2026-10-20", "ends_on": "2026-10-25", "in_trial": True}
    again = import_customers(warehouse, wrote("third.csv", starts_on="2026-10-20", trial_until="2026-10-25"))
    assert again.unchanged == 1
    wrong = refusal(warehouse, wrote("wrong.csv", starts_on="2026-10-20", trial_until="2026-10-19"))
    assert "expected the last day of the trial, 2026-10-20 or later" in wrong
    alone = wrote("alone.csv", trial_until="2026-10-25").read_text().replace("7,", "8,", 1)
    (tmp_path / "alone.csv").write_text(alone)
    assert "a trial beside a starts_on, or blank" in refusal(warehouse, tmp_path / "alone.csv")
