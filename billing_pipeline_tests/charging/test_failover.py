"""A server that was really promoted: another timeline, seen at once, and charging is off."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline_tests.databases import open_database, without_review

PROMOTED_WITHIN_S = 60.0


def test_a_promotion_switches_charging_off() -> None:
    folder = Path(tempfile.mkdtemp(prefix="billing-failover-")) / "postgres"
    server = embedded_postgres.start(folder)
    try:
        warehouse = open_database(server, "billing")
        migrate(warehouse)
        without_review(warehouse)
        before = read_brakes(warehouse)
        assert (before.charges_enabled, before.incarnation) == (True, before.present_incarnation)
        warehouse.engine.dispose()
        server.cleanup_mode = "stop"
        server.cleanup()
        # recovery from an archive that has nothing more ends at once, as a standby's does, on a timeline of its own
        settings = folder / "postgresql.auto.conf"
        with settings.open("a", encoding="utf-8") as file:
            file.write("\nrestore_command = 'false'\n")
        signal = folder / "recovery.signal"
        signal.touch()
        os.chown(signal, settings.stat().st_uid, settings.stat().st_gid)
        server = embedded_postgres.start(folder)
        warehouse = open_database(server, "billing")
        deadline = time.monotonic() + PROMOTED_WITHIN_S
        while warehouse.scalar("SELECT pg_is_in_recovery()") and time.monotonic() < deadline:
            time.sleep(0.05)
        after = read_brakes(warehouse)
        system, timeline = before.incarnation.split("/")
        assert after.present_incarnation == f"{system}/{int(timeline) + 1}"
        assert (after.charges_enabled, after.needs_reconciliation) == (False, True)
        assert [brake.code for brake in after.on()] == ["charging_paused"]
        warehouse.engine.dispose()
    finally:
        server.cleanup_mode = "delete"
        server.cleanup()
        shutil.rmtree(folder.parent)
