"""The campaign: facts, passes that are killed, servers that are killed; then who was told, and how often.

A clock is set forward after each kill, so that leases end. Everything that is killed is forked from this process, which
has no threads: so a kill costs milliseconds, and the dead process is the one that ran the code that is shipped.
"""

import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.endpoints import add_endpoint
from billing_pipeline.notices.sending import Post, send_notices
from billing_pipeline.notices.smtp import SmtpSender
from billing_pipeline.notices.trying import SAMPLE
from billing_pipeline.notices.webhooks import WebhookChannel
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings.notices import SmtpServer
from billing_pipeline_tests.events.world import CIPHER
from billing_pipeline_tests.month_rows import add_customer
from billing_pipeline_tests.notices.kills.crossings import Crossings, Watched, watch
from billing_pipeline_tests.notices.kills.servers import (
    MAIL_STEPS,
    PLATFORM_STEPS,
    Process,
    Spool,
    serve_mail,
    serve_platform,
)

CUSTOMERS = 6
FACT_STEPS = ("fact: before", "fact: not committed", "fact: committed")
UNAVOIDABLE = frozenset(
    {
        "smtp, content: said", "smtp, content: answered", "mail server, taken: not answered",
        "webhook, request: done", "webhook, getresponse: before", "webhook, getresponse: done",
        "platform: kept, not answered", "outbox, sent: before", "outbox, sent: not committed",
    }
)  # fmt: skip
"""Between the other side's taking a letter and the commit of `sent`: only these may double."""
_FACT = """
SELECT billing.write_notice('credit_note_issued', :customer, NULL, :key, CAST(:facts AS jsonb))
"""


