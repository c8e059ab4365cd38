"""A month's shadow by another version of the code shows what that version would bill, and leaves nothing behind."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from billing_pipeline.comparison import shadow_of_code
from billing_pipeline.comparison.rules.month_diff import differences
from billing_pipeline.comparison.shadow import month_lines
from billing_pipeline.comparison.shadow_of_code import CodeError, CodeShadow, shadow_by_code
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.databases import digests
from billing_pipeline_tests.month_rows import (
    BOOK,
    LONG_AFTER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    complete_feed,
    load_book,
)

HALF_AWAY_FROM_ZERO = '"half_towards_infinity"'
DOWN = '"towards_zero"'


@pytest.fixture
def book(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A billed month with an amount that ends in half a cent; the price book's path."""
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [Event("c", "ann", "calls", 111, at("2025-10-05"))])
    complete_feed(warehouse, at("2026-01-01"))
    bill(warehouse, SEPTEMBER)
    bill(warehouse, OCTOBER)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    path = tmp_path / "book.yaml"
    path.write_text(BOOK)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a shadow needs of this version."""
    for part in shadow_of_code.PARTS:
        shutil.copytree(ROOT / part, tmp_path / "checkout" / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "checkout"


def _change(checkout: Path, path: str, old: str, new: str) -> None:
    text = (checkout / path).read_text(encoding="utf-8")
    assert old in text
    (checkout / path).write_text(text.replace(old, new), encoding="utf-8")


def _shadow(warehouse: Warehouse, code: object, book: Path) -> CodeShadow:
    return shadow_by_code(warehouse, str(code), OCTOBER, book.read_text(encoding="utf-8"), LONG_AFTER)


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_another_rounding_in_a_checkout_shows_and_nothing_stays_behind(
    warehouse: Warehouse, book: Path, checkout: Path, tmp_path: Path
) -> None:
    before = digests(warehouse)
    same = _shadow(warehouse, checkout, book)
    assert sorted(same.shadow.lines, key=lambda line: line.key) == sorted(
        month_lines(warehouse, OCTOBER), key=lambda line: line.key
    )
    _change(checkout, "billing_pipeline/core/money_columns.py", HALF_AWAY_FROM_ZERO, DOWN)
    files = _files(tmp_path)
    other = _shadow(warehouse, checkout, book)
    [found] = differences(month_lines(warehouse, OCTOBER), other.shadow.lines)
    assert (found.customer_id, found.meter, found.difference_minor) == ("ann", "calls", -1)
    assert same.code != other.code, "the digest of the rules names the version"
    assert _files(tmp_path) == files
    assert digests(warehouse) == before


def test_a_git_revision_is_unpacked_run_and_removed(
    warehouse: Warehouse, book: Path, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_of_code, "ROOT", checkout)
    git = ["git", "-C", str(checkout), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "as it is"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    _change(checkout, "billing_pipeline/core/money_columns.py", HALF_AWAY_FROM_ZERO, DOWN)
    subprocess.run([*git, "commit", "-qam", "round down"], check=True)
    files = _files(tmp_path)
    booked = month_lines(warehouse, OCTOBER)
    assert differences(booked, _shadow(warehouse, "v1", book).shadow.lines) == []
    [found] = differences(booked, _shadow(warehouse, "HEAD", book).shadow.lines)
    assert found.difference_minor == -1
    assert _files(tmp_path) == files
    with pytest.raises(CodeError, match="--code v2: expected a folder with a checkout, or a git revision"):
        _shadow(warehouse, "v2", book)
    with pytest.raises(CodeError, match="--code --all: expected"):
        _shadow(warehouse, "--all", book)
    subprocess.run([*git, "rm", "-qr", "billing_pipeline"], check=True)
    subprocess.run([*git, "commit", "-qam", "nothing"], check=True)
    with pytest.raises(CodeError, match="--code HEAD: that revision has no billing_pipeline"):
        _shadow(warehouse, "HEAD", book)


def test_functions_that_are_not_the_versions_own_are_named(warehouse: Warehouse, book: Path, checkout: Path) -> None:
    """A shadow changes nothing, so it runs with the functions that the database has: whoever reads it must know."""
    _change(checkout, "sql/functions/audit_log.sql", "The one way", "The only way")
    assert _shadow(warehouse, checkout, book).code.endswith(
        "; run with the database's functions, whose text is another in audit_log.sql"
    )


def test_code_that_cannot_build_the_shadow_says_why_in_one_line(
    warehouse: Warehouse, book: Path, checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CodeError, match="the folder has no billing_pipeline"):
        _shadow(warehouse, tmp_path / "empty", book)
    migration = checkout / "sql/migrations/9999_more.sql"
    migration.write_text("SELECT 1;")
    with pytest.raises(CodeError, match="another schema version: the database has no migration 9999_more"):
        _shadow(warehouse, checkout, book)
    migration.unlink()
    _change(checkout, "sql/migrations/0001_schema.sql", "CREATE", "CREATE ")
    with pytest.raises(CodeError, match="the database has another text of migration 0001_schema"):
        _shadow(warehouse, checkout, book)
    _change(checkout, "sql/migrations/0001_schema.sql", "CREATE ", "CREATE")
    functions = checkout / "sql/functions/more.sql"
    functions.write_text("SELECT 1;")
    with pytest.raises(CodeError, match=r"it needs functions that the database does not have: more\.sql"):
        _shadow(warehouse, checkout, book)
    functions.unlink()
    _change(checkout, "sql/comparison/shadow_periods.sql", "p.start_date", "p.gone")
    with pytest.raises(CodeError, match=r"UndefinedColumn.* p\.gone"):
        _shadow(warehouse, checkout, book)
    (checkout / "billing_pipeline/comparison/shadow.py").unlink()
    with pytest.raises(CodeError, match=r"it cannot build a shadow: no shadow_month in comparison\.shadow or"):
        _shadow(warehouse, checkout, book)
