"""The demo: last month for the three worked examples and some two hundred generated customers, end to end.

Public: `run_demo`, and for `billing up` whether it has to run first. The customers and their usage are generated
(`population`, `usage`), everything else is real: files, imports, PostgreSQL, Dagster runs, HTTP to the Stripe emulator.
No rule of billing belongs here.
"""

from .playground import needs_demo, require_emulator
from .run import last_finished_month, run_demo

__all__ = ["last_finished_month", "needs_demo", "require_emulator", "run_demo"]
