-- Grain: one row a period, meter and dimensions whose measured quantity cannot be billed, with the reason.
CREATE TEMP TABLE unmeasurable (
    period_id uuid NOT NULL,
    customer_id text NOT NULL,
    meter text NOT NULL,
    dimensions jsonb NOT NULL,
    quantity numeric NOT NULL,
    event_count bigint NOT NULL,
    reason text NOT NULL
) ON COMMIT DROP
