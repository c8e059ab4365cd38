"""A Stripe emulator on loopback: the operations this project uses, with faults on request.

Public: `create_app`, `EmulatorConfig`, `running_emulator`, `RunningEmulator`, `serve`. Built for tests, the
demo and machines without a Stripe account; it moves no money and never talks to the network.
"""

from .app import create_app
from .config import API_VERSION, EmulatorConfig
from .server import RunningEmulator, running_emulator, serve

__all__ = ["API_VERSION", "EmulatorConfig", "RunningEmulator", "create_app", "running_emulator", "serve"]
