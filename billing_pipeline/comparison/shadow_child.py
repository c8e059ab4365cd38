"""A month's shadow built by whichever `billing_pipeline` is on the path, into a file: run as a script by its path.

`python -P shadow_child.py FOLDER MONTH NOW AS_OF|- CARRY_FORWARD ANSWER`, with BILLING_DATABASE_URL and
BILLING_PRICE_BOOK set. It is this checkout's file and the other one's package, so it uses as little of that as it can.
"""

import json
import os
import sys
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import IO, Any


def main() -> None:
    """Write one JSON object a line: what was built, then its lines; or only why it cannot be."""
    folder, month, now, as_of, carry_forward, answer = sys.argv[1:]
    with Path(answer).open("w", encoding="utf-8") as file:
        try:
            _build(Path(folder), date.fromisoformat(month), now, as_of, carry_forward == "yes", file)
        except Exception as error:  # noqa: BLE001 - whatever ends that code is what the operator is told
            file.seek(0)
            file.truncate()
            _write(file, {"error": (str(error).strip() or type(error).__name__).splitlines()[0]})


def _build(folder: Path, month: date, now: str, as_of: str, carry_forward: bool, file: IO[str]) -> None:
    import billing_pipeline

    if not Path(billing_pipeline.__file__).resolve().is_relative_to(folder.resolve()):
        raise RuntimeError(f"billing_pipeline was loaded from {billing_pipeline.__file__}")
    shadow_month = _found("shadow_month", "comparison.shadow", "adapters.comparison.shadow", "adapters.shadow")
    open_warehouse = _found("open_warehouse", "postgres.engine", "postgres.warehouse", "adapters.warehouse")
    load_price_books = _found("load_price_books", "pricing.rules.price_book", "core.price_book")
    book = Path(os.environ["BILLING_PRICE_BOOK"])
    books = load_price_books(book.read_text(encoding="utf-8"), book.name)
    shadow = shadow_month(
        open_warehouse(_found("load_settings", "settings")()),
        month,
        books,
        datetime.fromisoformat(now),
        as_of=None if as_of == "-" else datetime.fromisoformat(as_of),
        carry_forward=carry_forward,
    )
    _write(file, {"code_version": _code_version(), "unpriced_snapshots": shadow.unpriced_snapshots})
    for line in shadow.lines:
        row = {name: getattr(line, name) for name in line.__slots__}
        _write(file, row | {"prices": list(line.prices)})


def _found(name: str, *modules: str) -> Any:
    """From its present module, or from one where older revisions have it."""
    for module in modules:
        try:
            return getattr(import_module(f"billing_pipeline.{module}"), name)
        except ModuleNotFoundError:
            continue
    raise RuntimeError(f"it cannot build a shadow: no {name} in {' or '.join(modules)}")


def _code_version() -> str:
    try:
        return str(_found("code_version", "pricing.code_version", "adapters.code_version")())
    except RuntimeError:
        return "unknown"


def _write(file: IO[str], value: dict[str, Any]) -> None:
    file.write(json.dumps(value, default=_exact) + "\n")


def _exact(value: object) -> dict[str, str]:
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    raise TypeError(f"{type(value).__name__} is not written")


if __name__ == "__main__":
    main()
