"""A month's shadow by another version of this code: a git revision, or a checkout's folder.

That version's package runs in a process of its own, on the same database and environment, without Stripe's key. A
revision is unpacked into a temporary folder, which is gone afterwards; a folder is only read.
"""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from billing_pipeline.comparison import shadow_child
from billing_pipeline.comparison.rules.month_diff import MonthLine
from billing_pipeline.comparison.shadow import Shadow
from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import ROOT

PARTS = ("billing_pipeline", "sql")
"""What of a revision a shadow needs."""

NOT_PASSED_ON = ("STRIPE_", "BILLING_EVENT_KEYS")
"""Variables whose names begin so: no business of a process that only reads."""


class CodeError(UserError):
    """The other version is none, does not fit the database, or broke off; the text names it."""


@dataclass(frozen=True)
class CodeShadow:
    """What the other version built.

    `code` says in words which one it is, and where the database's functions are not its own.
    """

    shadow: Shadow
    code: str


def shadow_by_code(
    warehouse: Warehouse,
    code: str,
    month: date,
    price_book: str,
    now: datetime,
    *,
    as_of: datetime | None = None,
    carry_forward: bool = False,
) -> CodeShadow:
    """`shadow_month` of the version `code`: a folder with a checkout in it, otherwise a revision of this repository.

    `price_book` is the text of a price book file.

    Raises:
        CodeError: there is no such version, it has no `billing_pipeline` with shadows, it needs a schema that the
            database does not have, or it ended with an error.
    """
    with _unpacked(code) as (folder, name), TemporaryDirectory(prefix="billing-shadow-") as scratch:
        _require_schema(warehouse, code, folder)
        functions = _other_functions(warehouse, code, folder)
        answer, book = Path(scratch) / "answer.jsonl", Path(scratch) / "book.yaml"
        book.write_text(price_book, encoding="utf-8")
        arguments = (
            *(str(folder), month.isoformat(), now.isoformat()),
            *(as_of.isoformat() if as_of else "-", "yes" if carry_forward else "no", str(answer)),
        )
        ended = subprocess.run(
            [sys.executable, "-P", shadow_child.__file__, *arguments],
            env=_environment(warehouse, folder, book),
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode or not answer.exists():
            said = ended.stderr.strip().splitlines() or [f"it ended with status {ended.returncode}"]
            raise CodeError(f"--code {code}: {said[-1]}")
        with answer.open(encoding="utf-8") as lines:
            rows = (json.loads(line, object_hook=_exact) for line in lines)
            header = next(rows, {"error": "it said nothing"})
            if "error" in header:
                raise CodeError(f"--code {code}: {header['error']}")
            built = [_line(code, row) for row in rows]
    version = f"{name}, {header['code_version']}"
    if functions:
        version += f"; run with the database's functions, whose text is another in {', '.join(functions)}"
    return CodeShadow(Shadow(built, int(header["unpriced_snapshots"])), version)


@contextmanager
def _unpacked(code: str) -> Iterator[tuple[Path, str]]:
    folder = Path(code)
    if folder.is_dir():
        if not (folder / "billing_pipeline" / "__init__.py").is_file():
            raise CodeError(f"--code {code}: expected a checkout, the folder has no billing_pipeline")
        yield folder.resolve(), str(folder)
        return
    commit = _git(code, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{code}^{{commit}}").decode().strip()
    if not _git(code, "ls-tree", commit, "--", "billing_pipeline/__init__.py"):
        raise CodeError(f"--code {code}: that revision has no billing_pipeline")
    with TemporaryDirectory(prefix="billing-code-") as scratch:
        archive = _git(code, "archive", "--format=tar", commit, "--", *PARTS)
        with tarfile.open(fileobj=BytesIO(archive)) as members:
            members.extractall(scratch, filter="data")
        yield Path(scratch), f"{code} ({commit[:12]})"


def _git(code: str, *arguments: str) -> bytes:
    try:
        ended = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)  # noqa: S607
    except FileNotFoundError:
        raise CodeError(f"--code {code}: no such folder, and git is not installed to look for a revision") from None
    if ended.returncode:
        raise CodeError(f"--code {code}: expected a folder with a checkout, or a git revision of this one")
    return ended.stdout


def _require_schema(warehouse: Warehouse, code: str, folder: Path) -> None:
    """Older code may read a newer schema, and says so if it cannot; code that needs more than there is may not."""
    files = sorted((folder / "sql" / "migrations").glob("*.sql"))
    if not files:
        raise CodeError(f"--code {code}: it has no sql/migrations")
    applied = _digests(warehouse, "applied")
    for path in files:
        if applied.get(path.stem) != _digest(path):
            has = "another text of" if path.stem in applied else "no"
            raise CodeError(
                f"--code {code}: it needs another schema version: the database has {has} migration {path.stem}"
            )


def _other_functions(warehouse: Warehouse, code: str, folder: Path) -> list[str]:
    """The version's files of functions of which the database has another text: it runs with the database's."""
    known = _digests(warehouse, "functions")
    files = sorted((folder / "sql" / "functions").glob("*.sql"))
    for path in files:
        if path.name not in known:
            raise CodeError(f"--code {code}: it needs functions that the database does not have: {path.name}")
    return [path.name for path in files if known[path.name] != _digest(path)]


def _digests(warehouse: Warehouse, table: str) -> dict[str, str]:
    """By name, what postgres/migrations.py and postgres/sql_functions.py record of the files that they applied."""
    rows = warehouse.rows(f"SELECT name, checksum FROM billing_migrations.{table}")
    return {row["name"]: row["checksum"] for row in rows}


def _digest(path: Path) -> str:
    return sha256(path.read_text(encoding="utf-8").encode()).hexdigest()


def _environment(warehouse: Warehouse, folder: Path, price_book: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
    path = os.pathsep.join(part for part in (str(folder), kept.get("PYTHONPATH")) if part)
    billing, dagster = (
        url.set(drivername="postgresql").render_as_string(hide_password=False)
        for url in (warehouse.engine.url, warehouse.dagster_url)
    )
    return kept | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "BILLING_DATABASE_URL": billing,
        "DAGSTER_POSTGRES_URL": dagster,  # if it were not set, a database for Dagster would be created
        "BILLING_PRICE_BOOK": str(price_book.resolve()),
    }


def _exact(value: dict[str, Any]) -> Any:
    return Decimal(value["decimal"]) if value.keys() == {"decimal"} else value


def _line(code: str, row: Mapping[str, Any]) -> MonthLine:
    prices = frozenset((tier, tuple(terms)) for tier, terms in row["prices"])
    try:
        return MonthLine(**{**row, "prices": prices})
    except TypeError:
        raise CodeError(f"--code {code}: its lines have other columns: {', '.join(row)}") from None
