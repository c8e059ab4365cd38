"""The stretches of an estimate measured by the month's own statement, and sums projected to their periods' ends."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import Connection, text

from billing_pipeline.comparison.estimate_variants import (
    ACCRUED,
    HELD,
    LOOK_BACK,
    RATED,
    SO_FAR,
    Variant,
    fill_periods,
    projected_variants,
    span,
)
from billing_pipeline.comparison.estimated import SetAside
from billing_pipeline.comparison.open_periods import OpenPeriod
from billing_pipeline.comparison.rules.projection import SUMMED, projected_sum
from billing_pipeline.comparison.scratch import measure
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.usage.measuring import TOO_MUCH_OR_LITTLE, feed_reach

Rows: TypeAlias = Mapping[tuple[str, str], Any]
"""By meter and dimensions: quantity, event_count, aggregation."""
SetAsides: TypeAlias = dict[str, list[SetAside]]
"""By the id of the stretch."""

NEVER = datetime.max.replace(tzinfo=UTC)


def declared_reach(connection: Connection, as_of: datetime) -> datetime | None:
    """How far the usage feed is complete; None: nobody ever said."""
    reach = feed_reach(connection, as_of, NEVER)
    return None if reach == NEVER else reach


def measured(
    connection: Connection, variants: Sequence[Variant], *, month: date, as_of: datetime, reach: datetime
) -> tuple[dict[str, Rows], SetAsides]:
    """Every stretch's quantities, also in pg_temp.measured; and what cannot be billed, which is taken out."""
    fill_periods(connection, variants)
    parameters = {"month": month, "run_id": "estimate", "as_of": as_of, "carried_forward_from": reach}
    measure(connection, {**span(variants), **parameters})
    set_aside: SetAsides = defaultdict(list)
    for row in connection.execute(text(_REFUSED)):
        reason = "negative quantity" if row.quantity < 0 else "a quantity larger than can be billed"
        set_aside[row.period_id].append(SetAside(row.meter, row.dimensions, row.quantity, row.event_count, reason))
    found: dict[str, dict[tuple[str, str], Any]] = {variant.variant_id: {} for variant in variants}
    for row in connection.execute(text(_MEASURED)):
        found[row.period_id][row.meter, row.dimensions] = row
    _find_uncounted(connection, [variant for variant in variants if variant.use == ACCRUED], as_of, set_aside)
    return dict(found), set_aside


def project(
    connection: Connection,
    periods: Sequence[OpenPeriod],
    variants: Sequence[Variant],
    quantities: Mapping[str, Rows],
    reach: datetime,
) -> list[Variant]:
    """Put the running periods into pg_temp.measured whole, by each pace; what is not rated is taken out of it.

    Returns:
        The stretches that were added.
    """
    rows: list[dict[str, Any]] = []
    added = []
    for period in periods:
        own = [variant for variant in variants if variant.of is period]
        held = next((variant for variant in own if variant.use == HELD), None)
        if held is None:
            continue
        so_far = next((quantities[variant.variant_id] for variant in own if variant.use == SO_FAR), {})
        backs = {variant.number: variant for variant in own if variant.use == LOOK_BACK}
        for variant in projected_variants(period):
            added.append(variant)
            rows.extend(_projected(variant, held, so_far, backs[variant.number], quantities, reach))
    if rows:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        connection.execute(text(load_sql("comparison/projected_snapshots.sql")), columns)
    kept = [variant.variant_id for variant in [*variants, *added] if variant.use in RATED]
    connection.execute(
        text("DELETE FROM pg_temp.measured WHERE period_id <> ALL(CAST(:kept AS uuid[]))"), {"kept": kept}
    )
    return added


def _projected(
    variant: Variant, held: Variant, so_far: Rows, back: Variant, quantities: Mapping[str, Rows], reach: datetime
) -> list[dict[str, Any]]:
    """What sql/comparison/projected_snapshots.sql takes, a row a meter and dimensions."""
    whole, looked_back = quantities[held.variant_id], quantities[back.variant_id]
    remaining = held.end - max(reach, held.start)
    rows = []
    for key in whole.keys() | {key for key, row in looked_back.items() if row.aggregation in SUMMED}:
        row = whole[key] if key in whole else looked_back[key]
        quantity = _quantity(whole, key)
        if row.aggregation in SUMMED:
            length = back.end - back.start
            quantity = projected_sum(quantity, _quantity(so_far, key), _quantity(looked_back, key), length, remaining)
        rows.append(
            {
                "ids": variant.variant_id,
                "likes": row.period_id,
                "meters": row.meter,
                "dimensions": row.dimensions,
                "quantities": quantity,
                "event_counts": row.event_count if key in whole else 0,
            }
        )
    return rows


def _quantity(rows: Rows, key: tuple[str, str]) -> Decimal:
    return rows[key].quantity if key in rows else Decimal(0)


def _find_uncounted(connection: Connection, accrued: Sequence[Variant], as_of: datetime, set_aside: SetAsides) -> None:
    """Add what no meter counts."""
    rows = connection.execute(
        text(load_sql("comparison/uncounted_usage.sql")),
        {
            "ids": [variant.variant_id for variant in accrued],
            "owners": [variant.of.customer_id for variant in accrued],
            "starts": [variant.start for variant in accrued],
            "ends": [variant.end for variant in accrued],
            "as_of": as_of,
        },
    )
    for row in rows:
        set_aside[row.id].append(SetAside(row.meter, row.dimensions, row.quantity, row.event_count, row.reason))


_REFUSED = f"""
DELETE FROM pg_temp.measured WHERE {TOO_MUCH_OR_LITTLE}
RETURNING period_id::text AS period_id, meter, dimensions::text AS dimensions, quantity, event_count
"""
_MEASURED = """
SELECT period_id::text AS period_id, meter, dimensions::text AS dimensions, quantity, event_count, aggregation
FROM pg_temp.measured
"""
