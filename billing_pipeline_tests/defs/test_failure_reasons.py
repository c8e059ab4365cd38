"""Why a step failed is said in words, whatever Dagster calls it."""

import dagster as dg
import pytest

from billing_pipeline.defs.running import INTERRUPTED, failure_reason

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@dg.op
def told_to_end() -> None:
    raise dg.DagsterExecutionInterruptedError


@dg.op
def mistaken() -> None:
    raise ValueError("this is wrong\nand this is more of it")


@pytest.mark.parametrize(("op", "reason"), [(told_to_end, INTERRUPTED), (mistaken, "ValueError: this is wrong")])
def test_a_step_s_reason_is_one_line_and_of_one_that_was_interrupted_it_says_so(
    op: dg.OpDefinition, reason: str
) -> None:
    @dg.job
    def one_step() -> None:
        op()

    with dg.DagsterInstance.ephemeral() as instance:
        done = one_step.execute_in_process(instance=instance, raise_on_error=False)
    [failed] = [event for event in done.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    assert failure_reason(failed) == [reason]
