"""A pass over the notices in a process of its own that kills itself at a step of the first letter.

`python -m … DATABASE_URL PORT before|edge|answer`
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from sqlalchemy import make_url

from billing_pipeline.notices.letters import Letter
from billing_pipeline.notices.sending import Post, send_notices
from billing_pipeline.notices.smtp import SmtpSender
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings.notices import SmtpServer


def killed(warehouse: Warehouse, port: int, when: str) -> None:
    database = warehouse.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", __name__, database, str(port), when]
    assert subprocess.run(command, timeout=90, check=False).returncode == -signal.SIGKILL


class _Killing(SmtpSender):
    """Dies before anything is given away, right after the edge, or once the server has answered."""

    def __init__(self, server: SmtpServer, when: str) -> None:
        super().__init__(server)
        self.when = when

    def send(self, letter: Letter, edge: Callable[[], None]) -> None:
        def doomed() -> None:
            if self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            edge()
            if self.when == "edge":
                os.kill(os.getpid(), signal.SIGKILL)

        super().send(letter, doomed)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    database, port, when = sys.argv[1:]
    url = make_url(database)
    warehouse = Warehouse(open_engine(url), url)
    sender = _Killing(SmtpServer("smtp+plain", "127.0.0.1", int(port), None, None), when)
    send_notices(warehouse, Post(sender, Wording(None, "en", "Lyceum", None), "billing@example.com"), log=print)


if __name__ == "__main__":
    main()
