"""A proof in a process of its own, beside the others: its server, emulator and books are its own, too."""

import json
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

from billing_pipeline.settings import ROOT
from billing_pipeline_tests.storm.figures import Figures

ENDS_WITHIN_S = 30.0


class Beside:
    """`python -m billing_pipeline_tests.storm --only NAME`, ended with the block at the latest. It tells on stderr."""

    def __init__(self, name: str, seed: int, within_s: float) -> None:
        self._name = name
        self._until = time.monotonic() + within_s
        self.process = subprocess.Popen(
            [sys.executable, "-m", "billing_pipeline_tests.storm", "--only", name, "--seed", str(seed)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )

    def figures(self) -> Figures:
        """Wait for its end and say what it found."""
        figures = Figures(self._name)
        try:
            printed, _ = self.process.communicate(timeout=max(1.0, self._until - time.monotonic()))
        except subprocess.TimeoutExpired:
            figures.expect(False, "it did not end in time")
            return figures
        report: dict[str, Any] = json.loads(printed.splitlines()[-1]) if printed.strip() else {}
        figures.values = report.get(self._name, {})
        figures.broken = report.get(
            "broken", [f"{self._name}: it ended with {self.process.returncode}, without figures"]
        )
        return figures

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # it ends what it has started
            try:
                self.process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
