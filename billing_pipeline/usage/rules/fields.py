"""What the usage file holds."""

from billing_pipeline.imports.rules.fields import (
    KEY_LENGTH_MAX,
    PLAIN_DECIMAL,
    PLAIN_INSTANT,
    PLAIN_KEY,
    Field,
    dimensions,
    instant,
    key,
    properties,
    quantity,
)

USAGE_FIELDS = (
    Field("event_id", key, plain=PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("customer_id", key, plain=PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("meter", key, plain=PLAIN_KEY, plain_length_max=KEY_LENGTH_MAX),
    Field("dimensions", dimensions, kind="object", required=False),
    Field("quantity", quantity, kind="number", plain=PLAIN_DECIMAL),
    Field("occurred_at", instant, kind="instant", plain=PLAIN_INSTANT),
    Field("properties", properties, kind="object", required=False),
)
"""The usage file. Only `dimensions` and `properties` may be absent or blank."""