@dataclass
class Campaign:
    """What was killed where, and what came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    doubles: Counter[str] = field(default_factory=Counter)
    notices: int = 0
    lost: list[str] = field(default_factory=list)
    doubts: int = 0
    wrong: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        """For a program."""
        return {
            "kills": self.kills.total(),
            "boundaries": len(self.kills),
            "notices": self.notices,
            "lost": len(self.lost),
            "doubles": self.doubles.total(),
            "doubts": self.doubts,
            "doubles_by_boundary": dict(sorted(self.doubles.items())),
            "wrong": self.wrong,
        }


class Field:
    """A database, the two servers, and a clock that goes forward."""

    def __init__(self, warehouse: Warehouse, folder: Path, mutate: Callable[[], None]) -> None:
        self.warehouse = warehouse
        self.mutate = mutate
        self.ahead = timedelta(0)
        self.facts = 0
        self.mail = Process(Spool(folder / "mail"), serve_mail, _free_port())
        self.platform = Process(Spool(folder / "platform"), serve_platform, _free_port())
        add_endpoint(warehouse, CIPHER, f"http://127.0.0.1:{self.platform.port}/", Signature("ann", "killed"))
        for number in range(CUSTOMERS):
            add_customer(warehouse, f"c{number}")

    def taken(self) -> list[str]:
        """Keys of what the servers took, in their order."""
        return [*self.mail.spool.keys(), *self.platform.spool.keys()]

    def pass_(self, crossed: Crossings, new_facts: int) -> bool:
        """Facts and one pass over all that is due, in a process of its own; returns whether it was killed."""
        self.facts += new_facts
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._child(crossed, range(self.facts - new_facts, self.facts))
        _, status = os.waitpid(pid, 0)
        self.ahead += timedelta(minutes=16)
        if os.WIFSIGNALED(status):
            return os.WTERMSIG(status) == signal.SIGKILL
        if os.waitstatus_to_exitcode(status) != 0:
            raise AssertionError("a pass ended with an error")
        return False

    def _child(self, crossed: Crossings, facts: range) -> None:
        status = 1
        try:
            url = self.warehouse.engine.url
            warehouse = Watched(open_engine(url), url)
            watch(warehouse, crossed)
            self.mutate()
            object.__setattr__(warehouse, "doing", "fact")
            for number in facts:
                self._write_fact(warehouse, number)
            object.__setattr__(warehouse, "doing", "other")
            clock: Callable[[], datetime] = lambda: datetime.now(UTC) + self.ahead  # noqa: E731
            sender = SmtpSender(SmtpServer("smtp+plain", "127.0.0.1", self.mail.port, None, None), timeout_s=10)
            post = Post(sender, Wording(None, "en", "Lyceum", None), "billing@example.com")
            for channel in (post, WebhookChannel(warehouse, lambda: CIPHER, timeout_s=10)):
                send_notices(warehouse, channel, log=lambda _: None, clock=clock)
            status = 0
        finally:
            os._exit(status)

    def _write_fact(self, warehouse: Warehouse, number: int) -> None:
        with warehouse.transaction() as connection:
            values = {"customer": f"c{number % CUSTOMERS}", "key": str(number), "facts": json.dumps(SAMPLE)}
            connection.execute(text(_FACT), values)


def boundaries(run: Field) -> list[str]:
    """Every boundary that a pass crosses, and those of the servers."""
    crossed = Path(run.mail.spool.path.parent / "crossed")

    class Told(Crossings):
        def __call__(self, name: str) -> None:
            super().__call__(name)
            with crossed.open("a", encoding="ascii") as file:
                file.write(name + "\n")

    run.mail.start()
    run.platform.start()
    run.pass_(Told(), 2)
    run.mail.stop()
    run.platform.stop()
    own = [name for name in dict.fromkeys(crossed.read_text(encoding="ascii").splitlines()) if "other:" not in name]
    return [*own, *MAIL_STEPS, *PLATFORM_STEPS]


def campaign(
    warehouse: Warehouse,
    folder: Path,
    kills: int,
    log: Callable[[str], None],
    only: Collection[str] = (),
    mutate: Callable[[], None] = lambda: None,
) -> Campaign:
    """So many kills, the boundaries in turn and each at its first, second or third crossing; then all that is left.

    `only`: these boundaries; none: all. `mutate` is called in each process that sends, to break what holds.
    """
    run, found = Field(warehouse, folder, mutate), Campaign()
    names = [name for name in boundaries(run) if not only or name in only]
    delivered_by: dict[str, str] = {}
    seen = Counter(run.taken())
    number = attempts = 0
    while number < kills:
        name, occurrence = names[attempts % len(names)], 1 + attempts // len(names) % 3
        attempts += 1
        if attempts > 3 * kills + len(names):
            found.wrong.append(f"{number} kills in {attempts} passes")
            break
        of_server = name in MAIL_STEPS or name in PLATFORM_STEPS
        run.mail.start(name if name in MAIL_STEPS else None, occurrence)
        run.platform.start(name if name in PLATFORM_STEPS else None, occurrence)
        killed = run.pass_(Crossings(None if of_server else name, occurrence), 3)
        killed |= any([run.mail.stop(), run.platform.stop()])
        if killed:
            number += 1
            found.kills[name] += 1
        seen = _count_doubles(run, found, seen, delivered_by, name)
        if number % 50 == 0 and killed:
            log(f"{number} kills, {found.doubles.total()} doubles")
    _finish(run, found, seen, delivered_by)
    return found


def _count_doubles(
    run: Field, found: Campaign, seen: Counter[str], delivered_by: dict[str, str], name: str
) -> Counter[str]:
    """What was taken again since the last look, named after the boundary at which its taker or sender was killed before."""
    now = Counter(run.taken())
    for key, count in (now - seen).items():
        again = count if seen[key] else count - 1
        if again:
            found.doubles[delivered_by.get(key, "nobody was killed")] += again
        delivered_by[key] = name
    return now


def _finish(run: Field, found: Campaign, seen: Counter[str], delivered_by: dict[str, str]) -> None:
    """Undisturbed passes until nothing is due; then every notice was taken, and every double is a counted doubt."""
    run.mail.start()
    run.platform.start()
    for _ in range(12):
        run.ahead += timedelta(days=1)
        run.pass_(Crossings(), 0)
    run.mail.stop()
    run.platform.stop()
    seen = _count_doubles(run, found, seen, delivered_by, "the end")
    rows = run.warehouse.rows(
        "SELECT n.notice_id, n.fact, n.recipient, s.state, s.doubts, s.last_error FROM billing.notices AS n"
        " JOIN billing.notice_sendings AS s USING (notice_id) ORDER BY 1"
    )
    taken = {int(key.split("-")[1]): count for key, count in seen.items()}
    found.notices, found.doubts = len(rows), sum(row["doubts"] for row in rows)
    for row in rows:
        count = taken.pop(row["notice_id"], 0)
        if count == 0:
            found.lost.append(f"notice {row['notice_id']} is {row['state']}: {row['last_error']}")
        if row["state"] != "sent":
            found.wrong.append(f"notice {row['notice_id']} is {row['state']}: {row['last_error']}")
        if count - 1 > row["doubts"]:
            found.wrong.append(f"notice {row['notice_id']} was taken {count} times with {row['doubts']} doubts")
    found.wrong += [f"notice {notice_id} was taken and is not there" for notice_id in taken]
    found.wrong += [f"doubles at {name}" for name in found.doubles if name not in UNAVOIDABLE]


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])
