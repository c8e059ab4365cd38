"""A short part of `make kills`: where a double cannot be avoided, and two defences removed."""

import json
import subprocess
import sys
from typing import Any

import pytest

from billing_pipeline.postgres.warehouse import Warehouse


def kills(warehouse: Warehouse, *options: str) -> tuple[int, dict[str, Any]]:
    database = warehouse.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "billing_pipeline_tests.notices.kills", "--database", database]
    command += ["--only-unavoidable", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_nothing_is_lost_and_every_double_is_counted(warehouse: Warehouse):
    status, figures = kills(warehouse, "--kills", "9")
    assert (status, figures["kills"], figures["lost"], figures["wrong"]) == (0, 9, 0, [])
    assert 0 < figures["doubles"] <= figures["doubts"]


@pytest.mark.parametrize("mutant", ["late_edge", "early_sent"])
def test_a_defence_that_is_removed_is_noticed(warehouse: Warehouse, mutant: str):
    status, figures = kills(warehouse, "--kills", "18", "--mutant", mutant)
    assert status == 1
    assert figures["lost"] if mutant == "early_sent" else figures["wrong"]
