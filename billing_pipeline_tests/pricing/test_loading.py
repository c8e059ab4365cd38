"""Prices are loaded on purpose, and a run is priced by what is loaded."""

from pathlib import Path

import pytest

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.book_file import BookFileError
from billing_pipeline.pricing.loading import (
    AnotherBookError,
    book_of_shadow,
    load_prices,
    loaded_book,
    plan_load,
    prices_for_run,
)
from billing_pipeline_tests.month_rows import BOOK, checksums, load_book

ANN = Signature("ann", "agreed in May")
DEARER = BOOK.replace('unit_amount: "3"', 'unit_amount: "4"')
TABLES = ("price_loads", "price_books", "meters", "price_versions", "prices", "automation_log")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new.yaml"


def test_a_load_is_kept_with_its_file_author_and_reason(warehouse: Warehouse, file: Path) -> None:
    load_book(warehouse)
    file.write_text(DEARER)
    plan = plan_load(warehouse, file)
    assert [(change.what, change.subject) for change in plan.changes] == [("changed", "price of peak")]
    assert load_prices(warehouse, plan, ANN).added == 1
    now = loaded_book(warehouse)
    assert now is not None
    assert (now.file_name, now.text, now.author) == ("new.yaml", DEARER, "ann")
    [entry] = warehouse.rows(
        "SELECT actor, reason, state_before ->> 'file' AS before, state_after ->> 'file' AS after"
        " FROM billing.automation_log WHERE action = 'prices.load' ORDER BY log_id DESC LIMIT 1"
    )
    assert entry == {"actor": "ann", "reason": "agreed in May", "before": "book.yaml", "after": "new.yaml"}


def test_the_same_file_again_leaves_no_trace(warehouse: Warehouse, file: Path) -> None:
    load_book(warehouse)
    before = checksums(warehouse, TABLES)
    file.write_text(BOOK)
    load_prices(warehouse, plan_load(warehouse, file), ANN)
    assert checksums(warehouse, TABLES) == before


def test_another_currency_or_book_is_replaced_only_by_name(warehouse: Warehouse, file: Path) -> None:
    load_book(warehouse)
    file.write_text(BOOK.replace("usd", "eur"))
    before = checksums(warehouse, TABLES)
    with pytest.raises(UserError, match=r"no book in usd, which test has now\. If that is meant, add --replace"):
        load_prices(warehouse, plan_load(warehouse, file), ANN)
    assert checksums(warehouse, TABLES) == before
    load_prices(warehouse, plan_load(warehouse, file), ANN, replace=True)
    assert warehouse.rows("SELECT DISTINCT currency FROM billing.prices WHERE retired_at IS NULL") == [
        {"currency": "eur"}
    ]


def test_a_plan_that_another_load_overtook_loads_nothing(warehouse: Warehouse, file: Path) -> None:
    file.write_text(DEARER)
    plan = plan_load(warehouse, file)
    load_book(warehouse)
    before = checksums(warehouse, TABLES)
    with pytest.raises(UserError, match="another price book was loaded in between"):
        load_prices(warehouse, plan, ANN)
    assert checksums(warehouse, TABLES) == before


def test_without_the_variable_a_run_keeps_what_is_loaded_and_loads_nothing(warehouse: Warehouse) -> None:
    load_book(warehouse)
    before = checksums(warehouse, TABLES)
    found = prices_for_run(warehouse, None, "run")
    assert (found.loaded.in_use, found.loaded.added, found.first_load) == (6, 0, "")
    assert checksums(warehouse, TABLES) == before


def test_the_first_run_without_the_variable_loads_the_packaged_book_and_says_so(warehouse: Warehouse) -> None:
    found = prices_for_run(warehouse, None, "run")
    assert found.first_load.startswith("no price book was loaded yet: loaded lyceum.yaml, the packaged book")
    assert prices_for_run(warehouse, None, "again").first_load == ""


def test_a_variable_that_names_another_book_or_none_stops_a_run(warehouse: Warehouse, file: Path) -> None:
    load_book(warehouse)
    before = checksums(warehouse, TABLES)
    with pytest.raises(BookFileError, match="No such file"):
        prices_for_run(warehouse, file, "run")
    file.write_text(DEARER)
    with pytest.raises(AnotherBookError, match=r"billing prices load .*new.yaml"):
        prices_for_run(warehouse, file, "run")
    with pytest.raises(AnotherBookError):
        book_of_shadow(warehouse, None, file)
    assert book_of_shadow(warehouse, file, None).file.text == DEARER
    assert book_of_shadow(warehouse, None, None).file.text == BOOK
    assert checksums(warehouse, TABLES) == before
