"""Query parameters that routes share, each described once."""

from datetime import date, datetime
from typing import Annotated

from fastapi import HTTPException, Path, Query

from billing_pipeline.web.api.fields import MONTH_PATTERN

MonthQuery = Annotated[str | None, Query(pattern=MONTH_PATTERN, description="Only this month.", examples=["2026-10"])]
TheMonth = Annotated[str, Query(pattern=MONTH_PATTERN, description="The month.", examples=["2026-10"])]
CustomerQuery = Annotated[
    str | None, Query(min_length=1, max_length=255, description="Only this customer.", examples=["cust_focus"])
]
CustomerPath = Annotated[str, Path(max_length=255, description="The platform's id.", examples=["cust_focus"])]
MonthPath = Annotated[str, Path(pattern=MONTH_PATTERN, description="The month.", examples=["2026-10"])]
SettlementPath = Annotated[str, Path(max_length=18, description="Its number.", examples=["1"])]
AlertPath = Annotated[str, Path(max_length=18, description="Its number.", examples=["1"])]
InvoicePath = Annotated[str, Path(max_length=255, description="Number or id.", examples=["INV-00000001"])]


def first_day(month: str) -> date:
    """The first day of a month that is written as 2026-10."""
    return date.fromisoformat(f"{month}-01")


def first_day_or_none(month: str | None) -> date | None:
    """The same, where a month may be left out."""
    return None if month is None else first_day(month)


def instant_or_none(name: str, text: str | None) -> datetime | None:
    """An instant with an offset.

    Raises:
        HTTPException: 422, it is none.
    """
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is not None:
            return read
    except ValueError:
        pass
    raise HTTPException(422, f"{name}: expected an ISO 8601 instant with an offset, such as 2026-11-01T00:00:00Z")
