"""The import contracts of pyproject.toml: each is broken on a copy of the package and seen to fail.

A contract that cannot fail looks exactly like one that is kept: so every source module is tried with every module that
is forbidden to it, and every room with the next one above it.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import billing_pipeline
from billing_pipeline.settings import ROOT

PACKAGE = Path(billing_pipeline.__file__).parent
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]

LAYERS = "Rooms are layered: a later one may use an earlier one"
RULES = "Rules are pure: no I/O library, no settings, no Dagster"
DAGSTER = "Dagster stays in defs"
DOORS = "Doors use rooms, not each other, but for the module that starts Dagster's runs"
SANDBOX = "Nothing that runs with a Stripe key imports the sandbox"
RECEIVER = "The receiver stays small"
STRIPE = "One room talks to Stripe, one to Great Expectations"

OFFENCES = [
    # module that gets the import, what it imports, the contracts that this breaks
    ("core.money", "billing_pipeline.postgres.psql", {LAYERS, RULES}),
    ("charging.month", "billing_pipeline.corrections.holds", {LAYERS}),
    ("postgres.psql", "billing_pipeline.usage.measuring", {LAYERS}),
    ("events.rules.stripe_events", "billing_pipeline.settings", {RULES}),
    ("pricing.rules.rating", "sqlalchemy", {RULES}),
    ("invoicing.rules.periods", "os", {RULES}),
    ("core.months", "time", {RULES}),
    ("usage.measuring", "dagster", {DAGSTER}),
    ("books.month_closing", "dagster", {DAGSTER}),
    ("web.receiver.bodies", "billing_pipeline.cli.reports", {DOORS}),
    ("web", "billing_pipeline.defs.jobs", {DOORS}),
    ("defs.jobs", "billing_pipeline.cli.reports", {DOORS}),
    ("cli.months", "billing_pipeline.defs.jobs", {DOORS}),
    ("cli.common", "billing_pipeline.sandbox.lean_http", {SANDBOX}),
    ("definitions", "billing_pipeline.sandbox.lean_http", {SANDBOX}),
    ("defs.stripe_charges", "billing_pipeline.sandbox.lean_http", {SANDBOX}),
    ("web.receiver.bodies", "pandas", {RECEIVER}),
    ("web.receiver.server", "sqlalchemy", {RECEIVER}),
    ("charging.steps", "stripe", {STRIPE}),
    ("gates.rules.gates", "great_expectations", {RULES, STRIPE}),
    ("usage.measuring", "great_expectations", {STRIPE}),
    ("sandbox.up", "stripe", {STRIPE}),
]

Offend = Callable[[Mapping[str, list[str]]], dict[str, str]]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pyproject.toml and the package."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def lint(copy: Path) -> Iterator[Offend]:
    """Adds imports to the copy, module -> what it now imports, until the test ends; says what lint-imports then finds.

    The broken contracts by name, with the whole output as value.
    """
    before: dict[Path, str] = {}

    def offend(imports: Mapping[str, list[str]]) -> dict[str, str]:
        for module, imported in imports.items():
            path = _file(copy / PACKAGE.name, module)
            before[path] = path.read_text(encoding="utf-8")
            path.write_text(before[path] + "".join(f"import {name}\n" for name in imported), encoding="utf-8")
        done = subprocess.run(
            [str(Path(sys.executable).with_name("lint-imports")), "--cache-dir", str(copy / "cache")],
            cwd=copy,
            env={**os.environ, "COLUMNS": "1000", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        broken = re.findall(r"^(.+) BROKEN", done.stdout, re.MULTILINE)
        kept = re.findall(r"^(.+) KEPT", done.stdout, re.MULTILINE)
        assert len(broken) + len(kept) == len(CONTRACTS), done.stdout + done.stderr
        assert (done.returncode == 0) == (not broken)
        return dict.fromkeys(broken, done.stdout)

    yield offend
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


def test_the_package_as_it_is_keeps_every_contract(lint: Offend) -> None:
    assert lint({}) == {}


@pytest.mark.parametrize(("module", "imported", "broken"), OFFENCES)
def test_an_offending_import_breaks_its_contract_and_no_other(
    lint: Offend, module: str, imported: str, broken: set[str]
) -> None:
    assert set(lint({module: [imported]})) == broken


def test_every_contract_is_seen_to_fail_alone() -> None:
    alone = {name for _, _, broken in OFFENCES if len(broken) == 1 for name in broken}
    assert alone == {contract["name"] for contract in CONTRACTS}


@pytest.mark.parametrize("name", [contract["name"] for contract in CONTRACTS if contract["type"] == "forbidden"])
def test_every_source_of_a_contract_is_refused_everything_that_is_forbidden_to_it(lint: Offend, name: str) -> None:
    [contract] = [contract for contract in CONTRACTS if contract["name"] == name]
    sources = [found for source in contract["source_modules"] for found in _expanded(source)]
    output = lint(dict.fromkeys(sources, contract["forbidden_modules"]))[name]
    for source in sources:
        full = _full(source)
        for forbidden in contract["forbidden_modules"]:
            assert f"\n{full} is not allowed to import {forbidden}:\n" in output


def test_no_room_may_use_the_next_one_above_it(lint: Offend) -> None:
    [contract] = [contract for contract in CONTRACTS if contract["type"] == "layers"]
    layers = [layer.split(" : ") for layer in contract["layers"]]
    upward = [
        (lower.removeprefix("billing_pipeline."), upper)
        for above, below in pairwise(layers)
        for lower in below
        for upper in above
    ]
    imports: dict[str, list[str]] = {}
    for lower, upper in upward:
        imports.setdefault(lower, []).append(upper)
    output = lint(imports)[LAYERS]
    for lower, upper in upward:
        assert f"\nbilling_pipeline.{lower} is not allowed to import {upper}:\n" in output


def test_every_room_has_a_layer() -> None:
    [contract] = [contract for contract in CONTRACTS if contract["type"] == "layers"]
    layered = {module for layer in contract["layers"] for module in layer.split(" : ")}
    assert layered == {f"billing_pipeline.{room}" for room in _rooms()}


def test_dagster_is_forbidden_to_every_room_below_the_doors() -> None:
    [contract] = [contract for contract in CONTRACTS if contract["name"] == DAGSTER]
    kept_out = {f"billing_pipeline.{room}" for room in _rooms() - {"cli", "defs", "web", "sandbox", "core"}}
    assert set(contract["source_modules"]) == kept_out  # core: by the contract of rules


def test_the_sandbox_is_forbidden_to_every_other_room() -> None:
    [contract] = [contract for contract in CONTRACTS if contract["name"] == SANDBOX]
    others = {"definitions", *_rooms()} - {"sandbox"}
    assert set(contract["source_modules"]) == {f"billing_pipeline.{module}" for module in others}


def _rooms() -> set[str]:
    return {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def _file(package: Path, module: str) -> Path:
    path = package.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _full(module: str) -> str:
    return f"billing_pipeline.{module}" if module else "billing_pipeline"


def _expanded(source: str) -> list[str]:
    """Modules below billing_pipeline that a contract's expression with one star stands for."""
    name = source.removeprefix("billing_pipeline").removeprefix(".")
    if "*" not in name:
        return [name]
    found = PACKAGE.glob(f"{name.replace('.', '/')}/__init__.py")
    return [".".join(path.parent.relative_to(PACKAGE).parts) for path in found]
