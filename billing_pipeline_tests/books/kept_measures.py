"""What is kept of the measures beside what their views say at the same time."""

from billing_pipeline.books.measure_reading import measure_csv, read_measure
from billing_pipeline.books.measures import MEASURES, Row
from billing_pipeline.books.stored_measures import work_out_all
from billing_pipeline.postgres.warehouse import Warehouse

KEPT = [name for name, measure in MEASURES.items() if measure.is_kept]


def shown(warehouse: Warehouse) -> dict[str, tuple[list[Row], list[str]]]:
    """Of each measure that is kept the rows of its page, and the lines of its file."""
    return {
        name: (
            read_measure(warehouse, name, personal=True).rows,
            list(measure_csv(warehouse, name, personal=True)[0]),
        )
        for name in KEPT
    }


def kept_is_live(warehouse: Warehouse) -> bool:
    """Work all of them out in a database that keeps none, and compare; False too where a measure has no row."""
    live = shown(warehouse)
    assert {name: read_measure(warehouse, name, personal=True).as_of for name in KEPT} == dict.fromkeys(KEPT)
    assert work_out_all(warehouse, live_rows_max=0) == KEPT
    assert None not in {read_measure(warehouse, name, personal=True).as_of for name in KEPT}
    assert shown(warehouse) == live
    return all(rows for rows, _ in live.values())
