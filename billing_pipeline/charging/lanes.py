"""The database sessions of a run: each holds the locks of the invoices of several threads."""

from threading import Event, Lock

from sqlalchemy.exc import OperationalError

from billing_pipeline.postgres.shared_session import SharedSession
from billing_pipeline.postgres.warehouse import Warehouse

RECONNECTS_MAX = 30
RECONNECT_EVERY_S = 1.0


class Lane:
    """A session that threads share, and another one after it is lost.

    Args:
        warehouse: the billing database.
        stop: ends the wait for a server that restarts.
    """

    def __init__(self, warehouse: Warehouse, stop: Event) -> None:
        self._warehouse = warehouse
        self._stop = stop
        self._opening = Lock()
        self._session: SharedSession | None = None
        self._gone: OperationalError | None = None

    def session(self) -> SharedSession:
        """The session, for the next invoice; a server that restarts is waited for.

        Raises:
            OperationalError: there is none to be had.
        """
        with self._opening:
            if self._session is None:
                self._session = self._open()
            elif self._session.is_lost:
                self._session.close()
                self._session = self._open_again()
            return self._session

    def close(self) -> None:
        """Give the connection back; nobody may be at work."""
        if self._session is not None:
            self._session.close()

    def _open(self) -> SharedSession:
        return SharedSession(self._warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT"))

    def _open_again(self) -> SharedSession:
        for tries in range(RECONNECTS_MAX):
            if self._gone is not None:
                raise self._gone  # another thread has waited as long as anybody should
            try:
                return self._open()
            except OperationalError as error:
                if tries == RECONNECTS_MAX - 1 or self._stop.wait(RECONNECT_EVERY_S):
                    self._gone = error
                    raise
        raise AssertionError("unreachable: the last try returns or raises")
