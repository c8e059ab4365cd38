"""A charging run in a process of its own that kills itself: `python -m … DATABASE_URL STRIPE_BASE OPERATION WHEN`."""

import os
import signal
import sys
from typing import Any

from sqlalchemy import create_engine, make_url

from billing_pipeline.charging.month import charge_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY, MONTH, NO_EXPECTATION


class Killing(StripeGateway):
    """Dies by SIGKILL before or after the first call of an operation."""

    def __init__(self, base_url: str, operation: str, when: str) -> None:
        super().__init__(KEY, base_url)
        self._doomed = (operation, when)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name != self._doomed[0]:
            return found

        def doomed(*arguments: Any, **options: Any) -> Any:
            if self._doomed[1] == "after":
                found(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        return doomed


def main() -> None:
    database, base_url, operation, when = sys.argv[1:]
    warehouse = Warehouse(create_engine(database), make_url(database))
    api = Killing(base_url, operation, when)
    charge_month(warehouse, api, MONTH, "doomed", log=lambda _: None, workers=1, limits=NO_EXPECTATION)


if __name__ == "__main__":
    main()
