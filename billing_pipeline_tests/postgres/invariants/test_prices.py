"""Price versions cannot overlap, and a price row, once it priced a line, says the same for ever."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection

from billing_pipeline_tests.postgres.invariants.rows import draft, execute, insert, price, refused, undone, value


@pytest.fixture
def book(db: Connection) -> Connection:
    insert(db, "price_books", currency="usd", name="lyceum", content_sha256="0", run_id="run")
    return db


def version(db: Connection, version_id: str, effective_from: object, currency: str = "usd") -> None:
    insert(db, "price_versions", currency=currency, version_id=version_id, effective_from=effective_from)


def test_versions_store_only_their_beginning_so_two_of_them_never_cover_one_day(book: Connection):
    version(book, "2025-01", date(2025, 1, 1))
    version(book, "2026-01", date(2026, 1, 1))
    with refused(book, "effective_from_key"):
        version(book, "2026-01b", date(2026, 1, 1))


def test_a_version_has_one_beginning(book: Connection):
    version(book, "2025-01", date(2025, 1, 1))
    with refused(book, "price_versions_pkey"):
        version(book, "2025-01", date(2026, 1, 1))


@pytest.mark.parametrize("effective_from", ["infinity", "-infinity", None])
def test_a_version_begins_on_a_day(book: Connection, effective_from: object):
    with refused(book, "effective_from"):
        version(book, "2025-01", effective_from)


def test_a_version_belongs_to_a_book(db: Connection):
    with refused(db, "foreign key"):
        version(db, "2025-01", date(2025, 1, 1), "eur")


def test_a_meter_is_counted_in_one_of_the_five_ways(book: Connection):
    with refused(book, "aggregation_check"):
        insert(book, "meters", currency="usd", meter="users", aggregation="avg", dimensions=[])
    with undone(book):
        for aggregation in ("constant", "sum", "last", "max", "time_weighted"):
            insert(book, "meters", currency="usd", meter=aggregation, aggregation=aggregation, dimensions=[])


@pytest.mark.parametrize(
    "change",
    [
        "unit_amount = 6",
        "included = 1",
        "minimum = 1",
        "currency = 'eur'",
        "version_id = '2026-01'",
        "effective_from = '2026-01-01'",
        "meter = 'users'",
        'dimensions = \'{"tier": "basic"}\'',
        "customer_id = 'c1'",
        "description = 'other'",
        "position = 2",
        "book = 'other'",
        "price_id = '00000000-0000-0000-0000-000000000000'",
    ],
)
def test_a_price_row_is_never_edited(db: Connection, change: str):
    price(db)
    with refused(db, "never edited"):
        execute(db, f"UPDATE billing.prices SET {change}")


def test_an_upsert_does_not_edit_a_price(db: Connection):
    price(db)
    with refused(db, "never edited"):
        execute(
            db,
            "INSERT INTO billing.prices SELECT (p).* FROM (SELECT p FROM billing.prices AS p) AS q"
            " ON CONFLICT (price_id) DO UPDATE SET unit_amount = 6",
        )


def test_a_price_may_be_retired_and_come_back(db: Connection):
    price(db)
    execute(db, "UPDATE billing.prices SET retired_at = now()")
    execute(db, "UPDATE billing.prices SET retired_at = NULL")
    assert value(db, "SELECT count(*) FROM billing.prices WHERE retired_at IS NULL") == 1


@pytest.mark.parametrize("statement", ["DELETE FROM billing.prices", "TRUNCATE billing.prices CASCADE"])
def test_prices_are_not_deleted(db: Connection, statement: str):
    price(db)
    with refused(db, "retired, not deleted"):
        execute(db, statement)


def test_one_price_is_in_use_for_a_meter_and_its_dimensions(db: Connection):
    price(db)
    with refused(db, "prices_one_in_use"):
        price(db, unit_amount=Decimal(6))
    with undone(db):
        execute(db, "UPDATE billing.prices SET retired_at = now()")
        price(db, unit_amount=Decimal(6))
    with undone(db):
        price(db, customer_id="c1", unit_amount=Decimal(4))
        price(db, dimensions='{"tier": "basic"}')
        price(db, version_id="2026-01")


@pytest.mark.parametrize(
    "over",
    [
        {"model": "free"},
        {"unit_amount": Decimal(-1)},
        {"unit_amount": Decimal("NaN")},
        {"included": Decimal(-1)},
        {"minimum": Decimal(-1)},
        {"model": "package"},
        {"package_size": Decimal(10)},
        {"model": "package", "package_size": Decimal(0)},
        {"tier_no": 1},
        {"tier_from": Decimal(1)},
        {"tier_up_to": Decimal(100)},
        {"model": "volume", "tier_from": Decimal(10), "tier_up_to": Decimal(10)},
        {"model": "volume", "tier_no": -1},
        {"dimensions": "[]"},
    ],
)
def test_a_price_that_means_nothing_is_refused(db: Connection, over: dict[str, Any]):
    with refused(db, "check"):
        price(db, **over)


def test_tiers_and_packages_are_written_as_they_are_meant(db: Connection):
    with undone(db):
        price(db, model="graduated", tier_up_to=Decimal(100))
        price(db, model="graduated", tier_no=1, tier_from=Decimal(100))
        price(db, meter="emails", model="package", package_size=Decimal(1000))
        price(db, meter="fee", model="flat", unit_amount=Decimal(0))


def test_a_line_names_a_price_that_exists(db: Connection):
    draft(db)
    assert value(db, "SELECT count(*) FROM billing.invoice_line_items JOIN billing.prices USING (price_id)") == 1
