"""Asset `prices`: the price book file as tables."""

import dagster as dg

from billing_pipeline.defs.failures import explained
from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import DRAFTS, OWNERS
from billing_pipeline.pricing import prices as build_prices
from billing_pipeline.pricing.rules.price_book import PriceBookError, load_price_books


@dg.asset(group_name=DRAFTS, owners=OWNERS, kinds={"yaml", "postgres"})
def prices(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """The price book file (BILLING_PRICE_BOOK) as rows, one a version, meter and rate.

    Prices change in the file alone. Rows are added or retired, never edited; a file with a mistake loads nothing.
    """
    path = billing.settings.pricing.price_book
    with explained(PriceBookError, OSError, UnicodeDecodeError, what="price book"):
        source = path.read_text(encoding="utf-8")
        books = load_price_books(source, path.name)
    loaded = build_prices.build(billing.warehouse, books, source, context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            **table_metadata(billing.warehouse, "prices", loaded.in_use),
            "added": loaded.added,
            "retired": loaded.retired,
            "books": ", ".join(f"{book.name} ({book.currency})" for book in books),
        }
    )
