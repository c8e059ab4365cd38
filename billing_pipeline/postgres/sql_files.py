"""Where the statements lie: the files below sql/, a folder a room."""

from functools import cache
from pathlib import Path

from billing_pipeline.settings import PROJECT_FILES

SQL_FOLDER = PROJECT_FILES / "sql"


@cache
def load_sql(path: str) -> str:
    """The text of a file below sql/, such as `invoicing/invoices.sql`."""
    return (SQL_FOLDER / path).read_text(encoding="utf-8")


def sql_files(folder: str) -> list[Path]:
    """The .sql files of a folder below sql/, in order of their names."""
    return sorted((SQL_FOLDER / folder).glob("*.sql"))
