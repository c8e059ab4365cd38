"""What a request about notices, further addresses, promises and endpoints says."""

from datetime import date
from typing import Literal

from pydantic import Field

from billing_pipeline.web.api.fields import Shown
from billing_pipeline.web.api.models.changing import Reasoned


class BounceAsked(Reasoned):
    """What a mail provider says of an address."""

    address: str = Field(
        min_length=3, max_length=254, description="The mail address that was mailed.", examples=["old@example.com"]
    )
    kind: Literal["bounce", "complaint"] = Field(
        description="bounce: it takes no mail, for good; complaint: whoever reads it called a mail unwanted.",
        examples=["bounce"],
    )


class AddressAsked(Reasoned):
    """A mail address."""

    address: str = Field(min_length=3, max_length=254, description="The address.", examples=["accounts@example.com"])


class FurtherAddressAsked(AddressAsked):
    """A further address of a customer."""

    kinds: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="Only these kinds of notices; empty: all.",
        examples=[["payment_failed"]],
    )


class KindAsked(Reasoned):
    """A kind of notices."""

    kind: str = Field(max_length=64, description="The kind.", examples=["payment_succeeded"])


class HoursAsked(Reasoned):
    """Hours in which mails come that can wait, in the customer's zone."""

    begins: str = Field(max_length=5, description="Not before.", examples=["08:00"])
    ends: str = Field(max_length=5, description="Before this, an hour after `begins` or more.", examples=["18:00"])
    weekends: bool = Field(False, description="Also on Saturdays and Sundays.", examples=[False])


class CustomerHoursAsked(HoursAsked):
    """A customer's hours."""

    address: str | None = Field(
        None, max_length=254, description="Only of this address of the customer.", examples=["accounts@example.com"]
    )


class HoursEnd(Reasoned):
    """Which hours are given up."""

    address: str | None = Field(
        None, max_length=254, description="Those of this address of the customer.", examples=["accounts@example.com"]
    )


class HeldAsked(Reasoned):
    """Which notices: one of these."""

    notice: int | None = Field(None, ge=1, lt=10**18, description="One, by its number.", examples=[1])
    customer: str | None = Field(None, max_length=255, description="All of a customer.", examples=["cust_focus"])
    kind: str | None = Field(None, max_length=64, description="All of a kind.", examples=["payment_failed"])
    all: bool = Field(False, description="All notices.", examples=[False])


class PromiseAsked(Reasoned):
    """A promise to pay."""

    until: date = Field(description="Its last day, in the customer's zone.", examples=["2026-11-30"])


class EndpointAsked(Reasoned):
    """An address of the platform's."""

    url: str = Field(
        min_length=1, max_length=2000, description="Where messages are sent.", examples=["https://example.com/billing"]
    )


class ReplayAsked(Reasoned):
    """What is told again."""

    since: str = Field(max_length=40, description="All since this instant.", examples=["2026-11-01T00:00:00Z"])


class NewSecret(Shown):
    """An endpoint's secret, shown once."""

    endpoint_id: str = Field(description="Its id.", examples=["ep_0123456789abcdef"])
    secret: str = Field(description="What messages are signed with.", examples=["whsec_…"])
