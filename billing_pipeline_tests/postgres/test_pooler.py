"""Through pgbouncer: by sessions everything works, by transactions nothing begins."""

import threading
from contextlib import ExitStack

import psycopg
import pytest

from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline.postgres.session import RELIED_ON
from billing_pipeline.postgres.session_lock import session_lock
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import SettingsError
from billing_pipeline_tests.month_rows import execute
from billing_pipeline_tests.postgres.pgbouncer import needs_pgbouncer, pooled

pytestmark = needs_pgbouncer


def test_in_session_mode_settings_hold_and_locks_exclude_each_other(warehouse):
    execute(warehouse, f"ALTER DATABASE {warehouse.engine.url.database} SET timezone = 'America/St_Johns'")
    key = charge_lock_key("one")
    with pooled(warehouse.engine.url, "session") as url, ExitStack() as stack:
        engines = [open_engine(url, 4) for _ in range(2)]
        for engine in engines:
            stack.callback(engine.dispose)
        values = {name: Warehouse(engines[0], url).scalar(f"SHOW {name}") for name in RELIED_ON}
        assert values == RELIED_ON
        with engines[0].connect() as first, engines[1].connect() as second:
            for _ in range(10):  # psycopg prepares a statement after some uses
                with session_lock(first, key) as got, session_lock(second, key) as also_got:
                    assert (got, also_got) == (True, False)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_in_another_mode_the_first_connection_is_refused_in_one_line(warehouse, mode):
    with (
        pooled(warehouse.engine.url, mode) as url,
        pytest.raises(SettingsError, match="expected pool_mode = session") as caught,
    ):
        open_engine(url)
    assert "\n" not in str(caught.value)


def test_in_transaction_mode_it_is_refused_also_while_others_use_the_pooler(warehouse):
    with pooled(warehouse.engine.url, "transaction") as url:
        stop = threading.Event()

        def use() -> None:
            plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(plain, autocommit=True, prepare_threshold=None) as connection:
                while not stop.is_set():
                    connection.execute("SELECT pg_sleep(0.001)")

        others = [threading.Thread(target=use) for _ in range(3)]
        for other in others:
            other.start()
        try:
            for _ in range(10):
                with pytest.raises(SettingsError, match="pool_mode = session"):
                    open_engine(url)
        finally:
            stop.set()
            for other in others:
                other.join()


def test_a_pooler_that_is_full_is_named_in_one_line(warehouse, monkeypatch):
    monkeypatch.setattr("billing_pipeline.postgres.engine.FREE_WITHIN_S", 0.3)
    with pooled(warehouse.engine.url, "session", max_client_conn="1") as url:
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain), pytest.raises(psycopg.OperationalError, match="no more connections allowed"):
            open_engine(url)
