"""`billing up` starts a child again that was killed, and gives up on one that ends again and again."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_pipeline.sandbox import children as children_of_up
from billing_pipeline.settings import Settings, load_settings

FOREVER = ["-c", "import time; time.sleep(600)"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    return load_settings()


@pytest.fixture
def children() -> Iterator[list[children_of_up.Child]]:
    with children_of_up.running() as started:
        yield started


def test_a_killed_daemon_is_started_again_and_the_rest_goes_on(
    settings: Settings, children: list[children_of_up.Child], capsys: pytest.CaptureFixture[str]
) -> None:
    children += [children_of_up.start(name, FOREVER, os.environ, settings) for name in ("webserver", "daemon")]
    webserver, daemon = children
    stop = threading.Event()
    killed = threading.Timer(0.2, os.kill, [daemon.process.pid, signal.SIGKILL])
    killed.start()

    def stop_once_it_is_back() -> None:
        deadline = time.monotonic() + 30
        while children[1] is daemon and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()

    watcher = threading.Thread(target=stop_once_it_is_back)
    watcher.start()
    assert children_of_up.keep_running(children, stop, settings) is None
    watcher.join()
    assert children[0] is webserver
    assert webserver.process.poll() is None
    assert children[1].process.poll() is None
    assert "The daemon ended with status -9; it is started again." in capsys.readouterr().err


def test_a_child_that_ends_again_and_again_ends_everything(
    settings: Settings, children: list[children_of_up.Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children_of_up, "RESTARTS_MAX", 2)
    monkeypatch.setattr(children_of_up, "POLL_S", 0.05)
    children.append(children_of_up.start("daemon", ["-c", "raise SystemExit(3)"], os.environ, settings))
    ended = children_of_up.keep_running(children, threading.Event(), settings)
    assert ended is not None
    assert (ended.name, ended.process.returncode) == ("daemon", 3)
