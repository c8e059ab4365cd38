"""What a request for a token says, and the token."""

from typing import Literal

from pydantic import Field

from billing_pipeline.web.api.fields import Shown
from billing_pipeline.web.api.models.changing import Reasoned


class TokenAsked(Reasoned):
    """A new token."""

    role: Literal["admin", "operator", "analyst", "platform", "customer"] = Field(
        description="What it may do.", examples=["operator"]
    )
    owner: str = Field(
        min_length=1, max_length=255, description="The author of what is changed with it.", examples=["support"]
    )
    customer: str | None = Field(
        None, max_length=255, description="For role customer: whose rows it sees.", examples=["cust_focus"]
    )
    scopes: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="Only these, or some that may be granted; empty: those of the role.",
        examples=[["invoices:read"]],
    )
    expires_days: int | None = Field(
        None, ge=1, le=3650, description="It holds for so many days; left out: until it is revoked.", examples=[365]
    )


class Rotation(Reasoned):
    """How a token is replaced."""

    grace_hours: int = Field(0, ge=0, le=168, description="So long the old one goes on to hold.", examples=[24])


class NewToken(Shown):
    """A token, shown once."""

    token_id: str = Field(description="The part of it that may be told.", examples=["0123456789ab"])
    token: str = Field(description="What its holder sends as Bearer.", examples=["bil_0123456789ab_…"])
