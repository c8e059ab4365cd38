"""What requests that change something have in common: a reason, and what was done."""

from datetime import date
from typing import Annotated, Any

from pydantic import Field

from billing_pipeline.web.api.fields import Asked, Reason, Shown

AMOUNT_MAX = 10**15


MinorAmount = Annotated[
    int,
    Field(gt=0, le=AMOUNT_MAX, description="In minor units of the currency that is billed in.", examples=[1250]),
]


On = Annotated[date, Field(description="The day in the customer's zone.", examples=["2026-10-20"])]


Description = Annotated[
    str | None, Field(max_length=500, description="What the customer reads.", examples=["Set-up in October"])
]


Plan = Annotated[str | None, Field(max_length=255, description="Plan of the price book.", examples=["team"])]


CouponCode = Annotated[str, Field(min_length=1, max_length=255, description="Its code.", examples=["WELCOME"])]


class Done(Shown):
    """What was done."""

    done: str = Field(description="In words, as the console says it.", examples=["Charging goes on with the next run."])
    result: dict[str, Any] = Field(
        description="The same as facts, in the shape of the commands' --json.", examples=[{"charges_enabled": True}]
    )


class Nothing(Asked):
    """Nothing is asked."""


class Reasoned(Asked):
    """Why it is done."""

    reason: Reason
