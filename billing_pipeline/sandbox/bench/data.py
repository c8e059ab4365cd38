"""The benchmark's input: a price book, customers and months of usage, generated in the database and always the same.

Nothing is measured here, and nothing here looks at what the pipeline makes of it.
"""

from datetime import UTC, date, datetime, timedelta

import yaml
from sqlalchemy import Connection, text

from billing_pipeline.core.months import first_of, month_after
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing import prices
from billing_pipeline.pricing.price_books import default_book_text
from billing_pipeline.pricing.rules.price_book import load_price_books

FIRST_MONTH = date(2025, 3, 1)
"""The first month with usage; the packaged book's first version is in force by then."""

SERIES_PER_CUSTOMER = 5

_FURTHER_METERS = {
    "api_calls": {"aggregation": "sum", "unit": "call"},
    "egress_gb": {"aggregation": "sum", "unit": "GB"},
    "backup_gb": {"aggregation": "time_weighted", "unit": "GB"},
    "sessions": {"aggregation": "max", "unit": "session"},
}
_FURTHER_PRICES = [
    {
        "meter": "api_calls",
        "model": "graduated",
        "tiers": [
            {"up_to": "1000", "unit_amount": "0.01"},
            {"up_to": "10000", "unit_amount": "0.005"},
            {"up_to": None, "unit_amount": "0.001"},
        ],
    },
    {
        "meter": "egress_gb",
        "model": "volume",
        "tiers": [
            {"up_to": "100", "unit_amount": "0.09"},
            {"up_to": "1000", "unit_amount": "0.07"},
            {"up_to": None, "unit_amount": "0.05"},
        ],
    },
    {"meter": "backup_gb", "model": "package", "package_size": "50", "amount": "2.00"},
    {"meter": "sessions", "model": "per_unit", "included": 10, "unit_amount": "0.20"},
]


def price_book_text() -> str:
    """The packaged Lyceum book with a graduated, a volume, a package and one more per-unit price."""
    book = yaml.safe_load(default_book_text())
    book["meters"].update(_FURTHER_METERS)
    for version in book["versions"]:
        version["prices"].extend(_FURTHER_PRICES)
    return str(yaml.safe_dump(book, sort_keys=False))


def generate(warehouse: Warehouse, customer_count: int) -> None:
    """The price book and `customer_count` customers in four time zones, every twentieth on a 30-day cycle."""
    load_prices(warehouse)
    with warehouse.transaction() as connection:
        add_customers(connection, customer_count)
    _analyse(warehouse, "customers", "contract_terms")


def load_prices(warehouse: Warehouse) -> None:
    """The price book alone."""
    content = price_book_text()
    books = load_price_books(content, "the benchmark's price book")
    loading = prices.Loading("benchmark.yaml", Signature("bench", "the benchmark's price book"), "bench")
    prices.build(warehouse, books, content, loading)


def add_customers(connection: Connection, customer_count: int) -> None:
    """The customers of `generate`, each with a contract."""
    connection.execute(text(_CUSTOMERS), {"customer_count": customer_count, "first_month": FIRST_MONTH})
    connection.execute(text(_CONTRACTS))


def generate_usage(warehouse: Warehouse, customer_count: int, month: date) -> None:
    """A month's events, in order of time, a thousandth of them corrected; the feed is complete to the month's end.

    Every customer has `SERIES_PER_CUSTOMER` series. Each starts in FIRST_MONTH; later a level changes in three months
    of ten, and what is counted has two to four events a month.
    """
    start = first_of(month)
    values = {"customer_count": customer_count, "month": month, "month_start": start, "first_month": FIRST_MONTH}
    with warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL work_mem = '256MB'"))
        added = connection.execute(text(_EVENTS), values).rowcount
        added += _correct(connection, start)
        connection.execute(
            text(_IMPORT),
            {"rows": added, "start": start, "through": first_of(month_after(month)) + timedelta(days=2)},
        )
    _analyse(warehouse, "usage_events", "usage_series", "usage_corrections")


def _correct(connection: Connection, start: datetime) -> int:
    within = {"start": start, "end": start + timedelta(days=32)}
    added = connection.execute(text(_CORRECTING_EVENTS), within).rowcount
    connection.execute(text(_CORRECTIONS), within)
    return added


def _analyse(warehouse: Warehouse, *tables: str) -> None:
    with warehouse.engine.connect() as connection:
        as_login(connection)
        for table in tables:
            connection.execute(text(f"ANALYZE billing.{table}"))
        connection.commit()


def month_after_history(month_count: int) -> date:
    """The month that has `month_count` months of usage before it."""
    month = FIRST_MONTH
    for _ in range(month_count):
        month = month_after(month)
    return month


