"""What the demo's customers were granted by hand: a coupon, prepaid credits, and a gift. Granted once."""

from decimal import Decimal

from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.credits import CreditKind, grant_credits, list_grants
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.discounts import Coupon, coupons, create_coupon, grant_coupon
from billing_pipeline.sandbox.demo.population import COUPON, GIFTED, PREPAID, STARTS_ON

WELCOME = "WELCOME"
_BY = Signature("billing demo", "what the demo's customers have")


def grant_everything(warehouse: Warehouse) -> None:
    """Grant what is not granted yet."""
    if not coupons(warehouse, WELCOME):
        create_coupon(warehouse, Coupon(WELCOME, "usd", percent=Decimal(50), periods_max=12), _BY)
        grant_coupon(warehouse, WELCOME, COUPON, _BY, from_on=STARTS_ON)
    for customer_id, amount_minor, description in (
        (PREPAID, 50_000, "Prepaid credits, order 1"),
        (GIFTED, 500, "A gift to begin with"),
    ):
        if not list_grants(warehouse, customer_id=customer_id, every=True):
            kind: CreditKind = "promotional" if customer_id == GIFTED else "paid"
            grant_credits(warehouse, customer_id, amount_minor, _BY, kind=kind, description=description)
