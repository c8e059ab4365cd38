"""Usage as it comes and is corrected."""

from datetime import datetime
from typing import Any

from pydantic import Field

from billing_pipeline.web.api.fields import shown
from billing_pipeline.web.api.models.changing import Reasoned

EVENT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["events"],
                "additionalProperties": False,
                "properties": {
                    "events": {
                        "type": "array",
                        "maxItems": 10_000,
                        "items": {"$ref": "#/components/schemas/UsageEvent"},
                    }
                },
            }
        },
        "application/x-ndjson": {"schema": {"type": "string", "description": "A UsageEvent a line."}},
    },
}
UsageEvent = shown(
    "UsageEvent",
    "What a customer used: the columns of a usage file.",
    event_id=(str, "The platform's id of the event; an event that comes again counts once.", "evt_4711"),
    customer_id=(str, "Whose usage.", "cust_focus"),
    meter=(str, "The meter.", "api_calls"),
    dimensions=(dict[str, str], "The dimension values, where the meter has some.", {"region": "eu"}),
    quantity=(str, "Exact: a number, or a text of one.", "12.5"),
    occurred_at=(str, "When, with an offset.", "2026-10-20T12:00:00Z"),
    properties=(dict[str, str], "What a meter may count the distinct values of.", {"user": "u-17"}),
)
IngestedEvent = shown(
    "IngestedEvent",
    "What became of an event.",
    place=(int, "Its place in the call, from 0.", 0),
    event_id=(str | None, "Null: it could not be read.", "evt_4711"),
    status=(str, "stored; known: it was there already, with this content; refused.", "stored"),
    field=(str | None, "What is wrong; null: the event as a whole.", None),
    value=(str | None, "What it holds.", None),
    expected=(str | None, "What was expected there.", None),
)
Ingested = shown(
    "Ingested",
    "What became of the events. Those that are stored are on disk.",
    received_at=(str, "When those that are new were received.", "2026-10-20T12:00:00.000000Z"),
    stored=(int, "How many are new.", 1),
    known=(int, "How many were there already.", 0),
    refused=(int, "How many were refused, each by itself.", 0),
    events=(list[IngestedEvent], "In the order of the call.", []),  # type: ignore[valid-type]
)


class UsageCorrection(Reasoned):
    """A correcting event: it replaces one, takes one away, or adds one that was never sent."""

    event_id: str | None = Field(
        None, max_length=255, description="The event that is wrong; left out: one is missing.", examples=["evt_4711"]
    )
    remove: bool = Field(
        default=False, description="Take the event away, as if it had never been sent.", examples=[False]
    )
    quantity: str | None = Field(None, max_length=64, description="The right quantity, exact.", examples=["10"])
    customer: str | None = Field(None, max_length=255, description="Of a missing event.", examples=["cust_focus"])
    meter: str | None = Field(None, max_length=255, description="Of a missing event.", examples=["api_calls"])
    dimensions: dict[str, str] | None = Field(
        None, description="Of a missing event.", examples=[{"region": "eu"}], max_length=50
    )
    properties: dict[str, str] | None = Field(
        None, description="Of a missing event.", examples=[{"user": "u-17"}], max_length=50
    )
    occurred_at: datetime | None = Field(
        None, description="Of a missing event, with an offset.", examples=["2026-10-20T12:00:00Z"]
    )


Correction = shown(
    "Correction", "A correcting event.", event_id=(str, "Its id, which follows from what it says.", "correction:…")
)
