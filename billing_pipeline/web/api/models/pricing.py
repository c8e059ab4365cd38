"""What a request about prices says, and what came of a book."""

from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import Field

from billing_pipeline.web.api.fields import Asked, Shown
from billing_pipeline.web.api.models.changing import AMOUNT_MAX, CouponCode, Description, Reasoned


class BookAsked(Asked):
    """A price book to look at."""

    book: str = Field(
        min_length=1,
        max_length=1_000_000,
        description="The YAML of the file.",
        examples=["version: 1\nbooks: …"],
    )


class BookLoad(BookAsked, Reasoned):
    """A price book to load, after its difference was looked at."""

    name: str = Field(
        min_length=1, max_length=255, description="What the book is called in listings.", examples=["prices-2027.yaml"]
    )
    after: int = Field(
        ge=0,
        le=2**31,
        description="`after` of POST /prices/check: the load that the difference was taken from.",
        examples=[3],
    )
    replace: bool = Field(
        False, description="It may take away what `losses` of POST /prices/check names.", examples=[False]
    )


class LoadedBook(Shown):
    """What a load did."""

    in_use: int = Field(description="Prices that hold now.", examples=[120])
    added: int = Field(description="Of them new.", examples=[4])
    retired: int = Field(description="Prices that hold no more.", examples=[2])


class CheckedBook(Shown):
    """What a price book says, and what loading it would change."""

    valid: bool = Field(description="Whether it could be loaded.", examples=[True])
    problems: list[str] = Field(description="Every mistake, each with its path.", examples=[[]])
    words: list[str] = Field(description="What it charges, in words.", examples=[["api_calls: 0.015 each"]])
    changes: list[dict[str, Any]] = Field(
        description="Against the loaded one, as `billing prices load --json` has them.",
        examples=[[{"what": "price", "subject": "api_calls", "before": "0.015", "after": "0.02"}]],
    )
    losses: list[str] = Field(description="What it would take away, which needs `replace`.", examples=[[]])
    after: int = Field(description="The load that is in use now; 0: none.", examples=[3])


class CouponAsked(Reasoned):
    """A new coupon: either an amount or a percentage."""

    coupon: CouponCode
    currency: str = Field(pattern="^[a-z]{3}$", description="Of the invoices that it is for.", examples=["usd"])
    percent: Decimal | None = Field(None, gt=0, le=100, description="Share that it takes off.", examples=["10"])
    amount: Decimal | None = Field(
        None, gt=0, le=AMOUNT_MAX, description="What it takes off a full period, in whole units.", examples=["12.50"]
    )
    meters: list[str] = Field(
        default_factory=list, max_length=100, description="Only off these; empty: all.", examples=[["api_calls"]]
    )
    periods: int | None = Field(
        None, ge=1, le=10_000, description="Only so many invoices of each customer.", examples=[3]
    )
    customers: int | None = Field(None, ge=1, le=1_000_000, description="Only so many customers.", examples=[100])
    redeem_until: date | None = Field(None, description="Last day on which it is granted.", examples=["2026-12-31"])
    description: Description = None
