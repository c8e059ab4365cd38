"""`billing demo` after it was killed; a file of its own, so that it runs beside the other long tests."""

import random
import time
from datetime import UTC, datetime

from sqlalchemy import text

from billing_pipeline.sandbox.demo import last_finished_month
from billing_pipeline_tests.sandbox.demo_process import RECONCILED, at_stripe, demo, kill_demo, opened


def test_a_killed_demo_is_taken_up_by_the_next_one_and_charges_nobody_twice(state):
    seed = time.time_ns()
    rng = random.Random(seed)
    points = [
        ("[1/8]", rng.uniform(0, 1.5)),
        ("[4/8]", rng.uniform(0, 10)),
        ("[5/8]", rng.uniform(0.5, 4)),
        ("[5/8]", rng.uniform(2, 9)),
    ]
    state.mkdir(parents=True, exist_ok=True)
    (state / "first_month").write_text(f"{last_finished_month(datetime.now(UTC)):%Y-%m}\n")  # another database's
    for after_line, delay_s in points:
        kill_demo(state, after_line, delay_s)
    status, output = demo(state)
    assert status == 0, f"seed {seed}\n{output}"
    assert RECONCILED in output
    found, payments = at_stripe(state)
    assert max(payments.values()) == 1, f"seed {seed}"
    assert len({invoice.invoice_id for invoice in found}) == len(found), f"seed {seed}"
    with opened(state) as warehouse:
        url = warehouse.dagster_url.render_as_string(hide_password=False)
        assert unfinished_runs(url) == 0, f"seed {seed}"


def unfinished_runs(url: str) -> int:
    from sqlalchemy import create_engine

    engine = create_engine(url)
    with engine.connect() as connection:
        count = connection.execute(
            text("SELECT count(*) FROM runs WHERE status IN ('STARTED', 'STARTING')")
        ).scalar_one()
    engine.dispose()
    return int(count)
