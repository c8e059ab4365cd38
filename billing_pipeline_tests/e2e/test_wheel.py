"""The wheel is the product: installed into an environment of its own it works in an empty folder, outside any checkout."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 180


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel, and of this environment the dependencies alone."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["build", "--wheel", "--no-build-isolation", "--offline", "--out-dir", str(folder), str(CHECKOUT)]
    _uv(*build)
    [wheel] = folder.glob("*.whl")
    environment = folder / "environment"
    _uv("venv", "--python", sys.executable, str(environment))
    python = environment / "bin" / "python"
    install = ["pip", "install", "--no-deps", "--offline", "--python", str(python), str(wheel)]
    _uv(*install)
    # the checkout is an editable install, whose .pth file is read of a site folder only, not of a plain path
    packages = next((environment / "lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


@pytest.fixture
def empty() -> Iterator[Path]:
    """An empty folder outside the checkout; the embedded server, which is another user's, must reach it."""
    with TemporaryDirectory(prefix="billing-wheel-") as folder:
        yield Path(folder).resolve()


def _uv(*arguments: str) -> None:
    environment = _outside() | {"VIRTUAL_ENV": sys.prefix}
    command = [sys.executable, "-m", "uv", *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=TIMEOUT_S)


def _outside() -> dict[str, str]:
    names = ("BILLING_", "DAGSTER_", "STRIPE_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(names)}


def _run(installed: Path, folder: Path, *command: str) -> str:
    done = subprocess.run(
        [str(installed / command[0]), *command[1:]],
        cwd=folder,
        env=_outside(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_and_not_the_checkout_is_what_runs(installed: Path, empty: Path):
    where = _run(installed, empty, "python", "-c", "import billing_pipeline; print(billing_pipeline.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_it_migrates_a_database_of_its_own_in_the_current_folder(installed: Path, empty: Path):
    migrations = sorted(path.stem for path in (CHECKOUT / "sql" / "migrations").glob("*.sql"))
    said = _run(installed, empty, "billing", "migrate")
    assert said.splitlines()[:-1] == [f"applied {name}" for name in migrations]
    assert [path.name for path in empty.iterdir()] == [".billing"]
    counted = _run(installed, empty, "billing", "sql", "--csv", "-c", "SELECT count(*) FROM billing.monthly_revenue")
    assert counted.splitlines() == ["count", "0"]
    assert "0 migration(s) applied" in _run(installed, empty, "billing", "migrate")


def test_it_tells_its_version_and_checks_a_price_book_without_a_database(installed: Path, empty: Path):
    assert _run(installed, empty, "billing", "--version").startswith("billing ")
    book = CHECKOUT / "billing_pipeline" / "pricing" / "price_books" / "lyceum.yaml"
    assert "lyceum.yaml is right" in _run(installed, empty, "billing", "prices", "check", str(book))
    assert list(empty.iterdir()) == []


def test_its_dagster_loads_every_asset_and_keeps_its_instance_with_the_state(installed: Path, empty: Path):
    exported = _run(installed, empty, "billing", "env")
    _run(installed, empty, "billing", "stop")
    home = empty / ".billing" / "dagster"
    assert f"export DAGSTER_HOME={home}" in exported
    ours = (CHECKOUT / "dagster.yaml").read_text(encoding="utf-8").replace(".billing/dagster", "")
    theirs = (home / "dagster.yaml").read_text(encoding="utf-8").replace(f'"{home}', "").replace('"', "")
    assert theirs == ours.replace('"', ""), "the same, with whole paths"
    assets = _run(
        installed,
        empty,
        "python",
        "-c",
        "from billing_pipeline.definitions import defs\n"
        "print(*sorted(key.to_user_string() for key in defs.get_repository_def().assets_defs_by_key))",
    ).split()
    assert {"usage_snapshots", "invoice_line_items", "invoices", "stripe_charges", "stripe_events"} <= set(assets)