def long_after(month: date) -> datetime:
    """An instant at which every period of the month has ended."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 5, tzinfo=UTC)


_CUSTOMERS = """
INSERT INTO billing.customers (customer_id, name, email, currency, timezone, billing_cycle, cycle_anchor)
SELECT
    'c' || lpad(i::text, 8, '0'),
    'Customer ' || i,
    'billing@c' || i || '.example',
    'usd',
    (ARRAY['UTC', 'America/New_York', 'Europe/Berlin', 'Asia/Tokyo'])[1 + i % 4],
    CASE WHEN i % 20 = 0 THEN '30_days' ELSE 'calendar_month' END,
    CASE WHEN i % 20 = 0 THEN cast(:first_month AS date) - (i / 20) % 30 END
FROM generate_series(1, :customer_count) AS i
"""

_CONTRACTS = """
INSERT INTO billing.contract_terms (customer_id, effective_on, state, author, reason)
SELECT customer_id, coalesce(cycle_anchor, '2024-01-01'), 'active', 'bench', 'generated'
FROM billing.customers
"""

# h is a hash of customer, series, month and number: the same data in every run, on every machine
_EVENTS = """
INSERT INTO billing.usage_events (event_id, customer_id, meter, dimensions, quantity, occurred_at, received_at)
SELECT
    format('%s-%s-%s-%s', i, k.no, to_char(cast(:month AS date), 'YYYYMM'), n),
    'c' || lpad(i::text, 8, '0'),
    k.meter,
    CASE k.meter
        WHEN 'licenses' THEN jsonb_build_object('tier', (ARRAY['basic', 'professional', 'enterprise'])[1 + i % 3])
        WHEN 'clusters' THEN jsonb_build_object(
            'size', (ARRAY['small', 'medium', 'large'])[1 + i % 3],
            'environment', (ARRAY['development', 'production', 'analytics'])[1 + i / 3 % 3]
        )
        ELSE '{}'
    END,
    (1 + h.hash % k.whole) + CASE WHEN k.fractional THEN (h.hash / 7919 % 1000) * 0.001 ELSE 0 END,
    t.occurred_at,
    t.occurred_at + interval '1 hour'
FROM generate_series(1, :customer_count) AS i
CROSS JOIN LATERAL (
    VALUES
    (1, 'licenses', 20, FALSE, 0),
    (2, 'clusters', 4, FALSE, 0),
    (3, 'users', 50, FALSE, 0),
    (4, 'storage_gb', 500, TRUE, 0),
    (
        5,
        (ARRAY['api_calls', 'egress_gb', 'backup_gb', 'sessions'])[1 + i % 4],
        (ARRAY[5000, 600, 400, 40])[1 + i % 4],
        i % 4 IN (1, 2),
        (ARRAY[4, 4, 2, 2])[1 + i % 4]
    )
) AS k (no, meter, whole, fractional, monthly)
CROSS JOIN LATERAL generate_series(
    1,
    CASE
        WHEN k.monthly > 0 THEN k.monthly
        WHEN :month = :first_month THEN 1
        ELSE cast(hashtextextended(format('%s %s %s', i, k.no, :month), 1) & 1023 < 307 AS integer)
    END
) AS n
CROSS JOIN LATERAL (
    SELECT hashtextextended(format('%s %s %s %s', i, k.no, :month, n), 0) & 2147483647 AS hash
) AS h
CROSS JOIN LATERAL (
    SELECT cast(:month_start AS timestamptz) + interval '1 day' + h.hash % (26 * 86400) * interval '1 second'
        AS occurred_at
) AS t
ORDER BY t.occurred_at
"""

_CORRECTING_EVENTS = """
INSERT INTO billing.usage_events (event_id, customer_id, meter, dimensions, quantity, occurred_at, received_at)
SELECT 'fix-' || event_id, customer_id, meter, dimensions, quantity + 1, occurred_at, received_at + interval '1 day'
FROM billing.usage_events
WHERE occurred_at >= :start AND occurred_at < :end AND hashtext(event_id) & 1023 = 0
"""

_CORRECTIONS = """
INSERT INTO billing.usage_corrections (event_id, corrects_event_id, author, reason)
SELECT event_id, substr(event_id, 5), 'bench', 'one more than was sent'
FROM billing.usage_events
WHERE occurred_at >= :start AND occurred_at < :end AND event_id LIKE 'fix-%'
"""

_IMPORT = """
INSERT INTO billing.usage_imports
(source, received_at, row_count, new_event_count, oldest_new_at, newest_at, complete_through)
VALUES ('bench', clock_timestamp(), :rows, :rows, :start, :start, :through)
"""
