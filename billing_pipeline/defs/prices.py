"""Asset `prices`: the price book file as tables."""

import dagster as dg

from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.platform import GROUP, OWNERS
from billing_pipeline.defs.resources import Billing
from billing_pipeline.pricing import prices as build_prices
from billing_pipeline.pricing.rules.price_book import PriceBookError, load_price_books


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"yaml", "postgres"})
def prices(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """The price book: one row a version, meter and rate. Rows are added or retired, never edited."""
    path = billing.settings.pricing.price_book
    try:
        source = path.read_text(encoding="utf-8")
        books = load_price_books(source, path.name)
    except (PriceBookError, OSError, UnicodeDecodeError) as error:
        raise dg.Failure(description=f"price book: {error}", allow_retries=False) from error
    loaded = build_prices.build(billing.warehouse, books, source, context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            **table_metadata(billing.warehouse, "prices", loaded.in_use),
            "added": loaded.added,
            "retired": loaded.retired,
            "books": ", ".join(f"{book.name} ({book.currency})" for book in books),
        }
    )
